//! What a relay spends on one put: read, remember, merge, pass on to n peers.
//!
//! `cargo bench -p loom-relay --bench mesh`. Prints nanoseconds per put, the best of several rounds;
//! no other threads, no sockets. The numbers to compare with are the ones of the run before.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
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
        report(&format!("put, {links} links"), || puts(links, &frames));
    }
}

fn puts(links: u64, frames: &[Bytes]) -> Duration {
    let mut mesh = Mesh::new(MeshConfig::relay(), Graph::default(), 1);
    let mut effects = Vec::new();
    for peer in 0..links {
        up(&mut mesh, PeerId(peer), &mut effects);
    }
    let started = Instant::now();
    for (nth, frame) in frames.iter().enumerate() {
        effects.clear();
        let input = Input::Heard {
            peer: PeerId(nth as u64 % links),
            frame: frame.clone(),
        };
        mesh.handle(input, now(nth), &mut effects);
        let commit = effects.iter().find_map(|effect| match effect {
            Effect::Persist { commit, .. } => Some(*commit),
            _ => None,
        });
        if let Some(commit) = commit {
            mesh.handle(Input::Committed(commit), now(nth), &mut effects);
        }
        black_box(&effects);
    }
    let took = started.elapsed();
    assert_eq!(mesh.graph().len(), PUTS as u64);
    took
}

fn up(mesh: &mut Mesh, peer: PeerId, effects: &mut Vec<Effect>) {
    let side = Side::Accepted;
    mesh.handle(Input::PeerUp { peer, side }, now(0), effects);
    let hello = r##"{"#":"h","dam":"?","pid":"p","@":"x","loom":{"v":1,"sync":1}}"##;
    let hello = hello.replace("\"h\"", &format!("\"h{}\"", peer.0));
    let frame = hello.into();
    mesh.handle(Input::Heard { peer, frame }, now(0), effects);
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
