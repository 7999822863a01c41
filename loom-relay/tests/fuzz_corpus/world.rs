//! One mesh, its links, its store and its clocks, driven by a byte program, and what must hold
//! after every single input whatever the program is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use loom_relay::clock::{Mono, Now};
use loom_relay::graph::Graph;
use loom_relay::machine::{Batch, Commit, Deferral, Effect, Input, Machine as _, Side};
use loom_relay::mesh::{Mesh, MeshConfig};
use loom_relay::model::{Cell, Field, PeerId, Soul, Stamp, Value, Write};
use loom_relay::wire;

use crate::grammar::{self, Context};
use crate::program::Program;

/// Links open at once; more would only make programs longer.
const LINKS_MAX: usize = 6;

/// Large puts per program: enough to fill several pieces of an answer, few enough to be quick.
const LARGE_MAX: usize = 6;

/// Runs `bytes` to their end.
pub(crate) fn run(bytes: &[u8]) {
    let mut program = Program::new(bytes);
    let is_relay = !program.rarely(4);
    let mut world = World::new(is_relay, u64::from(program.byte()));
    while let Some(instruction) = program.instruction() {
        world.step(instruction, &mut program);
    }
    world.end();
}

struct World {
    mesh: Mesh,
    is_relay: bool,
    now: Now,
    up: BTreeMap<PeerId, Far>,
    /// Links that are no more; the driver may still deliver what was on its way.
    down: Vec<PeerId>,
    next_peer: u64,
    next_put: u64,
    large: usize,
    uncommitted: VecDeque<Commit>,
    issued: Commit,
    done: Commit,
    /// What the store was told.
    stored: BTreeMap<(Soul, Field), Cell>,
    /// What it was told waits for the clock.
    waiting: Vec<Write>,
}

/// The far end of a link.
#[derive(Default)]
struct Far {
    /// Ids heard lately, as JSON.
    said: Vec<String>,
    /// Sound puts that must be answered, and the commit each has to wait for.
    asked: BTreeMap<String, Commit>,
}

impl World {
    fn new(is_relay: bool, seed: u64) -> Self {
        let config = if is_relay {
            MeshConfig::relay()
        } else {
            MeshConfig::node(vec!["loomdb:nodes".into(), "loomdb:edges".into()])
        };
        Self {
            mesh: Mesh::new(config, Graph::default(), seed),
            is_relay,
            now: Now {
                mono: Mono(Duration::from_secs(1)),
                wall_ms: 1_800_000_000_000,
            },
            up: BTreeMap::new(),
            down: Vec::new(),
            next_peer: 0,
            next_put: 0,
            large: 0,
            uncommitted: VecDeque::new(),
            issued: Commit::default(),
            done: Commit::default(),
            stored: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    fn step(&mut self, instruction: u8, program: &mut Program<'_>) {
        match instruction % 16 {
            0 => self.link_up(program),
            1 => {
                if let Some(peer) = self.some_link(program) {
                    self.up.remove(&peer);
                    self.down.push(peer);
                    self.input(Input::PeerDown { peer });
                }
            }
            2 => {
                let bytes = program.bytes();
                if let Some(peer) = self.some_link(program) {
                    self.say(peer, String::from_utf8_lossy(bytes).into_owned());
                }
            }
            3 => {
                if let Some(peer) = self.some_link(program) {
                    self.input(Input::Oversized { peer });
                }
            }
            4 => self.commit(1),
            5 => self.commit(usize::MAX),
            6 => self.keep_deadline(),
            7 => {
                let ms = u64::from(program.wide());
                self.pass(Duration::from_millis(ms));
            }
            8 => self.set_wall_clock(program),
            9 => self.write(program),
            10 => self.say_something_late(program),
            11 => self.say_large(program),
            12 | 13 => self.say_sound(program),
            _ => {
                if let Some(peer) = self.some_link(program) {
                    let frame = grammar::frame(program, &self.context(peer));
                    self.say(peer, frame);
                }
            }
        }
    }

    fn link_up(&mut self, program: &mut Program<'_>) {
        if self.up.len() == LINKS_MAX {
            return;
        }
        self.next_peer += 1;
        let peer = PeerId(self.next_peer);
        self.up.insert(peer, Far::default());
        let side = if program.rarely(3) {
            Side::Dialled
        } else {
            Side::Accepted
        };
        self.input(Input::PeerUp { peer, side });
    }

    fn set_wall_clock(&mut self, program: &mut Program<'_>) {
        let by = u64::from(program.wide());
        let by = match program.below(3) {
            0 => by,
            1 => by * 1_000,
            // Some two thousand years.
            _ => by * 1_000_000_000,
        };
        self.now.wall_ms = if program.rarely(2) {
            self.now.wall_ms.saturating_sub(by)
        } else {
            self.now.wall_ms.saturating_add(by)
        };
    }

    /// A write of this process.
    fn write(&mut self, program: &mut Program<'_>) {
        let stamp = if program.rarely(4) {
            let ahead = f64::from(program.wide()) - 30_000.0;
            Stamp::new(self.now.wall_ms as f64 + ahead).expect("finite")
        } else {
            self.mesh.issue(self.now.wall_ms)
        };
        let write = Write {
            soul: program.pick(&["s", "t", "loomdb:nodes", ""]).into(),
            field: program.pick(&["f", "g", "_", ""]).into(),
            cell: Cell {
                stamp,
                value: Value::text(program.pick(&["x", "y", "\u{1f600}"])),
            },
        };
        let mut effects = Vec::new();
        let commit = self.mesh.write(vec![write], self.now, &mut effects);
        let persists = effects.iter().find_map(|effect| match effect {
            Effect::Persist { commit, .. } => Some(*commit),
            _ => None,
        });
        assert_eq!(
            commit, persists,
            "the commit of a write is the one it returns"
        );
        self.carry_out(effects, &BTreeSet::new(), None);
    }

    /// What was on its way when its link went.
    fn say_something_late(&mut self, program: &mut Program<'_>) {
        if self.down.is_empty() {
            return;
        }
        let peer = self.down[program.below(self.down.len().min(256))];
        let frame = if program.rarely(2) {
            "{\"#\":\"late\",\"put\":{\"s\":{\"_\":{\"#\":\"s\",\">\":{\"late\":1}},\"late\":1}}}"
        } else {
            "{\"#\":\"late\",\"get\":{\"#\":\"s\"}}"
        };
        let frame = Bytes::from_static(frame.as_bytes());
        self.input(Input::Heard { peer, frame });
        self.input(Input::Oversized { peer });
        assert!(self.mesh.graph().get("s", "late").is_none());
    }

    fn say_large(&mut self, program: &mut Program<'_>) {
        if self.large == LARGE_MAX {
            return;
        }
        let Some(peer) = self.some_link(program) else {
            return;
        };
        self.large += 1;
        let id = self.fresh_id();
        let frame = grammar::large_put(&id, program, &self.context(peer));
        self.say(peer, frame);
    }

    /// A put that must be answered exactly once, and not before it is stored.
    fn say_sound(&mut self, program: &mut Program<'_>) {
        let Some(peer) = self.some_link(program) else {
            return;
        };
        let id = self.fresh_id();
        let frame = grammar::sound_put(&id, program, &self.context(peer));
        // One of its decorations may be a second id, which is refused without an answer.
        let is_sound = wire::decode(&Bytes::from(frame.clone()))
            .is_ok_and(|read| read.iter().all(Result::is_ok));
        let mut links = self.mesh.links();
        let is_loom = links.any(|link| link.peer == peer && link.is_loom == Some(true));
        drop(links);
        let is_answered = is_sound && self.is_relay && !is_loom;
        if is_answered && let Some(far) = self.up.get_mut(&peer) {
            far.asked.insert(format!("\"{id}\""), Commit(u64::MAX));
        }
        self.say(peer, frame);
        let issued = self.issued;
        if let Some(far) = self.up.get_mut(&peer) {
            let mut waits = far.asked.values_mut();
            if let Some(waits) = waits.find(|waits| waits.0 == u64::MAX) {
                *waits = issued;
            }
        }
    }

    fn fresh_id(&mut self) -> String {
        self.next_put += 1;
        format!("put{}", self.next_put)
    }

    fn context(&self, peer: PeerId) -> Context<'_> {
        Context {
            said: self.up.get(&peer).map_or(&[], |far| &far.said),
            pid: self.mesh.pid(),
            wall_ms: self.now.wall_ms,
        }
    }

    fn some_link(&self, program: &mut Program<'_>) -> Option<PeerId> {
        let nth = program.below(LINKS_MAX);
        self.up.keys().copied().nth(nth % self.up.len().max(1))
    }

    fn commit(&mut self, count: usize) {
        for _ in 0..count {
            let Some(commit) = self.uncommitted.pop_front() else {
                return;
            };
            self.done = commit;
            self.input(Input::Committed(commit));
        }
    }

    /// Moves both clocks to the mesh's next deadline, at most half a minute away, and keeps it.
    fn keep_deadline(&mut self) {
        if let Some(deadline) = self.mesh.deadline() {
            let wait = deadline.since(self.now.mono);
            self.pass(wait.min(Duration::from_secs(30)));
        }
    }

    /// Lets time pass as the driver does: a deadline that is due is kept before anything else.
    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono.after(time);
        let ms = u64::try_from(time.as_millis()).expect("it is short");
        self.now.wall_ms = self.now.wall_ms.saturating_add(ms);
        for _ in 0..64 {
            if self.mesh.deadline().is_none_or(|due| due > self.now.mono) {
                return;
            }
            self.input(Input::Deadline);
        }
        panic!("the deadline does not move on: a driver would spin");
    }

    fn say(&mut self, peer: PeerId, frame: String) {
        let frame = Bytes::from(frame);
        let read = wire::decode(&frame).unwrap_or_default();
        let ids = read.into_iter().flatten().filter_map(|message| message.id);
        let ids = ids.map(|id| id.json()).collect();
        let mut effects = Vec::new();
        let input = Input::Heard { peer, frame };
        self.mesh.handle(input, self.now, &mut effects);
        self.carry_out(effects, &ids, Some(peer));
    }

    fn input(&mut self, input: Input<std::convert::Infallible>) {
        let mut effects = Vec::new();
        self.mesh.handle(input, self.now, &mut effects);
        self.carry_out(effects, &BTreeSet::new(), None);
    }

    /// Does what a driver would, and checks that it could.
    fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        heard: &BTreeSet<String>,
        source: Option<PeerId>,
    ) {
        let mut hung_up = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { peer, frame } => {
                    assert!(self.up.contains_key(&peer), "said to a link that is down");
                    self.hear_back(peer, &frame, heard, source);
                }
                Effect::Hangup { peer, .. } => {
                    assert!(
                        self.up.remove(&peer).is_some(),
                        "hung up on a link that is down"
                    );
                    hung_up.push(peer);
                }
                Effect::Persist { commit, batch } => {
                    assert_eq!(commit.0, self.issued.0 + 1, "commits are numbered in order");
                    assert!(!batch.is_empty());
                    self.issued = commit;
                    self.uncommitted.push_back(commit);
                    self.store(batch);
                }
            }
        }
        for peer in hung_up {
            self.down.push(peer);
            self.input(Input::PeerDown { peer });
        }
        for queue in self.mesh.queues() {
            assert!(queue.len <= queue.len_max, "{queue:?}");
        }
        let links: Vec<PeerId> = self.mesh.links().map(|link| link.peer).collect();
        assert!(
            links.iter().eq(self.up.keys()),
            "{links:?} are not the links that are up"
        );
    }

    fn store(&mut self, batch: Batch) {
        for change in batch.changes {
            let Write { soul, field, cell } = change.write;
            let was = self.stored.insert((soul, field), cell.clone());
            assert_eq!(was, change.was, "a change says what it replaced");
            let rises = |was: &Cell| (was.stamp, &was.value) < (cell.stamp, &cell.value);
            assert!(
                was.as_ref().is_none_or(rises),
                "{was:?} was replaced by {cell:?}"
            );
        }
        for deferral in batch.deferrals {
            match deferral {
                Deferral::Waits(write) => {
                    assert!(!self.waiting.contains(&write), "{write:?} waits already");
                    self.waiting.push(write);
                }
                Deferral::Over(write) => {
                    let place = self.waiting.iter().position(|waits| *waits == write);
                    self.waiting
                        .remove(place.expect("only what waits can be over"));
                }
            }
        }
    }

    fn hear_back(
        &mut self,
        peer: PeerId,
        frame: &Bytes,
        heard: &BTreeSet<String>,
        source: Option<PeerId>,
    ) {
        assert!(frame.len() <= wire::FRAME_BYTES_MAX);
        let read = wire::decode(frame);
        let read = read.unwrap_or_else(|bad| panic!("{bad}: {frame:?}"));
        for message in read {
            let message = message.unwrap_or_else(|bad| panic!("{}: {frame:?}", bad.reason));
            let far = self.up.get_mut(&peer).expect("it is up");
            if let Some(id) = &message.id {
                let id = id.json();
                assert!(
                    source != Some(peer) || !heard.contains(&id),
                    "{id} went back to where it came from"
                );
                far.said.push(id);
                if far.said.len() > 16 {
                    far.said.remove(0);
                }
            }
            // What came from another link is what its peer thinks of the put.
            let is_own = source.is_none_or(|source| source == peer);
            let Some(question) = message.answers.filter(|_| is_own) else {
                continue;
            };
            let Some(waits) = far.asked.remove(&question.json()) else {
                continue;
            };
            // Otherwise it is refused, which needs no store.
            let is_ok = message.raw.windows(9).any(|part| part == b"\"ok\":true");
            if is_ok && waits.0 < u64::MAX {
                assert!(waits <= self.done, "acknowledged before it was stored");
            } else if is_ok {
                let behind = self.done < self.issued;
                assert!(
                    !behind,
                    "acknowledged at once although something is not stored"
                );
            }
        }
    }

    /// The store catches up: every put has its answer, and the store has what memory has.
    fn end(mut self) {
        self.commit(usize::MAX);
        for (peer, far) in &self.up {
            assert!(far.asked.is_empty(), "{peer:?} waits for {:?}", far.asked);
        }
        let held = self.mesh.graph().items_after(None);
        let held = held.map(|item| ((item.soul.clone(), item.field.clone()), item.cell.clone()));
        assert_eq!(held.collect::<BTreeMap<_, _>>(), self.stored);
        assert_eq!(self.mesh.deferred().count, self.waiting.len());
    }
}
