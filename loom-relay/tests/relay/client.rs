//! A GUN client just good enough to put, to be acknowledged, and to get.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Messages that came in one frame with others.
    heard: VecDeque<Value>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let url = format!("ws://{address}/gun?any=query");
        let (socket, _) = within(tokio_tungstenite::connect_async(url)).await.unwrap();
        Self {
            socket,
            heard: VecDeque::new(),
        }
    }

    /// Queues a put of one field; flushed by the next [`Client::next`].
    pub(crate) async fn put(&mut self, id: &str, soul: &str, field: &str, value: &str) {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let state = u64::try_from(wall.as_millis()).unwrap();
        self.put_at(id, soul, field, value, state).await;
    }

    /// The same with a state of one's own.
    pub(crate) async fn put_at(
        &mut self,
        id: &str,
        soul: &str,
        field: &str,
        value: &str,
        state: u64,
    ) {
        let put = json!({
            "#": id,
            "put": { soul: { "_": { "#": soul, ">": { field: state } }, field: value } },
        });
        self.send(&put).await.unwrap();
    }

    pub(crate) async fn get(&mut self, id: &str, soul: &str) {
        self.send(&json!({ "#": id, "get": { "#": soul } }))
            .await
            .unwrap();
    }

    async fn send(&mut self, message: &Value) -> Result<(), Error> {
        self.socket.send(Message::text(message.to_string())).await
    }

    /// Sends whatever this is.
    pub(crate) async fn say(&mut self, frame: impl Into<Message>) -> Result<(), Error> {
        self.socket.send(frame.into()).await
    }

    /// Queues a frame; flushed when there are many, or by [`Client::next`].
    pub(crate) async fn feed(&mut self, frame: String) -> Result<(), Error> {
        self.socket.feed(Message::text(frame)).await
    }

    /// The next message; `None` when the link is gone.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.heard.pop_front() {
                return Some(message);
            }
            match within(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text).unwrap() {
                    Value::Array(messages) => self.heard.extend(messages),
                    message => self.heard.push_back(message),
                },
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next message that answers `id`.
    pub(crate) async fn answer_to(&mut self, id: &str) -> Value {
        // Not `next` alone: pings would keep it waiting for ever.
        within(async {
            loop {
                let message = self.next().await.expect("the link is gone");
                if message["@"] == id {
                    return message;
                }
            }
        })
        .await
    }

    /// Whether the far end closes the websocket properly.
    pub(crate) async fn sees_close(&mut self) -> bool {
        while let Some(message) = within(self.socket.next()).await {
            match message {
                Ok(Message::Close(_)) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

/// Fails the test instead of hanging it.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("took longer than 20 s")
}
