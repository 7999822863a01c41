//! The asking end of a control socket.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::line::Lines;
use super::wire::{Ask, Hello, Request, Said};
use crate::cluster::{ClusterEvent, RigError};

/// Requests waiting to be written.
const REQUESTS_MAX: usize = 64;
/// Events a slow reader may be behind before it loses the oldest and is told so.
const EVENTS_MAX: usize = 1_024;
/// Longer than any request takes that is bounded itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// For the first answer: a controller that is frozen or overloaded is not waited for.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens.
    #[error(
        "no cluster is running here (nobody listens on {}): start one with `loom-tui up --detach`, \
         or open the dashboard with `loom-tui`", .0.display()
    )]
    Nobody(PathBuf),
    /// Somebody listens and does not answer as a controller does.
    #[error("what listens on {} does not answer as Loom does: {error}", path.display())]
    Strange {
        /// The socket's path.
        path: PathBuf,
        /// What happened instead.
        error: String,
    },
}

type Answer = oneshot::Sender<Result<Value, RigError>>;

/// A connection to a controller. Clones are not needed: everything takes `&self`.
#[derive(Debug)]
pub struct Client {
    requests: mpsc::Sender<(Ask, Answer)>,
    events: broadcast::Sender<ClusterEvent>,
    hello: Hello,
    serving: JoinHandle<()>,
}

impl Client {
    /// Connects and greets. With `owns_faults`, faults made over this connection end with it.
    ///
    /// # Errors
    /// [`ConnectError::Nobody`] when there is no controller.
    pub async fn connect(path: &Path, owns_faults: bool) -> Result<Self, ConnectError> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ConnectError::Nobody(path.to_owned())
                }
                _ => strange(path, &error.to_string()),
            })?;
        let (read, write) = stream.into_split();
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let events = broadcast::Sender::new(EVENTS_MAX);
        let exchange = Exchange {
            write,
            waiting: BTreeMap::new(),
            next_id: 1,
            events: events.clone(),
        };
        let serving = tokio::spawn(exchange.run(Lines::new(read), asked));
        let mut client = Self {
            requests,
            events,
            hello: Hello {
                holder: super::Holder {
                    pid: 0,
                    what: String::new(),
                },
                version: String::new(),
                kind: String::new(),
                logs: BTreeMap::new(),
            },
            serving,
        };
        let hello = timeout(HELLO_WITHIN, client.ask(Ask::Hello { owns_faults })).await;
        client.hello = hello
            .map_err(|_| strange(path, "no answer within 5 s"))?
            .map_err(|error| strange(path, &error.reason))?;
        Ok(client)
    }

    /// Who answers.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Events from now on; [`Ask::Events`] has to be asked once.
    pub fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.events.subscribe()
    }

    /// Resolves when the controller has hung up.
    pub async fn hung_up(&self) {
        self.requests.closed().await;
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The controller's own, or that there is no answer.
    pub async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, RigError> {
        let doing = format!("ask the controller to {}", verb(&ask));
        let failed = |reason: &str| RigError {
            doing: doing.clone(),
            reason: reason.to_owned(),
            next_step: "see with `loom-tui status` whether it still runs".to_owned(),
            refused: false,
        };
        let (answer, answered) = oneshot::channel();
        let lost = |_| failed("the connection to it is lost");
        self.requests
            .send((ask, answer))
            .await
            .map_err(|_| lost(()))?;
        let value = timeout(ANSWER_WITHIN, answered)
            .await
            .map_err(|_| failed("no answer within 90 s"))?
            .map_err(|_| lost(()))??;
        serde_json::from_value(value).map_err(|error| failed(&error.to_string()))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn verb(ask: &Ask) -> String {
    let ask = serde_json::to_value(ask).unwrap_or_default();
    ask["do"].as_str().unwrap_or("answer").replace('_', " ")
}

fn strange(path: &Path, error: &str) -> ConnectError {
    ConnectError::Strange {
        path: path.to_owned(),
        error: error.to_owned(),
    }
}

/// Owns the connection and knows who waits for which answer.
struct Exchange {
    write: OwnedWriteHalf,
    waiting: BTreeMap<u64, Answer>,
    next_id: u64,
    events: broadcast::Sender<ClusterEvent>,
}

impl Exchange {
    /// Until the connection ends; whoever still waits then learns it by the dropped channel.
    async fn run(
        mut self,
        mut lines: Lines<OwnedReadHalf>,
        mut asked: mpsc::Receiver<(Ask, Answer)>,
    ) {
        loop {
            tokio::select! {
                line = lines.next() => {
                    let Ok(Some(line)) = line else { return };
                    match serde_json::from_slice(&line) {
                        Ok(said) => self.hear(said),
                        Err(error) => {
                            tracing::warn!(%error, "the controller said something unknown");
                            return;
                        }
                    }
                }
                request = asked.recv() => {
                    let Some((ask, answer)) = request else { return };
                    if self.send(ask, answer).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn send(&mut self, ask: Ask, answer: Answer) -> io::Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.insert(id, answer);
        let mut line = serde_json::to_vec(&Request { id, ask })?;
        line.push(b'\n');
        self.write.write_all(&line).await
    }

    fn hear(&mut self, said: Said) {
        // In all cases whoever is told may have stopped listening.
        match said {
            Said::Ok { id, value } => {
                let answer = self.waiting.remove(&id);
                let _ = answer.map(|answer| answer.send(Ok(value)));
            }
            Said::Refused { id, error } => {
                let answer = self.waiting.remove(&id);
                let _ = answer.map(|answer| answer.send(Err(error)));
            }
            Said::Event(event) => {
                let _ = self.events.send(event);
            }
            Said::Missed(missed) => {
                let _ = self.events.send(ClusterEvent {
                    at: std::time::SystemTime::now(),
                    member: None,
                    what: format!("{missed} events were missed here"),
                    unexpected: true,
                });
            }
        }
    }
}
