//! The one task that owns a machine: takes inputs from every queue in turn, carries out effects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::DriverError;
use super::hub::{Ask, Event, Links};
use super::link::Link;
use crate::clock::{Mono, Now};
use crate::machine::{Commit, Effect, Input, Machine};
use crate::model::PeerId;
use crate::store::thread::{Progressed, StoreThread};
use crate::store::{Durability, Store, StoreError};

/// What the driver's task owns.
pub(super) struct Core<M: Machine> {
    machine: M,
    links: BTreeMap<PeerId, Link>,
    /// What links said while there was no machine; comes before anything they say now.
    held: VecDeque<Event>,
    opening: Links,
    store: Option<StoreThread>,
    /// Why nothing is stored at the moment.
    stalled: Option<Arc<StoreError>>,
    started: Instant,
    effects: Vec<Effect>,
    /// Inputs that effects gave rise to.
    waiting: VecDeque<Input<M::Command>>,
    /// The last commit of this turn, if none is waited for.
    unawaited: Option<Commit>,
    killing: CancellationToken,
}

impl<M: Machine> Core<M> {
    pub(super) fn new(
        machine: M,
        opening: Links,
        store: Option<Box<dyn Store>>,
        killing: CancellationToken,
    ) -> Self {
        let stored = Arc::clone(&opening.stats.store);
        let store = store.map(|store| StoreThread::start(store, stored));
        Self {
            machine,
            links: BTreeMap::new(),
            held: VecDeque::new(),
            opening,
            store,
            stalled: None,
            started: Instant::now(),
            effects: Vec::new(),
            waiting: VecDeque::new(),
            unawaited: None,
            killing,
        }
    }

    /// Goes on with the links that were served so far, and what they have said.
    pub(super) fn resume(&mut self, links: BTreeMap<PeerId, Link>, held: VecDeque<Event>) {
        self.links = links;
        self.held = held;
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
            // While it stores nothing the machine gives it nothing either, and reads go on.
            let is_full = self.store.as_ref().is_some_and(StoreThread::is_full);
            let open = !is_full || self.stalled.is_some();
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
                    self.on_progress(progress?);
                }
                () = std::future::ready(()), if open && !self.held.is_empty() => {
                    let turn = self.held.len().min(TURN_LEN_MAX);
                    events.extend(self.held.drain(..turn));
                    events.drain(..).for_each(|event| self.on_event(event));
                }
                _ = inbox.recv_many(&mut events, TURN_LEN_MAX), if open && self.held.is_empty() => {
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
            // Nothing of it was acknowledged, and nobody can say how long it would take.
            if let Some(stalled) = self.stalled.take() {
                return Err(DriverError::Store(stalled));
            }
            let progress = next_progress(self.store.as_mut()).await?;
            self.on_progress(progress);
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

    fn on_progress(&mut self, progress: Progressed) {
        match progress {
            Progressed::Stored(commit) => self.feed(Input::Committed(commit)),
            Progressed::Stalled(why) => {
                let sentence = why.to_string().into();
                self.stalled = Some(why);
                self.feed(Input::Stalled(sentence));
            }
            Progressed::Resumed => {
                self.stalled = None;
                self.feed(Input::Resumed);
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Opened(opened) => {
                let (peer, link) = Link::open(*opened, &self.opening, &self.killing);
                let side = link.side;
                self.links.insert(peer, link);
                self.feed(Input::PeerUp { peer, side });
            }
            Event::OpenedBefore { peer, side } if self.links.contains_key(&peer) => {
                self.feed(Input::PeerUp { peer, side });
            }
            // A link let go of may still have frames in the inbox: its PeerDown has been.
            Event::Heard { peer, frame, _room } if self.links.contains_key(&peer) => {
                self.feed(Input::Heard { peer, frame });
            }
            Event::Oversized(peer) if self.links.contains_key(&peer) => {
                self.feed(Input::Oversized { peer });
            }
            Event::OpenedBefore { .. } | Event::Heard { .. } | Event::Oversized(_) => {}
            Event::Closed(peer) => {
                if self.links.remove(&peer).is_some() {
                    self.feed(Input::PeerDown { peer });
                }
            }
        }
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
        if self.opening.own_bytes.load(Relaxed) > config.all_queues_bytes_max {
            let fullest = (self.links.iter()).max_by_key(|(_, link)| link.outbox.own_bytes());
            let fullest = fullest.map_or(peer, |(peer, _)| *peer);
            self.overflow(fullest, "too much waits for all peers together: hanging up");
        }
        let Some(link) = self.links.get(&peer) else {
            return;
        };
        link.send(frame, &self.opening.stats);
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
        let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Now {
            mono: Mono(self.started.elapsed()),
            wall_ms: self.opening.config.skew.shift(wall_ms),
        }
    }
}

/// What the store has to tell next; never anything, without one.
async fn next_progress(store: Option<&mut StoreThread>) -> Result<Progressed, DriverError> {
    match store {
        Some(store) => store.progress().await.map_err(DriverError::Store),
        None => std::future::pending().await,
    }
}

/// Inputs taken from one queue before the others get a look in.
const TURN_LEN_MAX: usize = 64;
