//! What a relay spends on one put: read, remember, merge, pass on to n peers.
//!
//! `cargo bench -p loom-relay --bench mesh`. Prints nanoseconds per put, the best of several rounds;
//! no other threads, no sockets. The numbers to compare with are the ones of the run before. The last
//! table times every put alone, from the bytes heard to the frames for three other peers and the
//! acknowledgement, beside what it takes to parse and to copy the same bytes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use loom_relay::clock::{Mono, Now};
use loom_relay::graph::Graph;
use loom_relay::machine::{Effect, Input, Machine, Side};
use loom_relay::mesh::{Mesh, MeshConfig};
use loom_relay::model::PeerId;
use loom_relay::wire;

const PUTS: usize = 100_000;

const WALL_MS: u64 = 1_800_000_000_000;

const ROUNDS: usize = 5;

fn main() {
    let frames: Vec<Bytes> = (0..PUTS).map(frame).collect();
    report("decode", || {
        let started = Instant::now();
        for frame in &frames {
            let _ = black_box(wire::decode(frame));
        }
        started.elapsed()
    });
    for links in [2, 3, 8, 32] {
        report(&format!("put, {links} links"), || {
            let mut mesh = linked(links, Far::Loom);
            let started = Instant::now();
            let mut effects = Vec::new();
            for (nth, frame) in frames.iter().enumerate() {
                put(&mut mesh, nth, links, frame, &mut effects);
            }
            let took = started.elapsed();
            assert_eq!(mesh.graph().len(), PUTS as u64);
            took
        });
    }
    hop(&frames);
}

/// One put of one of several peers, stored at once.
fn put(mesh: &mut Mesh, nth: usize, links: u64, frame: &Bytes, effects: &mut Vec<Effect>) {
    effects.clear();
    let input = Input::Heard {
        peer: PeerId(nth as u64 % links),
        frame: frame.clone(),
    };
    mesh.handle(input, now(nth), effects);
    let commit = effects.iter().find_map(|effect| match effect {
        Effect::Persist { commit, .. } => Some(*commit),
        _ => None,
    });
    if let Some(commit) = commit {
        mesh.handle(Input::Committed(commit), now(nth), effects);
    }
    black_box(effects);
}

/// Each put by itself: heard from one gun.js peer, told to three others, acknowledged.
fn hop(frames: &[Bytes]) {
    let links = 4;
    let mut mesh = linked(links, Far::Gun);
    let mut effects = Vec::new();
    let mut nth = 0;
    println!(
        "\nns per put of {} bytes, one to three others",
        frames[0].len()
    );
    time_each("hop", frames, |frame| {
        put(&mut mesh, nth, links, frame, &mut effects);
        nth += 1;
        let sends = effects.iter();
        let sends = sends.filter(|effect| matches!(effect, Effect::Send { .. }));
        assert_eq!(sends.count(), 4, "three copies and an acknowledgement");
    });
    time_each("serde_json::Value", frames, |frame| {
        let value: serde_json::Value = serde_json::from_slice(frame).expect("it is JSON");
        black_box(&value);
    });
    time_each("three copies", frames, |frame| {
        black_box([frame.to_vec(), frame.to_vec(), frame.to_vec()]);
    });
}

fn time_each(what: &str, frames: &[Bytes], mut one: impl FnMut(&Bytes)) {
    let mut times = Histogram::<u64>::new(3).expect("three digits are allowed");
    for frame in frames {
        let started = Instant::now();
        one(frame);
        let took = started.elapsed().as_nanos();
        let took = u64::try_from(took).unwrap_or(u64::MAX);
        times.record(took).expect("it grows as needed");
    }
    let at = |quantile| times.value_at_quantile(quantile);
    println!(
        "{what:<18} p50 {:>6}  p99 {:>6}  max {:>8}",
        at(0.5),
        at(0.99),
        times.max()
    );
}

/// What is at the other end of a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Far {
    Gun,
    Loom,
}

fn linked(links: u64, far: Far) -> Mesh {
    let mut mesh = Mesh::new(MeshConfig::relay(), Graph::default(), 1);
    let mut effects = Vec::new();
    for peer in (0..links).map(PeerId) {
        let side = Side::Accepted;
        mesh.handle(Input::PeerUp { peer, side }, now(0), &mut effects);
        let loom = match far {
            Far::Gun => "",
            Far::Loom => r#","loom":{"v":1,"sync":1}"#,
        };
        let name = peer.0;
        let hello = format!(r##"{{"#":"h{name}","dam":"?","pid":"p{name}","@":"x"{loom}}}"##);
        let frame = hello.into();
        mesh.handle(Input::Heard { peer, frame }, now(0), &mut effects);
    }
    mesh
}

/// Ten thousand puts a second.
fn now(nth: usize) -> Now {
    let passed = Duration::from_micros(nth as u64 * 100);
    Now {
        mono: Mono(passed),
        wall_ms: WALL_MS + passed.as_millis() as u64,
    }
}

/// A record as a node writes it: about 330 bytes.
fn frame(nth: usize) -> Bytes {
    let record = format!(
        r#"{{\"id\":\"n{nth}\",\"type\":\"person\",\"properties\":{{\"name\":\"Ada\",\"n\":{nth}}},\"metadata\":{{\"createdAt\":{WALL_MS},\"updatedAt\":{WALL_MS},\"createdBy\":\"node-1\",\"version\":1}}}}"#
    );
    let state = WALL_MS - 1;
    format!(
        r##"{{"#":"i{nth:08}","put":{{"loomdb:nodes":{{"_":{{"#":"loomdb:nodes",">":{{"n{nth}":{state}}}}},"n{nth}":"{record}"}}}}}}"##
    )
    .into()
}

fn report(what: &str, round: impl Fn() -> Duration) {
    let best = (0..ROUNDS).map(|_| round()).min().expect("several rounds");
    println!("{what:<16} {:>6} ns", best.as_nanos() / PUTS as u128);
}
