//! A node's change feed, as far as these tests read it.

use serde_json::Value;

use crate::cluster::SOON;

pub(crate) struct Feed {
    response: reqwest::Response,
    text: String,
}

impl Feed {
    /// Opens it; what is written from now on will be in it.
    pub(crate) async fn open(request: reqwest::RequestBuilder) -> Self {
        let mut feed = Self {
            response: request.send().await.unwrap(),
            text: String::new(),
        };
        feed.until(|event| event["epoch"].is_string()).await;
        feed
    }

    /// The next event that is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let reading = async {
            loop {
                while let Some((event, rest)) = self.text.split_once("\n\n") {
                    let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                    let data = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
                    self.text = rest.to_owned();
                    if let Some(data) = data.filter(|data| wanted(data)) {
                        return data;
                    }
                }
                let chunk = self
                    .response
                    .chunk()
                    .await
                    .unwrap()
                    .expect("the feed goes on");
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        let read = tokio::time::timeout(SOON, reading).await;
        read.expect("the event does not come")
    }
}
