//! Follows one node's change feed for as long as anybody asks, and never hides a gap.
//!
//! [`Feed::next`] is the door. It connects, resumes after the last event it passed on, reconnects
//! while the node is away, and when the node cannot resume (410, `reset`, a new epoch) it says so
//! and hands over the whole list of records instead. Whatever happens, a reader either gets every
//! change or is told what the node holds now.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::NodeClient;
use super::outcome::NotOk;
use super::sse::{Parser, SseEvent};
use super::wire::{ChangeRecord, Edge, EdgeFilter, Stored, Vertex, VertexFilter};

/// How to follow a feed.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// Also hear canaries.
    pub canary: bool,
    /// How often the node is to send a sign of life.
    pub heartbeat: Duration,
    /// Without any bytes for this long the connection counts as lost.
    pub silence: Duration,
    /// Begin with the list of all records, not only with what changes from now on.
    pub list_first: bool,
    /// Longest line accepted, in bytes: a record is one line.
    pub line_len_max: usize,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self {
            canary: false,
            heartbeat: Duration::from_secs(2),
            // Two heartbeats may be late on a busy machine; three are not.
            silence: Duration::from_secs(5),
            list_first: false,
            line_len_max: 8 << 20,
        }
    }
}

/// What a feed has to say.
#[derive(Debug)]
pub enum FeedItem {
    /// The node answered and changes will follow.
    Open {
        /// Names this life of the node's feed.
        epoch: String,
        /// Whether it carries on exactly where the last connection ended.
        resumed: bool,
    },
    /// Changes in the node's order.
    Changes {
        /// When their bytes arrived here.
        at: Instant,
        /// Never empty.
        changes: Vec<FeedChange>,
    },
    /// Everything the node holds: changes before this may have been missed, none after it.
    Listed {
        /// When the list was complete.
        at: Instant,
        /// All vertices.
        vertices: Vec<Stored<Vertex>>,
        /// All edges.
        edges: Vec<Stored<Edge>>,
    },
    /// The connection is gone or could not be made; the next call tries again.
    Lost {
        /// Why.
        reason: String,
        /// Whether changes may have been missed, so that a list must follow.
        gap: bool,
    },
}

/// One thing the feed told.
#[derive(Debug)]
pub enum FeedChange {
    /// A record changed.
    Record(Box<ChangeRecord>),
    /// A canary arrived.
    Canary {
        /// The node it was sent to.
        origin: String,
        /// What it sang.
        value: String,
    },
}

/// Follows one node's `GET /changes`.
#[derive(Debug)]
pub struct Feed {
    client: NodeClient,
    options: FeedOptions,
    link: Link,
    /// The cursor behind the last event passed on.
    last_id: Option<String>,
    /// A gap opened (or a list was asked for) and no list has filled it yet.
    list_owed: bool,
    backoff: Duration,
    /// Things already known that the caller has not been given yet; at most what one chunk held.
    queued: VecDeque<FeedItem>,
}

#[derive(Debug)]
enum Link {
    Down {
        retry_at: Option<tokio::time::Instant>,
    },
    Up(Box<Stream>),
}

#[derive(Debug)]
struct Stream {
    response: Response,
    parser: Parser,
    /// `hello` has been heard.
    greeted: bool,
}

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

impl Feed {
    /// A feed that has not connected yet.
    pub fn new(client: NodeClient, options: FeedOptions) -> Self {
        Self {
            client,
            list_owed: options.list_first,
            options,
            link: Link::Down { retry_at: None },
            last_id: None,
            backoff: BACKOFF_MIN,
            queued: VecDeque::new(),
        }
    }

    /// Waits for the next item; never ends. Dropping the future loses nothing: the next call
    /// carries on.
    pub async fn next(&mut self) -> FeedItem {
        loop {
            if let Some(item) = self.queued.pop_front() {
                return item;
            }
            match &mut self.link {
                Link::Down { retry_at } => {
                    if let Some(at) = *retry_at {
                        tokio::time::sleep_until(at).await;
                    }
                    if let Err(item) = self.connect().await {
                        return item;
                    }
                }
                // Changes that arrive during the list wait in the socket, behind it.
                Link::Up(stream) if stream.greeted && self.list_owed => match self.list().await {
                    Ok(item) => {
                        self.list_owed = false;
                        return item;
                    }
                    Err(error) => self.open_gap(format!("could not list the records: {error}")),
                },
                Link::Up(stream) => {
                    match timeout(self.options.silence, stream.response.chunk()).await {
                        Ok(Ok(Some(chunk))) => {
                            let at = Instant::now();
                            let mut events = Vec::new();
                            let fed = stream.parser.feed(&chunk, &mut events);
                            self.take(events, at);
                            if let Err(error) = fed {
                                // What the line held is lost to us: only a list can tell.
                                self.open_gap(error.to_string());
                            }
                        }
                        Ok(Ok(None)) => self.lose("the node ended the stream".to_owned()),
                        Ok(Err(error)) => self.lose(format!("connection lost: {error}")),
                        Err(_) => {
                            let silence = self.options.silence;
                            self.lose(format!("nothing heard for {silence:?}"));
                        }
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), FeedItem> {
        let heartbeat_ms = self.options.heartbeat.as_millis();
        let mut path = format!("/changes?heartbeat={heartbeat_ms}");
        if self.options.canary {
            path.push_str("&canary=true");
        }
        if self.last_id.is_none() {
            path.push_str("&since=now");
        }
        let mut request = self
            .client
            .stream_request(&path)
            .header("accept", "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        let reason = match timeout(self.options.silence, request.send()).await {
            Ok(Ok(response)) if response.status() == StatusCode::OK => {
                self.link = Link::Up(Box::new(Stream {
                    response,
                    parser: Parser::new(self.options.line_len_max),
                    greeted: false,
                }));
                return Ok(());
            }
            Ok(Ok(response)) if response.status() == StatusCode::GONE && self.last_id.is_some() => {
                self.last_id = None;
                self.list_owed = true;
                // Starting over is an answer, not an outage: no waiting.
                self.link = Link::Down { retry_at: None };
                return Err(FeedItem::Lost {
                    reason: "the node no longer knows where we were".to_owned(),
                    gap: true,
                });
            }
            Ok(Ok(response)) => format!("the node answered {}", response.status()),
            Ok(Err(error)) if error.is_connect() => "connection refused".to_owned(),
            Ok(Err(error)) => format!("connection lost: {error}"),
            Err(_) => format!("no answer within {:?}", self.options.silence),
        };
        self.lose(reason);
        Err(self.queued.pop_front().expect("lose queued why"))
    }

    /// Sorts events into items.
    fn take(&mut self, events: Vec<SseEvent>, at: Instant) {
        let mut changes = Vec::new();
        for event in events {
            match event.name.as_str() {
                "hello" => {
                    if let Err(error) = self.greet(&event) {
                        self.open_gap(format!("the greeting makes no sense: {error}"));
                        return;
                    }
                }
                "reset" => {
                    self.flush(&mut changes, at);
                    self.open_gap("the node says we fell behind".to_owned());
                    return;
                }
                name => match read_change(name, &event.data) {
                    Ok(change) => {
                        changes.extend(change);
                        if event.id.is_some() {
                            self.last_id = event.id;
                        }
                    }
                    Err(error) => {
                        self.flush(&mut changes, at);
                        self.open_gap(format!("an event makes no sense: {error}"));
                        return;
                    }
                },
            }
        }
        self.flush(&mut changes, at);
    }

    fn flush(&mut self, changes: &mut Vec<FeedChange>, at: Instant) {
        if !changes.is_empty() {
            let changes = std::mem::take(changes);
            self.queued.push_back(FeedItem::Changes { at, changes });
        }
    }

    fn greet(&mut self, event: &SseEvent) -> Result<(), serde_json::Error> {
        let hello: Hello = serde_json::from_str(&event.data)?;
        let resumed = self.last_id.is_some();
        if !resumed {
            self.last_id = Some(text(&hello.cursor));
        }
        self.backoff = BACKOFF_MIN;
        if let Link::Up(stream) = &mut self.link {
            stream.greeted = true;
        }
        self.queued.push_back(FeedItem::Open {
            epoch: text(&hello.epoch),
            resumed,
        });
        Ok(())
    }

    async fn list(&self) -> Result<FeedItem, NotOk> {
        let vertices = self.client.vertices(&VertexFilter::default()).await;
        let edges = self.client.edges(&EdgeFilter::default()).await;
        Ok(FeedItem::Listed {
            vertices: vertices.into_result()?,
            edges: edges.into_result()?,
            at: Instant::now(),
        })
    }

    /// The stream cannot be trusted any further: start over with a list.
    fn open_gap(&mut self, reason: String) {
        self.last_id = None;
        self.list_owed = true;
        self.lose(reason);
    }

    fn lose(&mut self, reason: String) {
        let retry_at = tokio::time::Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        self.link = Link::Down {
            retry_at: Some(retry_at),
        };
        self.queued.push_back(FeedItem::Lost {
            reason,
            gap: self.list_owed,
        });
    }
}

#[derive(Deserialize)]
struct Hello {
    epoch: Value,
    cursor: Value,
}

/// Cursors and epochs are opaque: whatever JSON they are, their text is what counts.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[derive(Deserialize)]
struct Canary {
    origin: String,
    value: String,
}

/// `Ok(None)` for kinds of events that are none of ours.
fn read_change(name: &str, data: &str) -> Result<Option<FeedChange>, serde_json::Error> {
    if name == "canary" {
        let Canary { origin, value } = serde_json::from_str(data)?;
        return Ok(Some(FeedChange::Canary { origin, value }));
    }
    if name.starts_with("node_") || name.starts_with("edge_") {
        return Ok(Some(FeedChange::Record(serde_json::from_str(data)?)));
    }
    Ok(None)
}
