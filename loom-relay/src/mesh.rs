//! The mesh: which peers there are, what they said, and who hears it.
//!
//! [`Mesh`] is a [`Machine`]: it merges what it hears into a [`Graph`], passes it on, answers
//! gets, acknowledges puts when they are stored, and reconciles with other Loom peers. Every rule
//! is written down with its source in `docs/protocol.md`.

mod acks;
mod answer;
mod away;
mod config;
mod counters;
mod deferred;
mod greet;
mod held;
mod ids;
mod intake;
mod lease;
mod link;
mod lookup;
mod parcel;
mod pull;
mod queues;
mod reconcile;
mod route;
mod seen;
mod sync;
mod turn;
mod vet;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Mono, Now, StateClock};
use crate::graph::{Graph, Held};
use crate::machine::{Commit, Deferral, Effect, Input, Machine, Side};
use crate::model::{PeerId, Stamp, Write};
use crate::wire::{self, BadFrame, Refusal, encode};

use acks::Acks;
use away::Away;
use deferred::{Deferred, Waiting};
use ids::Ids;
use lease::Lease;
use link::{Kind, Link};
use seen::Seen;
use sync::common::Common;
use turn::{Audience, Turn};
use vet::{RefusalLog, Vetted};

pub use config::{Interest, MeshConfig};
pub use counters::Counters;
pub use deferred::{DEFERRED_BYTES_MAX, DEFERRED_MAX, DeferredView, LOOK_AGAIN};
pub use greet::Greeter;
pub use lease::LEASE;
pub use link::LinkView;
pub use lookup::LOOKUP_BYTES_MAX;
pub use parcel::PARCEL_BYTES;
pub use queues::QueueView;
pub use seen::{REMEMBERED_FOR, REMEMBERED_MAX};
pub use sync::common::PEERS_MAX;
pub use sync::pace::{COMPARE_EVERY, COMPARE_JITTER_MS};
pub use sync::pass::FOUND_MAX;
pub use sync::{ANSWER_WITHIN, CHUNK_BYTES, SyncPhase, SyncView};
pub use vet::SIGNATURES_PER_FRAME_MAX;

/// How often an accepting side says something, so that proxies keep idle links; as in gun.js.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(20);

/// How long a peer we dialled has to greet before it is taken for one that never does.
pub const GREETING_WITHIN: Duration = Duration::from_secs(1);

/// Most writes that lost remembered between two calls of [`Mesh::take_beaten`]; they only inform.
const BEATEN_MAX: usize = 4_096;

/// One member of a GUN mesh.
#[derive(Debug)]
pub struct Mesh {
    config: MeshConfig,
    /// This member's name for itself.
    pid: String,
    graph: Graph,
    clock: StateClock,
    /// Why nothing can be stored at the moment, and so is merged.
    stalled: Option<Arc<str>>,
    lease: Lease,
    ids: Ids,
    seen: Seen,
    links: BTreeMap<PeerId, Link>,
    timers: BTreeSet<(Mono, PeerId, Timer)>,
    acks: Acks,
    deferred: Deferred,
    away: Away,
    common: Common,
    /// Own writes are counted in sections; each comparison of roots ends one.
    section: u64,
    /// Writes of sections before this are known to be held by another Loom peer.
    held: u64,
    /// The section of the latest own write.
    written_in: Option<u64>,
    beaten: Vec<Write>,
    refusal_log: RefusalLog,
    counters: Counters,
}

/// What a link waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Still no greeting: it is gun.js, or like it.
    Greeting,
    /// Time for the empty array.
    Heartbeat,
    /// Time for the next piece of something large.
    Parcel,
    /// Time to compare roots, or to ask again.
    Sync,
}

impl Mesh {
    /// A member that goes on from what it held; `seed` makes its ids and its name.
    pub fn new(config: MeshConfig, held: impl Into<Held>, seed: u64) -> Self {
        let Held {
            mut graph,
            deferred,
            lease,
        } = held.into();
        let mut waiting = Deferred::default();
        for write in deferred {
            graph.foresee(&write);
            waiting.wait(Waiting {
                write,
                from: Some(PeerId::FORMER),
                // Who was told before is not known.
                links_up: 0,
            });
        }
        waiting.look_at_once();
        let mut ids = Ids::new(seed);
        let mut clock = StateClock::default();
        if let Some(latest) = graph.latest() {
            clock.observe(latest);
        }
        Self {
            config,
            pid: ids.text(),
            graph,
            clock,
            stalled: None,
            lease: Lease::new(lease),
            ids,
            seen: Seen::new(REMEMBERED_MAX),
            links: BTreeMap::new(),
            timers: BTreeSet::new(),
            acks: Acks::default(),
            deferred: waiting,
            away: Away::default(),
            common: Common::default(),
            section: 0,
            held: 0,
            written_in: None,
            beaten: Vec::new(),
            refusal_log: RefusalLog::default(),
            counters: Counters::default(),
        }
    }

    /// A stamp for a write of this process: later than all it has issued, and all it holds. Ask
    /// [`Mesh::may_issue`] first, or it may be issued again after a crash.
    pub fn issue(&mut self, wall_ms: u64) -> Stamp {
        if let Some(former) = self.lease.former() {
            self.clock.observe(former);
        }
        self.clock.issue(wall_ms)
    }

    /// Merges writes of this process, sends what won to all peers and hands it to the store.
    ///
    /// Returns the commit that makes them durable; `None` when nothing won. Writes must
    /// pass [`wire::check_write`]: one that could not travel is left out and counted as refused.
    pub fn write(
        &mut self,
        writes: Vec<Write>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Option<Commit> {
        let mut turn = Turn::new(now, effects);
        for write in writes {
            if wire::check_write(&write).is_err() {
                self.counters.messages_refused += 1;
                continue;
            }
            self.merge(Vetted::own(write), None, &mut turn);
        }
        turn.spread_changes_since(0, Audience::everyone());
        if !turn.batch.changes.is_empty() {
            self.note_own_writes(now.mono);
            self.renew_lease(&mut turn);
        }
        self.finish(turn)
    }

    /// The section own writes are counted in at the moment.
    pub fn section(&self) -> u64 {
        self.section
    }

    /// Own writes of sections below this are known to be held by another Loom peer: after they were
    /// sent it has answered, and what was written before its link came up has been reconciled.
    pub fn sections_held(&self) -> u64 {
        self.held
    }

    /// The writes that lost their merge since the last call against another value; empty unless
    /// [`MeshConfig::keeps_beaten`].
    pub fn take_beaten(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.beaten)
    }

    /// Holds a write whatever has won before. No protocol wants this: it plants a fault for testers
    /// to find.
    pub fn overrule(&mut self, write: Write) {
        self.graph.overrule(write);
    }

    /// Why nothing can be stored, and therefore nothing is merged, at the moment.
    pub fn stalled(&self) -> Option<&Arc<str>> {
        self.stalled.as_ref()
    }

    /// What is held.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// All links, by number.
    pub fn links(&self) -> impl Iterator<Item = LinkView> {
        self.links.iter().map(|(peer, link)| link.view(*peer))
    }

    /// Writes that wait for the clock.
    pub fn deferred(&self) -> DeferredView {
        self.deferred.view()
    }

    /// How many ids are remembered, at most [`REMEMBERED_MAX`].
    pub fn remembered(&self) -> usize {
        self.seen.len()
    }

    /// The name this member greets with.
    pub fn pid(&self) -> &str {
        &self.pid
    }

    fn on_peer_up(&mut self, peer: PeerId, side: Side, turn: &mut Turn<'_>) {
        self.counters.links_up += 1;
        let link = Link::new(side, self.counters.links_up, turn.now.mono);
        self.links.insert(peer, link);
        let now = turn.now.mono;
        match side {
            Side::Accepted => {
                let hello = encode::hello(&self.ids.next(), None, &self.pid);
                self.send(peer, hello, turn);
                let next = now.after(HEARTBEAT_EVERY);
                self.timers.insert((next, peer, Timer::Heartbeat));
            }
            Side::Dialled => {
                let limit = now.after(GREETING_WITHIN);
                self.timers.insert((limit, peer, Timer::Greeting));
            }
        }
    }

    fn on_peer_down(&mut self, peer: PeerId) {
        if let Some(link) = self.links.remove(&peer) {
            self.counters.links_down += 1;
            if let Some(pid) = link.pid {
                self.away.gone(pid, link.wrote);
            }
        }
        self.timers.retain(|(_, of, _)| *of != peer);
        self.acks.forget(peer);
    }

    fn on_heard(&mut self, peer: PeerId, frame: &Bytes, turn: &mut Turn<'_>) {
        self.counters.frames_in += 1;
        self.counters.bytes_in += frame.len() as u64;
        if let Some(link) = self.links.get_mut(&peer) {
            link.heard = turn.now.mono;
        }
        match wire::decode(frame) {
            Ok(messages) => {
                for message in messages {
                    // An earlier message of the frame may have ended the link.
                    if !self.links.contains_key(&peer) {
                        return;
                    }
                    match message {
                        Ok(message) => self.hear(peer, message, turn),
                        Err(refusal) => self.refuse(peer, &refusal, turn),
                    }
                }
            }
            Err(BadFrame::TooBig) => self.on_oversized(peer, turn),
            Err(bad) => {
                self.counters.frames_malformed += 1;
                // gun.js says nothing about text that does not even start like a message.
                if bad != BadFrame::NotAMessage {
                    self.send(peer, encode::complaint(&bad.to_string()), turn);
                }
            }
        }
    }

    fn on_oversized(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        self.counters.frames_oversize += 1;
        self.note_missed(peer, turn.now.mono);
        let complaint = encode::complaint(&BadFrame::TooBig.to_string());
        self.send(peer, complaint, turn);
    }

    fn refuse(&mut self, peer: PeerId, refusal: &Refusal, turn: &mut Turn<'_>) {
        self.counters.messages_refused += 1;
        if refusal.is_answer {
            self.on_bad_answer(peer, turn);
            return;
        }
        let Some(id) = &refusal.id else { return };
        // The same message may arrive over several links; one answer is enough.
        if self.seen.touch(id.key(), turn.now.mono) {
            self.counters.duplicates += 1;
            return;
        }
        self.remember(id, seen::Origin::Peer(peer), turn);
        self.send_refusal(peer, id, &refusal.reason.to_string(), turn);
    }

    fn on_committed(&mut self, commit: Commit, turn: &mut Turn<'_>) {
        self.lease.committed(commit);
        let mut by_peer: BTreeMap<PeerId, Vec<Bytes>> = BTreeMap::new();
        for (peer, put) in self.acks.committed(commit) {
            let ack = encode::ack(&self.ids.next(), &put);
            by_peer.entry(peer).or_default().push(ack);
        }
        for (peer, acks) in by_peer {
            // gun.js fills arrays to about this many messages of this size.
            for acks in acks.chunks(128) {
                self.counters.acks_out += acks.len() as u64;
                self.send(peer, encode::batch(acks), turn);
            }
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        while let Some((when, peer, timer)) = self.timers.first().copied() {
            if when > turn.now.mono {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Greeting => self.on_no_greeting(peer, turn),
                Timer::Heartbeat => self.on_heartbeat(peer, turn),
                Timer::Parcel => self.deliver_parcel(peer, turn),
                Timer::Sync => self.on_sync_timer(peer, turn),
            }
        }
    }

    fn on_heartbeat(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let is_loom = self.links.get(&peer).is_none_or(Link::is_loom);
        if !is_loom {
            self.send(peer, encode::heartbeat(), turn);
            let next = turn.now.mono.after(HEARTBEAT_EVERY);
            self.timers.insert((next, peer, Timer::Heartbeat));
        }
    }

    /// Merges what was deferred and is no longer in the future, and tells the links that were not
    /// there when it came; the others had it at once and decide for themselves.
    fn merge_due(&mut self, turn: &mut Turn<'_>) {
        if self.stalled.is_some() {
            return;
        }
        let clock = self.clock.reading(turn.now.wall_ms);
        while let Some(waiting) = self.deferred.take_due(clock) {
            let before = turn.batch.changes.len();
            let over = Deferral::Over(waiting.write.clone());
            turn.batch.deferrals.push(over);
            self.merge(Vetted::own(waiting.write), waiting.from, turn);
            let audience = Audience {
                not: [waiting.from, None],
                newer_than: waiting.links_up,
            };
            turn.spread_changes_since(before, audience);
        }
    }

    fn send(&mut self, peer: PeerId, frame: Bytes, turn: &mut Turn<'_>) {
        send(&mut self.counters, peer, frame, turn);
    }
}

/// For where the links are being walked.
fn send(counters: &mut Counters, peer: PeerId, frame: Bytes, turn: &mut Turn<'_>) {
    counters.frames_out += 1;
    counters.bytes_out += frame.len() as u64;
    turn.effects.push(Effect::Send { peer, frame });
}

impl Machine for Mesh {
    type Command = Infallible;

    fn handle(&mut self, input: Input<Infallible>, now: Now, effects: &mut Vec<Effect>) {
        let mut turn = Turn::new(now, effects);
        match input {
            Input::PeerUp { peer, side } => self.on_peer_up(peer, side, &mut turn),
            Input::PeerDown { peer } => self.on_peer_down(peer),
            Input::Heard { peer, frame } => {
                // A link this side has hung up on may still deliver what was on its way.
                if self.links.contains_key(&peer) {
                    self.on_heard(peer, &frame, &mut turn);
                }
            }
            Input::Oversized { peer } => {
                if self.links.contains_key(&peer) {
                    self.on_oversized(peer, &mut turn);
                }
            }
            Input::Committed(commit) => self.on_committed(commit, &mut turn),
            Input::Stalled(why) => self.stalled = Some(why),
            Input::Resumed => self.stalled = None,
            Input::Command(never) => match never {},
            Input::Deadline => self.on_deadline(&mut turn),
        }
        self.merge_due(&mut turn);
        self.finish(turn);
        if self.lease.due().is_some_and(|due| due <= now.mono) {
            self.lease.look_again();
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let timer = self.timers.first().map(|(when, ..)| *when);
        // Nothing is merged while nothing can be stored.
        let deferred = self.deferred.due().filter(|_| self.stalled.is_none());
        [timer, deferred, self.lease.due()]
            .into_iter()
            .flatten()
            .min()
    }
}
