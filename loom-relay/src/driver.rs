//! Decides when a [`Machine`] runs: one task owns it, feeds it, and carries out its effects.
//!
//! The one door is [`spawn`]. The driver knows sockets, clocks and disks, and no policy: what is
//! said to whom is the machine's business. Effects are carried out in order, each at once, but for
//! those of the store: a turn takes what waits, up to a bound, and what it changed is one batch.
//!
//! * `Send` goes to the link's queue, bounded in bytes. A peer whose queue is full is hung up on
//!   and resynchronises when it is back; it never slows the others. All queues together are bounded
//!   too: the fullest link pays.
//! * `Persist` goes to the store's thread at the end of the turn; `Committed` comes back when the
//!   disk says so. While the store's queue is full nothing more is taken in: readers stop, TCP
//!   pushes back.
//! * A store that takes nothing for a while, as when its disk is full, is no end: the machine hears
//!   `Stalled`, gives it nothing more, and hears `Resumed` when all is stored. One that failed for
//!   good is.
//! * `Hangup` sends what is queued, then closes.
//!
//! Every `PeerUp` is followed by exactly one `PeerDown`, and nothing is heard from a peer after it.

mod accept;
mod conn;
mod core;
mod dial;
mod hub;
mod link;
mod lobby;
mod meter;
mod outbox;
pub mod parent;
mod skew;
mod socket;
mod stats;
mod url;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::accept::{Caller, MeteredListener};
use self::core::Core;
use self::hub::{Ask, Event, Inbox, Links};
pub use self::hub::{CommandError, Hub, LinkView};
use self::lobby::Lobby;
pub use self::meter::{Meter, Metered};
pub use self::skew::Skew;
pub use self::stats::Stats;
pub use self::url::{InvalidPeerUrl, PeerUrl};
use crate::machine::Machine;
use crate::store::{Store, StoreError};
use crate::wire::FRAME_BYTES_MAX;

/// Limits and times of a driver.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Text frames above this are discarded and reported as `Input::Oversized`.
    pub frame_bytes_max: usize,
    /// A link with this much waiting to be sent is hung up on when there is more to say.
    pub queue_bytes_max: usize,
    /// With more than this waiting for one peer each, over all links, the fullest is hung up on.
    pub all_queues_bytes_max: usize,
    /// Accepted links open at once.
    pub links_max: usize,
    /// Accepted connections open at once besides as many links: requests, and peers that are about
    /// to hear that there is no room for another link.
    pub other_connections_max: usize,
    /// A ping goes out this often.
    pub ping_interval: Duration,
    /// A link that was silent, or could not send a byte, for this long is dead.
    pub ping_timeout: Duration,
    /// For connecting and the websocket handshake together.
    pub dial_timeout: Duration,
    /// Events of links that may wait for the machine.
    pub inbox_len_max: usize,
    /// Their bytes.
    pub inbox_bytes_max: u32,
    /// Commands that may wait for the machine.
    pub commands_max: usize,
    /// How wrong the wall clock is that the machine is shown.
    pub skew: Skew,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            frame_bytes_max: FRAME_BYTES_MAX,
            queue_bytes_max: 16 << 20,
            all_queues_bytes_max: 256 << 20,
            links_max: 1024,
            other_connections_max: 256,
            ping_interval: ping_interval(PING_TIMEOUT),
            ping_timeout: PING_TIMEOUT,
            dial_timeout: Duration::from_secs(2),
            inbox_len_max: 1024,
            inbox_bytes_max: 64 << 20,
            commands_max: 256,
            skew: Skew::default(),
        }
    }
}

impl DriverConfig {
    /// The defaults with another ping timeout, and an interval that fits it.
    pub fn with_ping_timeout(ping_timeout: Duration) -> Self {
        Self {
            ping_interval: ping_interval(ping_timeout),
            ping_timeout,
            ..Self::default()
        }
    }
}

/// Two lost pings are not yet a lost link.
fn ping_interval(timeout: Duration) -> Duration {
    timeout.mul_f64(0.3)
}

const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a driver ended on its own.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Nothing can be acknowledged any more: what is in memory may not be on disk.
    #[error("the store failed, so nothing can be acknowledged any more: {0}")]
    Store(Arc<StoreError>),
    /// What is stored cannot be read, so nothing can be decided.
    #[error(transparent)]
    Load(StoreError),
    /// A bug in the machine.
    #[error("the state machine panicked: {0}")]
    Panicked(String),
}

/// A machine that is ready to go on, and where it keeps what it holds.
pub type Loaded<M> = (M, Option<Box<dyn Store>>);

/// Starts the task that owns `machine`, which has already loaded what `store` holds.
///
/// Without a store every commit is reported back at the end of the turn that caused it.
pub fn spawn<M>(
    machine: M,
    config: DriverConfig,
    store: Option<Box<dyn Store>>,
) -> (Hub<M::Command>, Driver)
where
    M: Machine + Send + 'static,
    M::Command: Send + 'static,
{
    spawn_with(config, |queues, links, killing| {
        let core = Core::new(machine, links, store, killing);
        core.run(queues.inbox, queues.commands)
    })
}

/// The same when the machine is still on its way: links are accepted at once and greeted with what
/// `greet` makes, and what they say waits for it. Commands wait too.
///
/// When it cannot come, the driver fails with [`DriverError::Load`].
pub fn spawn_ahead<M>(
    config: DriverConfig,
    greet: impl FnMut() -> Bytes + Send + 'static,
    coming: impl Future<Output = Result<Loaded<M>, StoreError>> + Send + 'static,
) -> (Hub<M::Command>, Driver)
where
    M: Machine + Send + 'static,
    M::Command: Send + 'static,
{
    spawn_with(
        config,
        |mut queues: Queues<M::Command>, links, killing| async move {
            let mut lobby = Lobby::new(links.clone(), killing.clone(), greet);
            let Some(come) = lobby.wait(&mut queues.inbox, coming).await else {
                return Ok(());
            };
            let (machine, store) = come.map_err(DriverError::Load)?;
            let mut core = Core::new(machine, links, store, killing);
            core.resume(lobby.links, lobby.held);
            core.run(queues.inbox, queues.commands).await
        },
    )
}

/// What waits for the one task.
struct Queues<C> {
    inbox: mpsc::Receiver<Event>,
    commands: mpsc::Receiver<Ask<C>>,
}

fn spawn_with<C, F>(
    config: DriverConfig,
    task: impl FnOnce(Queues<C>, Links, CancellationToken) -> F,
) -> (Hub<C>, Driver)
where
    F: Future<Output = Result<(), DriverError>> + Send + 'static,
{
    let config = Arc::new(config);
    let (events, inbox) = mpsc::channel(config.inbox_len_max);
    let (asks, commands) = mpsc::channel(config.commands_max);
    let stopping = CancellationToken::new();
    let links = Links {
        inbox: Inbox {
            events,
            bytes: Arc::new(Semaphore::new(config.inbox_bytes_max as usize)),
            bytes_max: config.inbox_bytes_max,
        },
        stats: Arc::default(),
        stopping: stopping.clone(),
        tasks: TaskTracker::new(),
        room: Arc::new(Semaphore::new(config.links_max)),
        next_peer: Arc::new(AtomicU64::new(1)),
        own_bytes: Arc::default(),
        config,
    };
    let killing = CancellationToken::new();
    let task = task(Queues { inbox, commands }, links.clone(), killing.clone());
    let driver = Driver {
        task: Some(tokio::spawn(task)),
        tasks: links.tasks.clone(),
        stopping,
        killing,
    };
    (Hub::new(asks, links), driver)
}

/// A running driver. Dropping it stops everything without ceremony.
#[derive(Debug)]
pub struct Driver {
    /// Taken by whoever saw it end.
    task: Option<JoinHandle<Result<(), DriverError>>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    killing: CancellationToken,
}

impl Driver {
    /// Waits for the driver to fail, and never returns while it works. Safe to drop and call again.
    pub async fn failed(&mut self) -> DriverError {
        match self.ended().await {
            Some(Err(error)) => error,
            // It ends without an error only in a shutdown, which consumes this handle.
            Some(Ok(())) | None => std::future::pending().await,
        }
    }

    /// Stores what is waiting to be stored, sends what is queued, closes every link, and waits.
    ///
    /// Do this after whatever still has commands in flight, such as an HTTP server, has finished.
    ///
    /// # Errors
    ///
    /// [`DriverError`] if it failed and [`Driver::failed`] has not said so already.
    pub async fn shutdown(mut self) -> Result<(), DriverError> {
        self.stopping.cancel();
        let result = self.ended().await.unwrap_or(Ok(()));
        self.tasks.close();
        let closing = tokio::time::timeout(SHUTDOWN_WAIT, self.tasks.wait());
        if closing.await.is_err() {
            self.killing.cancel();
            self.tasks.wait().await;
        }
        result
    }

    async fn ended(&mut self) -> Option<Result<(), DriverError>> {
        let joined = self.task.as_mut()?.await;
        self.task = None;
        Some(joined.unwrap_or_else(|join| Err(panicked(join))))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.killing.cancel();
    }
}

fn panicked(join: tokio::task::JoinError) -> DriverError {
    let what = match join.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".to_owned()),
        Err(other) => other.to_string(),
    };
    DriverError::Panicked(what)
}

/// For links to send what they have queued and to close.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(1);
