//! What it costs to reconcile two Loom peers after one has missed some writes of the other.
//!
//! `cargo bench -p loom-relay --bench reconcile [-- 10000 100000 1000000]`: the numbers are how many
//! vertices both hold. Two meshes in one thread, no sockets. Times are of both sides together, for
//! everything that is handled from the new link until both agree, merging included; `step` is the
//! longest that one frame kept either side busy. Beside it, in the same run, what peers of version 1
//! do: pull each other's whole graph. Times are the best of three rounds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use loom_relay::clock::{Mono, Now};
use loom_relay::graph::{Graph, Loader};
use loom_relay::machine::{Effect, Input, Machine, Side};
use loom_relay::mesh::{Mesh, MeshConfig, SyncPhase};
use loom_relay::model::{Cell, PeerId, Stamp, Value, Write};

const WALL_MS: u64 = 1_800_000_000_000;

const SOUL: &str = "loomdb:nodes";

/// The base was written at this pace, up to a quarter of an hour before the link goes down.
const APART_MS: f64 = 3.7;
const AGE_MS: f64 = 900_000.0;

const ROUNDS: usize = 3;

const MISSED: [usize; 3] = [1, 100, 10_000];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The missed writes are of new vertices.
    New,
    /// They are of old ones, anywhere.
    Old,
    /// The same, and one side was restarted, so that nobody knows since when they differ.
    Restarted,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    bytes: usize,
    questions: u64,
    busy: Duration,
    step: Duration,
}

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|it| it.parse().ok()).collect();
    let sizes = match sizes.is_empty() {
        true => vec![10_000, 100_000, 1_000_000],
        false => sizes,
    };
    println!(
        "| vertices | missed | what | bytes | bytes a missed write | round trips | time | step | bytes of a pull | time of a pull |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut footnotes = Vec::new();
    for size in sizes {
        let started = Instant::now();
        let base = base(size);
        footnotes.push(format!(
            "{size} vertices: loaded in {:.2} s; the chronicle takes {:.0} bytes a field",
            started.elapsed().as_secs_f64(),
            base.chronicle().bytes() as f64 / base.len() as f64
        ));
        let pull = best(&base, 100, Kind::Old, 1);
        for missed in MISSED {
            for (kind, what) in [
                (Kind::New, "new vertices"),
                (Kind::Old, "updates of old ones"),
                (Kind::Restarted, "updates, after a restart"),
            ] {
                if kind != Kind::New && missed > size {
                    continue;
                }
                let cost = best(&base, missed, kind, 2);
                println!(
                    "| {size} | {missed} | {what} | {} | {} | {} | {:.1} ms | {:.1} ms | 1/{:.0} | 1/{:.0} |",
                    cost.bytes,
                    cost.bytes / missed,
                    cost.questions,
                    ms(cost.busy),
                    ms(cost.step),
                    pull.bytes as f64 / cost.bytes as f64,
                    ms(pull.busy) / ms(cost.busy),
                );
            }
        }
        footnotes.push(format!(
            "{size} vertices, pulled whole by both sides: {} bytes, {} round trips, {:.0} ms",
            pull.bytes,
            pull.questions,
            ms(pull.busy)
        ));
    }
    println!();
    footnotes.iter().for_each(|note| println!("{note}"));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn base(size: usize) -> Graph {
    let mut loader = Loader::default();
    // As a store hands it over: in the order of names, which is not that of stamps.
    for nth in 0..size {
        let scattered = (nth * 7_919 + 13) % size;
        let age = AGE_MS + APART_MS * scattered as f64;
        loader.load(write(&format!("n{nth:08}"), WALL_MS as f64 - age, nth));
    }
    loader.finish()
}

/// A record as a node writes it: about 330 bytes on the wire.
fn write(field: &str, ms: f64, version: usize) -> Write {
    let record = format!(
        r#"{{"id":"{field}","type":"person","properties":{{"name":"Ada","n":{version}}},"metadata":{{"createdAt":{WALL_MS},"updatedAt":{WALL_MS},"createdBy":"node-1","version":1}}}}"#
    );
    Write {
        soul: SOUL.into(),
        field: field.into(),
        cell: Cell {
            stamp: Stamp::new(ms).expect("finite"),
            value: Value::text(&record),
        },
    }
}

/// The quickest of several rounds: whatever else the machine did only ever made one slower.
fn best(base: &Graph, missed: usize, kind: Kind, version: u32) -> Cost {
    let rounds = (0..ROUNDS).map(|_| run(base, missed, kind, version));
    let best = rounds.reduce(|one, other| Cost {
        busy: one.busy.min(other.busy),
        step: one.step.min(other.step),
        ..one
    });
    best.expect("several rounds")
}

/// A node, which dials, and its relay; one link, without delay.
struct Pair {
    meshes: [Mesh; 2],
    version: u32,
    link: u64,
    now: Now,
    cost: Cost,
}

fn run(base: &Graph, missed: usize, kind: Kind, version: u32) -> Cost {
    let node = Mesh::new(MeshConfig::node(vec![SOUL.into()]), base.clone(), 1);
    let relay = Mesh::new(MeshConfig::relay(), base.clone(), 2);
    let mut pair = Pair {
        meshes: [node, relay],
        version,
        link: 0,
        now: Now {
            mono: Mono(Duration::from_secs(100)),
            wall_ms: WALL_MS,
        },
        cost: Cost::default(),
    };
    pair.up();
    pair.down();
    pair.pass(Duration::from_secs(600));
    for nth in 0..missed {
        let field = match kind {
            Kind::New => format!("new{nth:08}"),
            _ => format!("n{:08}", (nth * 104_729) % base.len() as usize),
        };
        pair.pass(Duration::from_micros(100));
        let wall_ms = pair.now.wall_ms;
        let stamp = pair.meshes[1].issue(wall_ms);
        let write = write(&field, stamp.ms(), nth + 1);
        let mut effects = Vec::new();
        pair.meshes[1].write(vec![write], pair.now, &mut effects);
    }
    if kind == Kind::Restarted {
        let graph = pair.meshes[0].graph().clone();
        pair.meshes[0] = Mesh::new(MeshConfig::node(vec![SOUL.into()]), graph, 3);
    }
    pair.pass(Duration::from_secs(60));
    pair.cost = Cost::default();
    let asked = pair.questions();
    pair.up();
    let [one, other] = &pair.meshes;
    assert_eq!(one.graph().root(), other.graph().root());
    let phase = one.links().next().map(|link| link.sync.phase);
    assert_eq!(phase, Some(SyncPhase::Agreed));
    Cost {
        questions: pair.questions() - asked,
        ..pair.cost
    }
}

impl Pair {
    fn up(&mut self) {
        self.link += 1;
        let peer = PeerId(self.link);
        let sides = [Side::Dialled, Side::Accepted];
        let mut frames = VecDeque::new();
        for at in [1, 0] {
            let side = sides[at];
            let heard = self.handle(at, Input::PeerUp { peer, side });
            frames.extend(heard.into_iter().map(|frame| (1 - at, frame)));
        }
        while let Some((at, frame)) = frames.pop_front() {
            self.cost.bytes += frame.len();
            let frame = self.dated(frame);
            let heard = self.handle(at, Input::Heard { peer, frame });
            frames.extend(heard.into_iter().map(|frame| (1 - at, frame)));
        }
    }

    /// Greetings of an older version.
    fn dated(&self, frame: Bytes) -> Bytes {
        if self.version == 2 || frame.len() > 200 {
            return frame;
        }
        let text = String::from_utf8(frame.to_vec()).expect("frames are text");
        text.replace("\"sync\":2", "\"sync\":1").into()
    }

    fn down(&mut self) {
        let peer = PeerId(self.link);
        for at in [0, 1] {
            self.handle(at, Input::PeerDown { peer });
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono.after(time);
        let passed = self.now.mono.0 - Duration::from_secs(100);
        self.now.wall_ms = WALL_MS + passed.as_millis() as u64;
    }

    /// Hands one input to a side; returns the frames it sends.
    fn handle(&mut self, at: usize, input: Input<std::convert::Infallible>) -> Vec<Bytes> {
        let mut effects = Vec::new();
        let started = Instant::now();
        self.meshes[at].handle(input, self.now, &mut effects);
        let took = started.elapsed();
        self.cost.busy += took;
        self.cost.step = self.cost.step.max(took);
        let frames = effects.into_iter().filter_map(|effect| match effect {
            Effect::Send { frame, .. } => Some(frame),
            _ => None,
        });
        frames.collect()
    }

    /// Questions asked so far: each is a round trip.
    fn questions(&self) -> u64 {
        let frames = self.meshes.iter().map(|mesh| mesh.counters().frames_out);
        frames.sum::<u64>() / 2
    }
}
