//! The one task that owns a machine: takes inputs from every queue in turn, carries out effects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::DriverError;
use super::conn::Conn;
use super::hub::{Ask, Event, LinkView, Links, Opened};
use super::meter::Meter;
use super::outbox::{Outbox, OwnBytes, outbox};
use crate::clock::{Mono, Now};
use crate::machine::{Commit, Effect, Input, Machine, Side};
use crate::model::PeerId;
use crate::store::Durability;
use crate::store::thread::StoreThread;

/// What the driver's task owns.
pub(super) struct Core<M: Machine> {
    machine: M,
    links: BTreeMap<PeerId, Link>,
    /// What waits in memory for one link each, over all links.
    own_bytes: OwnBytes,
    opening: Links,
    store: Option<StoreThread>,
    started: Instant,
    effects: Vec<Effect>,
    /// Inputs that effects gave rise to.
    waiting: VecDeque<Input<M::Command>>,
    /// The last commit of this turn, if none is waited for.
    unawaited: Option<Commit>,
    killing: CancellationToken,
}

/// One open link, seen from the driver.
struct Link {
    side: Side,
    far: Arc<str>,
    meter: Meter,
    outbox: Outbox,
    kill: CancellationToken,
}

impl<M: Machine> Core<M> {
    pub(super) fn new(
        machine: M,
        opening: Links,
        store: Option<StoreThread>,
        killing: CancellationToken,
    ) -> Self {
        Self {
            machine,
            links: BTreeMap::new(),
            own_bytes: OwnBytes::default(),
            opening,
            store,
            started: Instant::now(),
            effects: Vec::new(),
            waiting: VecDeque::new(),
            unawaited: None,
            killing,
        }
    }

    /// Works until it is told to stop, or the store fails.
    pub(super) async fn run(
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
            self.end_turn();
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
            self.end_turn();
        }
        while self.store.as_ref().is_some_and(StoreThread::is_behind) {
            let durable = next_progress(self.store.as_mut()).await?;
            self.feed(Input::Committed(durable));
            self.end_turn();
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
        let (outbox, waiting) = outbox(&self.own_bytes);
        let link = Link {
            side,
            far,
            meter: meter.clone(),
            outbox,
            kill: self.killing.child_token(),
        };
        let conn = Conn {
            peer,
            meter,
            queue: waiting,
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
            Effect::Persist { commit, batch } => {
                let awaited = self.store.as_mut().is_some_and(|store| {
                    store.submit(commit, batch);
                    store.durability() != Durability::None
                });
                if !awaited {
                    self.unawaited = Some(commit);
                }
            }
        }
    }

    /// Sends the store on its way with all that the inputs of this turn submitted, and reports what
    /// nobody waits for.
    fn end_turn(&mut self) {
        // What a commit gives rise to may be one more.
        while let Some(commit) = self.unawaited.take() {
            self.feed(Input::Committed(commit));
        }
        if let Some(store) = &mut self.store {
            store.flush();
        }
    }

    fn send(&mut self, peer: PeerId, frame: Bytes) {
        // The peer may have gone while the machine was speaking to it.
        let Some(link) = self.links.get(&peer) else {
            return;
        };
        let config = &self.opening.config;
        // A single frame may be larger than the whole queue, so only what waits before it counts.
        if link.outbox.bytes() > config.queue_bytes_max {
            self.overflow(peer, "hanging up on a peer that does not keep up");
            return;
        }
        if self.own_bytes.load(Relaxed) > config.all_queues_bytes_max {
            let fullest = (self.links.iter()).max_by_key(|(_, link)| link.outbox.own_bytes());
            let fullest = fullest.map_or(peer, |(peer, _)| *peer);
            self.overflow(fullest, "too much waits for all peers together: hanging up");
        }
        let Some(link) = self.links.get(&peer) else {
            return;
        };
        let stats = &self.opening.stats;
        stats.frames_sent.up();
        stats.bytes_sent.add(frame.len() as u64);
        link.outbox.push(frame);
    }

    /// Drops a link with all that waits for it.
    fn overflow(&mut self, peer: PeerId, why: &str) {
        let Some(link) = self.links.remove(&peer) else {
            return;
        };
        self.opening.stats.overflows.up();
        tracing::warn!(
            peer = peer.0,
            far = %link.far,
            queued_bytes = link.outbox.bytes(),
            "{why}"
        );
        link.kill.cancel();
        self.waiting.push_back(Input::PeerDown { peer });
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
            queued_bytes: self.outbox.bytes(),
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

/// Inputs taken from one queue before the others get a look in.
const TURN_LEN_MAX: usize = 64;
