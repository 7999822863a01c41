//! Every queue of a mesh is filled until it is full, and then some.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod net;

use std::collections::BTreeMap;

use bytes::Bytes;
use loom_relay::mesh::{PARCEL_BYTES, QueueView};
use loom_relay::wire::MESSAGES_PER_FRAME_MAX;
use net::{Client, Net, START_MS, get, node, put, relay};

/// States in the past and in the future.
const PAST: f64 = (START_MS - 1_000) as f64;
const FUTURE: f64 = (START_MS + 3_600_000) as f64;

/// The fullest each queue has been.
#[derive(Default)]
struct Peaks(BTreeMap<&'static str, QueueView>);

impl Peaks {
    fn note(&mut self, net: &Net) {
        for queue in net.members[0].mesh.queues() {
            assert!(queue.len <= queue.len_max, "{queue:?}");
            let peak = self.0.entry(queue.name).or_insert(queue);
            if queue.len > peak.len {
                *peak = queue;
            }
        }
    }

    fn say(&mut self, net: &mut Net, client: Client, frame: String) {
        net.say(client, frame);
        self.note(net);
        net.heard(client);
    }

    fn assert_full(&self, name: &str) {
        let peak = self.0[name];
        assert_eq!(peak.len, peak.len_max, "{name} was never full");
    }
}

/// Messages in frames as full as they may be.
fn batches(messages: impl IntoIterator<Item = String>) -> Vec<String> {
    let messages: Vec<_> = messages.into_iter().collect();
    let batches = messages.chunks(MESSAGES_PER_FRAME_MAX);
    batches
        .map(|batch| format!("[{}]", batch.join(",")))
        .collect()
}

#[test]
fn ids_acknowledgements_and_what_is_known_of_a_link_stop_at_their_bounds() {
    let mut net = Net::new([relay()]);
    net.members[0].commits_at_once = false;
    let client = net.client(0);
    let mut peaks = Peaks::default();
    let asked = (0..5_000).map(|nth| get(&format!("g{nth}"), &format!("s{nth}")));
    let wrote = (0..300).map(|nth| put(&format!("w{nth}"), &format!("s{nth}"), "f", PAST, "1"));
    let repeated = (0..70_000).map(|nth| put(&format!("p{nth}"), "s", "f", PAST, "1"));
    let others = (0..270_000).map(|nth| format!("{{\"#\":\"o{nth}\",\"app\":1}}"));
    for frame in batches(asked.chain(wrote).chain(repeated).chain(others)) {
        peaks.say(&mut net, client, frame);
    }
    for queue in [
        "link_souls_asked",
        "link_souls_written",
        "waiting_acks",
        "remembered_ids",
    ] {
        peaks.assert_full(queue);
    }
    let counters = *net.members[0].mesh.counters();
    assert_eq!(counters.acks_out, 0, "nothing is stored yet");
    assert_eq!(counters.acks_skipped, 70_300 - 65_536);
    net.commit_all(0);
    assert_eq!(net.members[0].mesh.counters().acks_out, 65_536);
}

#[test]
fn deferred_writes_stop_at_their_bounds_in_count_and_in_bytes() {
    let mut net = Net::new([relay()]);
    let mut peaks = Peaks::default();
    for peer in 0..3 {
        let client = net.client(0);
        let writes = (0..70_000).map(|nth| {
            put(
                &format!("{peer}-{nth}"),
                "s",
                &format!("{peer}-{nth}"),
                FUTURE,
                "1",
            )
        });
        for frame in batches(writes) {
            peaks.say(&mut net, client, frame);
        }
        net.hang_up(client);
    }
    peaks.assert_full("deferred_writes");
    let refused = net.members[0].mesh.counters().fields_not_deferred;
    assert_eq!(refused, 210_000 - 131_072);

    let mut net = Net::new([relay()]);
    let large = format!("\"{}\"", "x".repeat(8_000_000));
    for peer in 0..3 {
        let client = net.client(0);
        for nth in 0..5 {
            let id = format!("{peer}-{nth}");
            peaks.say(&mut net, client, put(&id, "s", &id, FUTURE, &large));
        }
        net.hang_up(client);
    }
    // Half of 64 MiB has room for four of these, and so has the other half.
    assert_eq!(net.members[0].mesh.deferred().count, 8);
    assert_eq!(net.members[0].mesh.counters().fields_not_deferred, 7);
}

#[test]
fn what_is_known_of_absent_clients_stops_at_its_bounds() {
    let mut net = Net::new([relay()]);
    let mut peaks = Peaks::default();
    for (clients, souls) in [(1_100, 1), (100, 256)] {
        for nth in 0..clients {
            let client = net.client(0);
            net.say(
                client,
                format!("{{\"dam\":\"?\",\"pid\":\"{souls}-{nth}\"}}"),
            );
            let puts = (0..souls).map(|soul| {
                put(
                    &format!("{souls}-{nth}-{soul}"),
                    &format!("{soul}"),
                    "f",
                    PAST,
                    "1",
                )
            });
            for frame in batches(puts) {
                peaks.say(&mut net, client, frame);
            }
            net.hang_up(client);
            peaks.note(&net);
        }
    }
    peaks.assert_full("away_clients");
    peaks.assert_full("away_souls");
}

#[test]
fn unfinished_answers_stop_at_their_bound_and_greeting_again_does_not_hurry_them() {
    let mut net = Net::new([relay()]);
    let client = net.client(0);
    let mut peaks = Peaks::default();
    let value = format!("\"{}\"", "x".repeat(PARCEL_BYTES - 1_000));
    for field in ["a", "b", "c", "d"] {
        peaks.say(&mut net, client, put(field, "large", field, PAST, &value));
    }
    for nth in 0..1_030 {
        peaks.say(&mut net, client, get(&format!("g{nth}"), "large"));
    }
    peaks.assert_full("link_parcels");
    assert_eq!(net.members[0].mesh.counters().answers_refused, 6);
    for nth in 0..5 {
        let hello = r##""dam":"?","pid":"p","loom":{"v":1,"sync":1}"##;
        peaks.say(&mut net, client, format!("{{\"#\":\"h{nth}\",{hello}}}"));
        peaks.say(&mut net, client, get(&format!("again{nth}"), "large"));
        // Each timer would deliver pieces of its own.
        net.pass(std::time::Duration::from_millis(1));
    }
    peaks.note(&net);
}

#[test]
fn a_node_keeps_only_so_many_writes_that_lost() {
    let mut net = Net::new([node()]);
    let relay = net.dial_script(0);
    let mut peaks = Peaks::default();
    peaks.say(&mut net, relay, put("first", "s", "f", PAST, "1"));
    let lost = (0..5_000).map(|nth| put(&format!("l{nth}"), "s", "f", PAST - 1.0, "2"));
    for frame in batches(lost) {
        peaks.say(&mut net, relay, frame);
    }
    peaks.assert_full("beaten_writes");
    assert_eq!(net.members[0].mesh.take_beaten().len(), 4_096);
}

#[test]
fn what_waits_to_be_passed_on_keeps_at_most_twice_its_own_bytes_in_memory() {
    let message = put("a", "s", "f", PAST, "1");
    let other = put("b", "s", "g", PAST, &format!("{:?}", "x".repeat(5_000)));
    for padding in [0, 1, 100, 1_000, 4_900, 5_100, 1 << 20] {
        // Elements that are no messages are skipped, and nothing of them is passed on.
        let frame = format!("[{:?},{message},{other}]", "x".repeat(padding));
        let frame = Bytes::from(frame);
        let mut net = Net::new([relay()]);
        let [from, to] = [0; 2].map(|member| net.client(member));
        net.heard(to);
        net.say(from, frame.clone());
        // Nobody else has a part of it if this is all there is.
        let is_kept = !frame.is_unique();
        let waiting: usize = net.heard(to).iter().map(String::len).sum();
        assert!(waiting > 5_000, "{waiting}");
        assert!(
            !is_kept || frame.len() <= 2 * waiting,
            "{waiting} bytes keep {} in memory",
            frame.len()
        );
    }
}
