//! Decides how the rest of the process reaches the one task that owns the machine: [`Hub`].
//!
//! Queues, bounds, policies:
//!
//! | queue    | bound                                          | when full                        |
//! |----------|------------------------------------------------|----------------------------------|
//! | inbox    | `inbox_len_max` events, `inbox_bytes_max` bytes | the link's reader stops reading |
//! | commands | `commands_max`                                 | wait, or [`CommandError::Full`]  |

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::{Caller, MeteredListener};
use super::conn::Ended;
use super::meter::Meter;
use super::outbox::OwnBytes;
use super::socket::{self, Socket};
use super::url::PeerUrl;
use super::{DriverConfig, Stats, dial};
use crate::machine::Side;
use crate::model::PeerId;

/// The way to a running driver. Cheap to clone.
#[derive(Debug)]
pub struct Hub<C> {
    commands: mpsc::Sender<Ask<C>>,
    links: Links,
}

impl<C> Clone for Hub<C> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            links: self.links.clone(),
        }
    }
}

/// Why a command did not reach the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// As many commands as allowed are waiting: certainly not done, try again.
    #[error("too many requests are waiting; try again in a moment")]
    Full,
    /// The driver has stopped.
    #[error("shutting down")]
    Stopped,
}

/// One open link, as the driver sees it.
#[derive(Clone, Debug)]
pub struct LinkView {
    /// Its number.
    pub peer: PeerId,
    /// Who opened it.
    pub side: Side,
    /// The URL dialled, or the address that dialled us.
    pub far: Arc<str>,
    /// How long it has been open.
    pub up: Duration,
    /// How long ago the last byte was heard.
    pub silent: Duration,
    /// Waiting to be sent.
    pub queued_bytes: usize,
    /// Read from the socket since it opened.
    pub read_bytes: u64,
    /// Written to the socket since it opened.
    pub written_bytes: u64,
}

impl<C> Hub<C> {
    pub(super) fn new(commands: mpsc::Sender<Ask<C>>, links: Links) -> Self {
        Self { commands, links }
    }

    /// Hands the machine a command, waiting for room.
    ///
    /// # Errors
    ///
    /// [`CommandError::Stopped`] when there is no machine any more.
    pub async fn command(&self, command: C) -> Result<(), CommandError> {
        self.commands
            .send(Ask::Command(command))
            .await
            .map_err(|_| CommandError::Stopped)
    }

    /// Hands the machine a command if there is room right now.
    ///
    /// # Errors
    ///
    /// [`CommandError::Full`] when there is none: a server answers 503.
    pub fn try_command(&self, command: C) -> Result<(), CommandError> {
        self.commands
            .try_send(Ask::Command(command))
            .map_err(|refused| match refused {
                TrySendError::Full(_) => CommandError::Full,
                TrySendError::Closed(_) => CommandError::Stopped,
            })
    }

    /// The links open right now, in order of opening; none once the driver has stopped.
    pub async fn links(&self) -> Vec<LinkView> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Ask::Links(reply)).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// Keeps a link to `url` from now on: dials, and dials again whenever it is lost.
    pub fn dial(&self, url: PeerUrl) {
        let keeping = dial::keep(self.links.clone(), url);
        self.links.tasks.spawn(keeping);
    }

    /// Accepts on `listener` for a server, within this driver's bound; see [`MeteredListener`]
    /// about `idle_max`.
    pub fn listen(&self, listener: TcpListener, idle_max: Duration) -> MeteredListener {
        let config = &self.links.config;
        let connections_max = config
            .links_max
            .saturating_add(config.other_connections_max);
        let stats = Arc::clone(&self.links.stats);
        MeteredListener::new(listener, connections_max, idle_max, stats)
    }

    /// Answers a request for a websocket: upgrades it to a link, or refuses with 503 when as many
    /// as allowed are open.
    pub fn upgrade(&self, caller: Caller, upgrade: WebSocketUpgrade) -> Response {
        let links = self.links.clone();
        let Ok(room) = Arc::clone(&links.room).try_acquire_owned() else {
            links.stats.refused.up();
            let links_max = links.config.links_max;
            tracing::warn!(caller = %caller.address, links_max, "refused a link: too many are open");
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("as many links as allowed are open ({links_max}); try again later\n"),
            )
                .into_response();
        };
        let upgrade = socket::limit_upgrade(upgrade, links.config.frame_bytes_max);
        upgrade.on_upgrade(async move |socket| {
            let tasks = links.tasks.clone();
            // As a task of the driver's, so that stopping waits for it.
            tasks.spawn(links.accepted(socket, caller, room));
        })
    }

    /// How many accepted links are open, without asking the task that serves them.
    pub fn accepted_links(&self) -> usize {
        let links_max = self.links.config.links_max;
        links_max.saturating_sub(self.links.room.available_permits())
    }

    /// What the driver has counted so far.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.links.stats
    }

    /// The configuration the driver runs with.
    pub fn config(&self) -> &DriverConfig {
        &self.links.config
    }
}

/// What opens links: everything of [`Hub`] that does not know the machine.
#[derive(Clone, Debug)]
pub(super) struct Links {
    pub(super) inbox: Inbox,
    pub(super) config: Arc<DriverConfig>,
    pub(super) stats: Arc<Stats>,
    /// Cancelled when the driver stops.
    pub(super) stopping: CancellationToken,
    /// Every task of this driver, so that stopping can wait for them.
    pub(super) tasks: TaskTracker,
    /// Accepted links still allowed.
    pub(super) room: Arc<Semaphore>,
    pub(super) next_peer: Arc<AtomicU64>,
    /// What waits in memory for one link each, over all links.
    pub(super) own_bytes: OwnBytes,
}

impl Links {
    /// Hands an open socket to the driver; the receiver resolves when the link has ended.
    pub(super) async fn open(
        &self,
        socket: Socket,
        side: Side,
        meter: Meter,
        far: Arc<str>,
    ) -> Option<oneshot::Receiver<Ended>> {
        let (ended, ending) = oneshot::channel();
        let opened = Opened {
            peer: PeerId(self.next_peer.fetch_add(1, Relaxed)),
            socket,
            side,
            meter,
            far,
            ended,
        };
        let event = Event::Opened(Box::new(opened));
        self.inbox.events.send(event).await.ok()?;
        Some(ending)
    }

    async fn accepted(self, socket: WebSocket, caller: Caller, room: OwnedSemaphorePermit) {
        let Caller { address, meter } = caller;
        meter.is_link();
        self.stats.accepted.up();
        let socket = Socket::Accepted(Box::new(socket));
        let far = address.to_string().into();
        if let Some(ending) = self.open(socket, Side::Accepted, meter, far).await {
            // Without an answer the driver is gone, and the link with it.
            let _ = ending.await;
        }
        drop(room);
    }
}

/// What commands become on their way to the driver.
#[derive(Debug)]
pub(super) enum Ask<C> {
    Command(C),
    Links(oneshot::Sender<Vec<LinkView>>),
}

/// What links tell the driver, in the order it happened.
#[derive(Debug)]
pub(super) enum Event {
    Opened(Box<Opened>),
    /// It opened before there was a machine to be told.
    OpenedBefore {
        peer: PeerId,
        side: Side,
    },
    Heard {
        peer: PeerId,
        frame: Bytes,
        /// Given back when the machine has handled the frame.
        _room: Option<OwnedSemaphorePermit>,
    },
    Oversized(PeerId),
    Closed(PeerId),
}

/// A link about to be served.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) peer: PeerId,
    pub(super) socket: Socket,
    pub(super) side: Side,
    pub(super) meter: Meter,
    pub(super) far: Arc<str>,
    pub(super) ended: oneshot::Sender<Ended>,
}

/// Says [`Event::Closed`] at the latest when it is dropped, as when the link's task panics: a link
/// that ended without it would be sent to for ever.
#[derive(Debug)]
pub(super) struct LastWord {
    peer: PeerId,
    events: Option<mpsc::Sender<Event>>,
}

impl LastWord {
    /// Waits for room in the inbox.
    pub(super) async fn say(mut self) {
        if let Some(events) = &self.events {
            // Without a driver there is nobody to tell.
            let _ = events.send(Event::Closed(self.peer)).await;
        }
        self.events = None;
    }
}

impl Drop for LastWord {
    fn drop(&mut self) {
        let Some(events) = self.events.take() else {
            return;
        };
        if let Err(TrySendError::Full(event)) = events.try_send(Event::Closed(self.peer))
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { events.send(event).await });
        }
    }
}

/// Where links put what they hear.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    pub(super) events: mpsc::Sender<Event>,
    /// One permit per byte that may wait.
    pub(super) bytes: Arc<Semaphore>,
    pub(super) bytes_max: u32,
}

impl Inbox {
    /// Waits for room; meanwhile the socket is not read, and TCP pushes back on the peer.
    pub(super) async fn heard(&self, peer: PeerId, frame: Bytes, meter: &Meter) {
        // A frame above the whole bound must still fit: it then waits alone.
        let weight = u32::try_from(frame.len())
            .unwrap_or(u32::MAX)
            .min(self.bytes_max);
        let room = match Arc::clone(&self.bytes).try_acquire_many_owned(weight) {
            Ok(room) => Some(room),
            Err(_) => {
                meter.pause();
                let room = Arc::clone(&self.bytes).acquire_many_owned(weight).await;
                meter.resume();
                room.ok()
            }
        };
        let event = Event::Heard {
            peer,
            frame,
            _room: room,
        };
        self.send(event, meter).await;
    }

    pub(super) async fn oversized(&self, peer: PeerId, meter: &Meter) {
        self.send(Event::Oversized(peer), meter).await;
    }

    /// What makes sure that the driver hears when this link has ended.
    pub(super) fn last_word(&self, peer: PeerId) -> LastWord {
        LastWord {
            peer,
            events: Some(self.events.clone()),
        }
    }

    async fn send(&self, event: Event, meter: &Meter) {
        let event = match self.events.try_send(event) {
            Ok(()) | Err(TrySendError::Closed(_)) => return,
            Err(TrySendError::Full(event)) => event,
        };
        meter.pause();
        let _ = self.events.send(event).await;
        meter.resume();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_whose_task_panics_is_closed_all_the_same_and_once() {
        let (events, mut inbox) = mpsc::channel(1);
        let links = Inbox {
            events,
            bytes: Arc::new(Semaphore::new(1)),
            bytes_max: 1,
        };
        for is_full in [false, true] {
            if is_full {
                let heard = Event::Oversized(PeerId(1));
                links.events.send(heard).await.unwrap();
            }
            let last_word = links.last_word(PeerId(1));
            let serving = tokio::spawn(async move {
                let _last_word = last_word;
                panic!("a bug in a link");
            });
            assert!(serving.await.unwrap_err().is_panic());
            if is_full {
                assert!(matches!(inbox.recv().await, Some(Event::Oversized(_))));
            }
            assert!(matches!(inbox.recv().await, Some(Event::Closed(PeerId(1)))));
        }
        links.last_word(PeerId(2)).say().await;
        assert!(matches!(inbox.recv().await, Some(Event::Closed(PeerId(2)))));
        drop(links);
        assert!(inbox.recv().await.is_none());
    }
}
