//! Nodes on free loopback ports, and what is needed to look at their change feeds.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::time::Duration;

use super::soon::until;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use loom_node::{NodeConfig, ServeError};
use reqwest::{Client, Method, Response};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Long enough for a loaded machine; nothing waits for it to pass.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running node.
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) serving: JoinHandle<Result<(), ServeError>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Node {
    pub(crate) async fn start(config: NodeConfig) -> Self {
        let is_stored = config.store.is_some();
        let serve = |listener, stopped| loom_node::serve(listener, config, stopped);
        let node = Self::serving(serve).await;
        if is_stored {
            let is_loaded = |health: &Json| health["nodeId"].is_string();
            node.until("/health", is_loaded).await;
        }
        node
    }

    /// One that may not have read its store.
    pub(crate) async fn serving<F>(
        serve: impl FnOnce(TcpListener, BoxFuture<'static, ()>) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), ServeError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        // A dropped sender is a request as well.
        let stopped = stopped.map(drop).boxed();
        Self {
            url: format!("http://{address}"),
            client: Client::new(),
            serving: tokio::spawn(serve(listener, stopped)),
            stop: Some(stop),
        }
    }

    pub(crate) async fn alone() -> Self {
        Self::start(NodeConfig::new("node-1")).await
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take();
        self.serving.await.unwrap().unwrap();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Json {
        let response = self.request(Method::GET, path).send().await.unwrap();
        response.json().await.unwrap()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Json) -> (u16, Json) {
        let response = self.request(method, path).json(body).send().await.unwrap();
        read(response).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Json) -> (u16, Json) {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Json) -> (u16, Json) {
        self.send(Method::PUT, path, body).await
    }

    pub(crate) async fn changes(&self, query: &str) -> Changes {
        let response = self
            .request(Method::GET, &format!("/changes{query}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        Changes {
            response,
            text: String::new(),
        }
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        until(
            &format!("{path} on {} is as wanted", self.url),
            async || {
                let answer = self.get(path).await;
                wanted(&answer).then_some(answer)
            },
        )
        .await
    }
}

/// A change feed being read.
pub(crate) struct Changes {
    response: Response,
    text: String,
}

/// One server-sent event; a comment has only `comment`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SseEvent {
    pub(crate) id: Option<String>,
    pub(crate) event: String,
    pub(crate) data: Json,
    pub(crate) comment: Option<String>,
}

impl Changes {
    /// The next event, comments included; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = parse(event);
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk()).await;
            let chunk = chunk.expect("an event soon").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event that is not a comment.
    pub(crate) async fn event(&mut self) -> SseEvent {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.comment.is_none() {
                return event;
            }
        }
    }
}

fn parse(text: &str) -> SseEvent {
    let mut event = SseEvent::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("event", name)) => name.clone_into(&mut event.event),
            Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
            Some(("", comment)) => event.comment = Some(comment.to_owned()),
            Some(("retry", _)) => {}
            _ => panic!("not a line of an event stream: {line:?}"),
        }
    }
    event
}

pub(crate) async fn read(response: Response) -> (u16, Json) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text);
    (
        status,
        json.unwrap_or_else(|why| panic!("{status} with {text:?}: {why}")),
    )
}

/// Where a URL's server listens.
pub(crate) fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}
