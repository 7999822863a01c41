//! A handful of meshes wired together by hand: frames wait on links until a test delivers them.

#![allow(dead_code, reason = "every test file uses another part")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use loom_relay::clock::{Mono, Now};
use loom_relay::graph::{Graph, Held};
use loom_relay::machine::{Batch, Commit, Deferral, Effect, Input, Machine, Side};
use loom_relay::mesh::{Mesh, MeshConfig};
use loom_relay::model::{Cell, PeerId, Value, Write};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value as Json;

pub(crate) const START_MS: u64 = 1_800_000_000_000;

pub(crate) const NODES: &str = "loomdb:nodes";

/// Meshes by index, links between them, and scripted clients that speak raw frames.
pub(crate) struct Net {
    pub(crate) members: Vec<Member>,
    /// Frames on their way, by (sender's end, receiver's end).
    wires: BTreeMap<(End, End), VecDeque<Bytes>>,
    pub(crate) now: Now,
    /// How far everybody's wall clock was set forward.
    set_forward: Duration,
    next_peer: u64,
    next_seed: u64,
}

/// One end of a link: a member and its number for the link, or a scripted client.
pub(crate) type End = (usize, PeerId);

/// The "member" whose ends are scripted clients.
const SCRIPT: usize = usize::MAX;

pub(crate) struct Member {
    pub(crate) mesh: Mesh,
    pub(crate) stored: Batch,
    /// Commits that wait for the test to say that the store is done.
    pub(crate) uncommitted: VecDeque<Commit>,
    pub(crate) commits_at_once: bool,
    pub(crate) hung_up: Vec<PeerId>,
}

/// A raw websocket client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    own: End,
    pub(crate) theirs: End,
}

pub(crate) fn relay() -> MeshConfig {
    MeshConfig::relay()
}

pub(crate) fn node() -> MeshConfig {
    MeshConfig::node(vec![NODES.into(), "loomdb:edges".into()])
}

impl Net {
    pub(crate) fn new(configs: impl IntoIterator<Item = MeshConfig>) -> Self {
        let mut net = Self {
            members: Vec::new(),
            wires: BTreeMap::new(),
            now: Now {
                mono: Mono(Duration::from_secs(1)),
                wall_ms: START_MS,
            },
            set_forward: Duration::ZERO,
            next_peer: 0,
            next_seed: 0,
        };
        for config in configs {
            net.next_seed += 1;
            let member = Member::new(config, Graph::default(), net.next_seed);
            net.members.push(member);
        }
        net
    }

    /// A member starts again with `graph`. Cut its links first.
    pub(crate) fn restart(&mut self, member: usize, config: MeshConfig, held: impl Into<Held>) {
        // Never one used before: two members with one name would take each other for themselves.
        self.next_seed += 1;
        let seed = self.next_seed;
        let before = &self.members[member];
        let (stored, commits_at_once) = (before.stored.clone(), before.commits_at_once);
        self.members[member] = Member {
            stored,
            commits_at_once,
            ..Member::new(config, held, seed)
        };
    }

    /// `a` dials `b`.
    pub(crate) fn link(&mut self, a: usize, b: usize) -> (End, End) {
        let ends = (self.end(a), self.end(b));
        self.wires.insert(ends, VecDeque::new());
        self.wires.insert((ends.1, ends.0), VecDeque::new());
        self.up(ends.1, Side::Accepted);
        self.up(ends.0, Side::Dialled);
        ends
    }

    /// A scripted client dials `member`; its greeting is left unanswered.
    pub(crate) fn client(&mut self, member: usize) -> Client {
        self.script(member, Side::Accepted)
    }

    /// `member` dials a scripted peer.
    pub(crate) fn dial_script(&mut self, member: usize) -> Client {
        self.script(member, Side::Dialled)
    }

    fn script(&mut self, member: usize, side: Side) -> Client {
        let client = Client {
            own: self.end(SCRIPT),
            theirs: self.end(member),
        };
        self.wires
            .insert((client.own, client.theirs), VecDeque::new());
        self.wires
            .insert((client.theirs, client.own), VecDeque::new());
        self.up(client.theirs, side);
        client
    }

    /// The link goes down; what was on its way is lost.
    pub(crate) fn cut(&mut self, (a, b): (End, End)) {
        self.wires.remove(&(a, b));
        self.wires.remove(&(b, a));
        for (member, peer) in [a, b] {
            if member != SCRIPT {
                self.input(member, Input::PeerDown { peer });
            }
        }
    }

    /// Frames on their way from one end to the other are lost; the link stays up.
    pub(crate) fn lose(&mut self, from: End, to: End) -> usize {
        let wire = self.wires.get_mut(&(from, to)).unwrap();
        wire.drain(..).count()
    }

    /// Time passes; deadlines are kept, but nothing is delivered.
    pub(crate) fn pass_holding(&mut self, time: Duration) {
        self.move_to(self.now.mono.after(time));
        for index in 0..self.members.len() {
            let due = self.members[index].mesh.deadline();
            if due.is_some_and(|due| due <= self.now.mono) {
                self.input(index, Input::Deadline);
            }
        }
    }

    pub(crate) fn hang_up(&mut self, client: Client) {
        self.cut((client.own, client.theirs));
    }

    /// A client says something; it arrives at once.
    pub(crate) fn say(&mut self, client: Client, frame: impl Into<Bytes>) {
        let (member, peer) = client.theirs;
        let frame = frame.into();
        self.input(member, Input::Heard { peer, frame });
    }

    /// What a client has heard since the last time, one entry per frame.
    pub(crate) fn heard(&mut self, client: Client) -> Vec<String> {
        let wire = self.wires.get_mut(&(client.theirs, client.own)).unwrap();
        let frames = wire.drain(..);
        frames
            .map(|frame| String::from_utf8(frame.to_vec()).unwrap())
            .collect()
    }

    /// A write of a member's own, stamped by its own clock.
    pub(crate) fn write(&mut self, member: usize, field: &str, value: &str) {
        // 50,000 writes a second: more than 999 in a millisecond would run into the future.
        self.move_to(self.now.mono.after(Duration::from_micros(20)));
        let stamp = self.members[member].mesh.issue(self.now.wall_ms);
        let cell = Cell {
            stamp,
            value: Value::text(value),
        };
        self.write_cell(member, field, cell);
    }

    pub(crate) fn write_cell(&mut self, member: usize, field: &str, cell: Cell) {
        let write = Write {
            soul: NODES.into(),
            field: field.into(),
            cell,
        };
        let mut effects = Vec::new();
        let mesh = &mut self.members[member].mesh;
        mesh.write(vec![write], self.now, &mut effects);
        self.carry_out(member, effects);
    }

    pub(crate) fn input(&mut self, member: usize, input: Input<std::convert::Infallible>) {
        let mut effects = Vec::new();
        let mesh = &mut self.members[member].mesh;
        mesh.handle(input, self.now, &mut effects);
        self.carry_out(member, effects);
    }

    /// The store of a member has caught up.
    pub(crate) fn commit_all(&mut self, member: usize) {
        while let Some(commit) = self.members[member].uncommitted.pop_front() {
            self.input(member, Input::Committed(commit));
        }
    }

    /// Delivers frames between members in order, until none is on its way.
    pub(crate) fn settle(&mut self) {
        while let Some(link) = self.busy().first().copied() {
            self.deliver(link);
        }
    }

    /// The same, taking the links in a random order; each link stays in order, as TCP does.
    pub(crate) fn settle_randomly(&mut self, rng: &mut SmallRng) {
        loop {
            let busy = self.busy();
            if busy.is_empty() {
                return;
            }
            self.deliver(busy[rng.random_range(0..busy.len())]);
        }
    }

    /// Delivers one frame of a random link, if there is any.
    pub(crate) fn deliver_any(&mut self, rng: &mut SmallRng) {
        let busy = self.busy();
        if !busy.is_empty() {
            self.deliver(busy[rng.random_range(0..busy.len())]);
        }
    }

    /// Lets time pass; every deadline on the way is kept, and frames are delivered in between.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now.mono.after(time);
        loop {
            self.settle();
            let due = self.members.iter().enumerate();
            let due = due.filter_map(|(index, member)| Some((member.mesh.deadline()?, index)));
            let Some((when, index)) = due.min().filter(|(when, _)| *when <= until) else {
                break;
            };
            self.move_to(when.max(self.now.mono));
            self.input(index, Input::Deadline);
        }
        self.move_to(until);
    }

    /// Sets everybody's wall clock forward. Nobody is told.
    pub(crate) fn set_forward(&mut self, by: Duration) {
        self.set_forward += by;
        self.move_to(self.now.mono);
    }

    fn move_to(&mut self, mono: Mono) {
        let passed = mono.since(Mono(Duration::from_secs(1))) + self.set_forward;
        self.now = Now {
            mono,
            wall_ms: START_MS + passed.as_millis() as u64,
        };
    }

    fn busy(&self) -> Vec<(End, End)> {
        let wires = self.wires.iter();
        wires
            .filter(|((_, to), frames)| to.0 != SCRIPT && !frames.is_empty())
            .map(|(ends, _)| *ends)
            .collect()
    }

    fn deliver(&mut self, link: (End, End)) {
        let frame = self.wires.get_mut(&link).unwrap().pop_front().unwrap();
        let (member, peer) = link.1;
        self.input(member, Input::Heard { peer, frame });
    }

    fn up(&mut self, (member, peer): End, side: Side) {
        self.input(member, Input::PeerUp { peer, side });
    }

    fn end(&mut self, member: usize) -> End {
        self.next_peer += 1;
        (member, PeerId(self.next_peer))
    }

    fn carry_out(&mut self, member: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { peer, frame } => {
                    assert!(frame.len() <= loom_relay::wire::FRAME_BYTES_MAX);
                    let from = (member, peer);
                    let mut wires = self.wires.iter_mut();
                    // A link that is down takes nothing; a driver would drop it too.
                    if let Some((_, wire)) = wires.find(|((sender, _), _)| *sender == from) {
                        wire.push_back(frame);
                    }
                }
                Effect::Hangup { peer, .. } => self.members[member].hung_up.push(peer),
                Effect::Persist { commit, batch } => {
                    assert!(!batch.is_empty());
                    let store = &mut self.members[member];
                    store.stored.append(batch);
                    if store.commits_at_once {
                        self.input(member, Input::Committed(commit));
                    } else {
                        store.uncommitted.push_back(commit);
                    }
                }
            }
        }
    }

    /// The value of a field, without quotes.
    pub(crate) fn value(&self, member: usize, field: &str) -> Option<String> {
        let cell = self.members[member].mesh.graph().get(NODES, field)?;
        cell.value.as_text()
    }

    pub(crate) fn assert_agreed(&self, context: &str) {
        let roots = self.members.iter().map(|member| member.mesh.graph().root());
        let roots: Vec<_> = roots.collect();
        assert!(
            roots.windows(2).all(|pair| pair[0] == pair[1]),
            "{context}: {:?}",
            roots.iter().map(|root| root.count()).collect::<Vec<_>>()
        );
    }
}

impl Member {
    /// What its store would hand it at its next start.
    pub(crate) fn held(&self) -> Held {
        let mut held = Held {
            lease: self.stored.lease,
            ..Held::default()
        };
        for change in &self.stored.changes {
            held.graph.load(change.write.clone());
        }
        for deferral in &self.stored.deferrals {
            match deferral {
                Deferral::Waits(write) => held.deferred.push(write.clone()),
                Deferral::Over(write) => held.deferred.retain(|other| other != write),
            }
        }
        held
    }

    fn new(config: MeshConfig, held: impl Into<Held>, seed: u64) -> Self {
        Self {
            mesh: Mesh::new(config, held, seed),
            stored: Batch::default(),
            uncommitted: VecDeque::new(),
            commits_at_once: true,
            hung_up: Vec::new(),
        }
    }
}

pub(crate) fn rng(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// What a client heard, without greetings, arrays taken apart.
pub(crate) fn messages(net: &mut Net, client: Client) -> Vec<Json> {
    let frames = net.heard(client);
    let frames = frames
        .iter()
        .map(|frame| serde_json::from_str(frame).unwrap());
    let messages = frames.flat_map(|frame: Json| match frame {
        Json::Array(several) => several,
        one => vec![one],
    });
    messages.filter(|message| message["dam"] != "?").collect()
}

/// `{"#":id,"put":{soul:{...}}}` with one field.
pub(crate) fn put(id: &str, soul: &str, field: &str, state: f64, json: &str) -> String {
    format!(
        r##"{{"#":"{id}","put":{{"{soul}":{{"_":{{"#":"{soul}",">":{{"{field}":{state}}}}},"{field}":{json}}}}}}}"##
    )
}

pub(crate) fn get(id: &str, soul: &str) -> String {
    format!(r##"{{"#":"{id}","get":{{"#":"{soul}"}}}}"##)
}
