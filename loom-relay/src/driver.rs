//! Decides when a [`Machine`] runs: one task owns it, feeds it, and carries out its effects.
//!
//! The one door is [`spawn`]. The driver knows sockets, clocks and disks, and no policy: what is
//! said to whom is the machine's business. Effects are carried out in order, each at once:
//!
//! * `Send` goes to the link's queue, bounded in bytes. A peer whose queue is full is hung up on
//!   and resynchronises when it is back; it never slows the others.
//! * `Persist` goes to the store's thread; `Committed` comes back when the disk says so. While the
//!   store's queue is full nothing more is taken in: readers stop, TCP pushes back.
//! * `Hangup` sends what is queued, then closes.
//!
//! Every `PeerUp` is followed by exactly one `PeerDown`, and nothing is heard from a peer after it.

mod accept;
mod conn;
mod dial;
mod hub;
mod meter;
pub mod parent;
mod socket;
mod stats;
mod url;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::accept::{Caller, MeteredListener};
use self::conn::Conn;
use self::hub::{Ask, Event, Inbox, Links, Opened};
pub use self::hub::{CommandError, Hub, LinkView};
pub use self::meter::{Meter, Metered};
pub use self::stats::Stats;
pub use self::url::{InvalidPeerUrl, PeerUrl};
use crate::clock::{Mono, Now};
use crate::machine::{Commit, Effect, Input, Machine, Side};
use crate::model::PeerId;
use crate::store::thread::StoreThread;
use crate::store::{Durability, Store, StoreError};

/// Limits and times of a driver.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Text frames above this are discarded and reported as `Input::Oversized`.
    pub frame_bytes_max: usize,
    /// A link with this much waiting to be sent is hung up on when there is more to say.
    pub queue_bytes_max: usize,
    /// Accepted links open at once.
    pub links_max: usize,
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
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            frame_bytes_max: 32 << 20,
            queue_bytes_max: 16 << 20,
            links_max: 1024,
            ping_interval: ping_interval(PING_TIMEOUT),
            ping_timeout: PING_TIMEOUT,
            dial_timeout: Duration::from_secs(2),
            inbox_len_max: 1024,
            inbox_bytes_max: 64 << 20,
            commands_max: 256,
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
    /// A bug in the machine.
    #[error("the state machine panicked: {0}")]
    Panicked(String),
}

/// Starts the task that owns `machine`, which has already loaded what `store` holds.
///
/// Without a store every commit is reported back right after the input that caused it.
pub fn spawn<M>(
    machine: M,
    config: DriverConfig,
    store: Option<Box<dyn Store>>,
) -> (Hub<M::Command>, Driver)
where
    M: Machine + Send + 'static,
    M::Command: Send + 'static,
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
        config,
    };
    let killing = CancellationToken::new();
    let core = Core {
        machine,
        links: BTreeMap::new(),
        opening: links.clone(),
        store: store.map(|store| StoreThread::start(store, Arc::clone(&links.stats.store))),
        started: Instant::now(),
        effects: Vec::new(),
        waiting: VecDeque::new(),
        killing: killing.clone(),
    };
    let driver = Driver {
        task: Some(tokio::spawn(core.run(inbox, commands))),
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
/// Inputs taken from one queue before the others get a look in.
const TURN_LEN_MAX: usize = 64;

/// What the driver's task owns.
struct Core<M: Machine> {
    machine: M,
    links: BTreeMap<PeerId, Link>,
    opening: Links,
    store: Option<StoreThread>,
    started: Instant,
    effects: Vec<Effect>,
    /// Inputs that effects gave rise to.
    waiting: VecDeque<Input<M::Command>>,
    killing: CancellationToken,
}

/// One open link, seen from the driver.
struct Link {
    side: Side,
    far: Arc<str>,
    meter: Meter,
    queue: mpsc::UnboundedSender<Bytes>,
    queued_bytes: Arc<AtomicUsize>,
    kill: CancellationToken,
}

impl<M: Machine> Core<M> {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Event>,
        mut commands: mpsc::Receiver<Ask<M::Command>>,
    ) -> Result<(), DriverError> {
        let stopping = self.opening.stopping.clone();
        let mut events = Vec::with_capacity(TURN_LEN_MAX);
        let mut asks = Vec::with_capacity(TURN_LEN_MAX);
        let mut asked = true;
        let alarm = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(alarm);
        let mut set_for = None;
        loop {
            let open = self.store.as_ref().is_none_or(|store| !store.is_full());
            let due = self.due();
            if due != set_for {
                set_for = due;
                if let Some(due) = due {
                    alarm.as_mut().reset(due.into());
                }
            }
            tokio::select! {
                () = stopping.cancelled() => break,
                progress = next_progress(self.store.as_mut()) => {
                    self.feed(Input::Committed(progress?));
                }
                _ = inbox.recv_many(&mut events, TURN_LEN_MAX), if open => {
                    events.drain(..).for_each(|event| self.on_event(event));
                }
                taken = commands.recv_many(&mut asks, TURN_LEN_MAX), if open && asked => {
                    // None means that every hub is gone; links go on without them.
                    asked = taken > 0;
                    asks.drain(..).for_each(|ask| self.on_ask(ask));
                }
                () = &mut alarm, if due.is_some() => {
                    set_for = None;
                    self.feed(Input::Deadline);
                }
            }
        }
        self.finish(commands).await
    }

    /// Everything that was asked is done and stored before the links are let go.
    async fn finish(
        mut self,
        mut commands: mpsc::Receiver<Ask<M::Command>>,
    ) -> Result<(), DriverError> {
        commands.close();
        while let Some(ask) = commands.recv().await {
            self.on_ask(ask);
        }
        while self.store.as_ref().is_some_and(StoreThread::is_behind) {
            let durable = next_progress(self.store.as_mut()).await?;
            self.feed(Input::Committed(durable));
        }
        if let Some(store) = self.store.take() {
            store.join().await;
        }
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        self.machine
            .deadline()
            .and_then(|deadline| self.started.checked_add(deadline.0))
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Opened(opened) => self.on_opened(*opened),
            // A link let go of may still have frames in the inbox: its PeerDown has been.
            Event::Heard { peer, frame, _room } if self.links.contains_key(&peer) => {
                self.feed(Input::Heard { peer, frame });
            }
            Event::Oversized(peer) if self.links.contains_key(&peer) => {
                self.feed(Input::Oversized { peer });
            }
            Event::Heard { .. } | Event::Oversized(_) => {}
            Event::Closed(peer) => {
                if self.links.remove(&peer).is_some() {
                    self.feed(Input::PeerDown { peer });
                }
            }
        }
    }

    fn on_opened(&mut self, opened: Opened) {
        let Opened {
            peer,
            socket,
            side,
            meter,
            far,
            ended,
        } = opened;
        let (queue, waiting) = mpsc::unbounded_channel();
        let link = Link {
            side,
            far,
            meter: meter.clone(),
            queue,
            queued_bytes: Arc::default(),
            kill: self.killing.child_token(),
        };
        let conn = Conn {
            peer,
            meter,
            queue: waiting,
            queued_bytes: Arc::clone(&link.queued_bytes),
            kill: link.kill.clone(),
            inbox: self.opening.inbox.clone(),
            config: Arc::clone(&self.opening.config),
            stats: Arc::clone(&self.opening.stats),
        };
        tracing::debug!(peer = peer.0, ?side, far = %link.far, "link up");
        self.opening.tasks.spawn(async move {
            let why = conn.run(socket).await;
            tracing::debug!(peer = peer.0, reason = %why, "link down");
            // Nobody waits for an accepted link.
            let _ = ended.send(why);
        });
        self.links.insert(peer, link);
        self.feed(Input::PeerUp { peer, side });
    }

    fn on_ask(&mut self, ask: Ask<M::Command>) {
        match ask {
            Ask::Command(command) => self.feed(Input::Command(command)),
            Ask::Links(reply) => {
                let views = self.links.iter().map(|(peer, link)| link.view(*peer));
                // The asker may have left.
                let _ = reply.send(views.collect());
            }
        }
    }

    /// Hands the machine one input, and the inputs its effects give rise to.
    fn feed(&mut self, input: Input<M::Command>) {
        self.waiting.push_back(input);
        let mut effects = std::mem::take(&mut self.effects);
        while let Some(input) = self.waiting.pop_front() {
            self.opening.stats.inputs.up();
            let now = self.now();
            self.machine.handle(input, now, &mut effects);
            effects.drain(..).for_each(|effect| self.carry_out(effect));
        }
        self.effects = effects;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { peer, frame } => self.send(peer, frame),
            Effect::Hangup { peer, reason } => {
                // Dropping the queue's end makes the link send what is queued, then close.
                if self.links.remove(&peer).is_some() {
                    self.opening.stats.hangups.up();
                    tracing::info!(peer = peer.0, reason, "hanging up");
                    self.waiting.push_back(Input::PeerDown { peer });
                }
            }
            Effect::Persist { commit, changes } => match &mut self.store {
                Some(store) => {
                    let awaited = store.durability() != Durability::None;
                    store.submit(commit, changes);
                    if !awaited {
                        self.waiting.push_back(Input::Committed(commit));
                    }
                }
                None => self.waiting.push_back(Input::Committed(commit)),
            },
        }
    }

    fn send(&mut self, peer: PeerId, frame: Bytes) {
        // The peer may have gone while the machine was speaking to it.
        let Some(link) = self.links.get(&peer) else {
            return;
        };
        let stats = &self.opening.stats;
        // A single frame may be larger than the whole queue, so only what waits before it counts.
        let queued_bytes = link.queued_bytes.load(Relaxed);
        if queued_bytes > self.opening.config.queue_bytes_max {
            stats.overflows.up();
            tracing::warn!(
                peer = peer.0,
                far = %link.far,
                queued_bytes,
                "hanging up on a peer that does not keep up"
            );
            link.kill.cancel();
            self.links.remove(&peer);
            self.waiting.push_back(Input::PeerDown { peer });
            return;
        }
        stats.frames_sent.up();
        stats.bytes_sent.add(frame.len() as u64);
        link.queued_bytes.fetch_add(frame.len(), Relaxed);
        // A link that has just ended no longer takes frames; its Closed is on the way.
        let _ = link.queue.send(frame);
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono: Mono(self.started.elapsed()),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Link {
    fn view(&self, peer: PeerId) -> LinkView {
        LinkView {
            peer,
            side: self.side,
            far: Arc::clone(&self.far),
            up: self.meter.age(),
            silent: self.meter.silent_for(),
            queued_bytes: self.queued_bytes.load(Relaxed),
            read_bytes: self.meter.read_bytes(),
            written_bytes: self.meter.written_bytes(),
        }
    }
}

/// The next commit that became durable; never, without a store.
async fn next_progress(store: Option<&mut StoreThread>) -> Result<Commit, DriverError> {
    match store {
        Some(store) => store.progress().await.map_err(DriverError::Store),
        None => std::future::pending().await,
    }
}
