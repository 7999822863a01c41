//! What two Loom peers promise each other: after any cut both hold what either held, and the same
//! winners.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod net;

use std::time::Duration;

use loom_relay::graph::Graph;
use loom_relay::mesh::SyncPhase;
use loom_relay::model::{Cell, Stamp, Value};
use net::{NODES, Net, START_MS, node, relay, rng};
use rand::RngExt as _;

/// A state in the past.
const T: f64 = START_MS as f64 - 1_000.0;

#[test]
fn nodes_and_relay_hold_the_same_after_every_write() {
    let mut net = Net::new([relay(), node(), node(), node()]);
    for member in 1..4 {
        net.link(member, 0);
    }
    net.settle();
    for n in 0..30 {
        net.write(1 + n % 3, &format!("f{n}"), "v");
    }
    net.settle();
    net.assert_agreed("live");
    assert_eq!(net.members[0].mesh.graph().len(), 30);
    // Loom peers do not ask each other for acknowledgements.
    assert_eq!(net.members[0].mesh.counters().acks_out, 0);
}

#[test]
fn writes_made_while_a_link_was_down_arrive_in_both_directions() {
    let mut net = Net::new([relay(), node(), node()]);
    let link = net.link(1, 0);
    net.link(2, 0);
    net.settle();
    net.write(1, "before", "v");
    net.settle();
    net.cut(link);
    for n in 0..20 {
        net.write(1, &format!("one {n}"), "offline");
        net.write(2, &format!("two {n}"), "meanwhile");
    }
    net.settle();
    assert_eq!(net.value(2, "one 3"), None);
    net.link(1, 0);
    net.settle();
    net.assert_agreed("healed");
    assert_eq!(net.members[2].mesh.graph().len(), 41);
    let link = net.members[1].mesh.links().next().unwrap();
    assert_eq!(link.sync.phase, SyncPhase::Agreed, "{link:?}");
    // Everything that came this way went to the store as well.
    assert_eq!(net.members[2].stored.changes.len(), 41);
}

#[test]
fn a_large_difference_is_pulled_in_chunks_while_live_writes_pass() {
    let mut net = Net::new([relay(), node()]);
    for n in 0..3_000 {
        net.write(0, &format!("held {n}"), &"x".repeat(500));
    }
    net.link(1, 0);
    let mut rng = rng(1);
    let mut was_seen_copying = false;
    for n in 0..40 {
        net.write(0, &format!("live {n}"), "v");
        net.deliver_any(&mut rng);
        let link = net.members[1].mesh.links().next().unwrap();
        was_seen_copying |= link.sync.phase == SyncPhase::Copying && link.sync.expected > 0;
    }
    net.settle();
    assert!(was_seen_copying);
    net.assert_agreed("pulled");
    let chunks = net.members[1].mesh.counters();
    assert_eq!(chunks.syncs_finished, 1);
    assert!(chunks.sync_fields_in >= 3_000);
    assert!(chunks.frames_in > 6, "more than one chunk");
}

#[test]
fn equal_peers_compare_roots_and_transfer_nothing() {
    let mut net = Net::new([relay(), node()]);
    let link = net.link(1, 0);
    net.settle();
    for n in 0..100 {
        net.write(1, &format!("{n}"), "v");
    }
    net.settle();
    net.cut(link);
    net.link(1, 0);
    net.settle();
    for member in &net.members {
        assert_eq!(member.mesh.counters().sync_fields_in, 0);
        assert_eq!(member.mesh.counters().sync_rounds, 0);
    }
    assert_eq!(net.members[1].mesh.counters().syncs_finished, 2);
}

#[test]
fn a_relay_restarted_empty_gets_everything_back_from_its_nodes() {
    let mut net = Net::new([relay(), node(), node()]);
    let links = [1, 2].map(|member| net.link(member, 0));
    net.settle();
    for n in 0..50 {
        net.write(1 + n % 2, &format!("{n}"), "v");
    }
    net.settle();
    for link in links {
        net.cut(link);
    }
    net.restart(0, relay(), Graph::default());
    // Only one of the two was there for this one.
    net.write(2, "alone", "v");
    net.link(1, 0);
    net.link(2, 0);
    net.settle();
    net.assert_agreed("back");
    assert_eq!(net.members[0].mesh.graph().len(), 51);
}

#[test]
fn relays_can_peer_and_a_write_crosses_them_once() {
    let mut net = Net::new([relay(), relay(), node(), node()]);
    net.link(0, 1);
    net.link(2, 0);
    net.link(3, 1);
    // A second way round: dedup ends the loop.
    net.link(3, 0);
    net.settle();
    net.write(2, "f", "v");
    net.settle();
    net.assert_agreed("two relays");
    for member in &net.members {
        assert!(member.mesh.counters().puts_in <= 3);
        assert_eq!(member.stored.changes.len(), 1);
    }
}

#[test]
fn writes_of_one_field_converge_on_one_winner_in_any_order() {
    let only = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in only.map_or(0..200, |seed: u64| seed..seed + 1) {
        let context = format!("SEED={seed} cargo test -p loom-relay --test mesh_sync");
        let mut rng = rng(seed);
        let mut net = Net::new([relay(), node(), node(), node()]);
        let mut links = Vec::new();
        for member in 1..4 {
            links.push((member, net.link(member, 0)));
        }
        let mut greatest: Option<Cell> = None;
        for _ in 0..12 {
            match rng.random_range(0..6) {
                0 => {
                    let (member, link) = links.swap_remove(rng.random_range(0..links.len()));
                    net.cut(link);
                    links.push((member, net.link(member, 0)));
                }
                1 => (0..5).for_each(|_| net.deliver_any(&mut rng)),
                _ => {
                    let cell = Cell {
                        stamp: Stamp::new(T + f64::from(rng.random_range(0..3_u8))).unwrap(),
                        value: Value::text(["a", "b", "\u{ffee}", "😀"][rng.random_range(0..4)]),
                    };
                    let both = greatest.into_iter().chain([cell.clone()]);
                    greatest = both.max_by_key(|cell| (cell.stamp, cell.value.clone()));
                    net.write_cell(rng.random_range(1..4), "same", cell);
                }
            }
        }
        net.settle_randomly(&mut rng);
        net.assert_agreed(&context);
        let held = net.members[0].mesh.graph().get(NODES, "same").cloned();
        assert_eq!(held, greatest, "{context}");
    }
}

#[test]
fn a_loom_relay_behind_a_slow_link_is_recognised_when_its_greeting_arrives() {
    let mut net = Net::new([node()]);
    for n in 0..1_000 {
        net.write(0, &format!("held {n}"), &"x".repeat(1_000));
    }
    let slow = net.dial_script(0);
    net.pass(Duration::from_millis(1_001));
    let early = net.heard(slow);
    assert!(
        early.iter().any(|frame| frame.contains("\"put\"")),
        "taken for gun.js"
    );
    net.say(
        slow,
        r##"{"#":"x1","dam":"?","pid":"relay","loom":{"v":1,"sync":1}}"##,
    );
    net.pass(Duration::from_secs(2));
    let late = net.heard(slow);
    assert!(late.iter().any(|frame| frame.contains("\"ask\":\"root\"")));
    assert!(
        !late.iter().any(|frame| frame.contains("\"put\"")),
        "the rest is not pushed"
    );
    assert_eq!(
        net.members[0].mesh.links().next().unwrap().is_loom,
        Some(true)
    );
}
