//! Reconciling with a relay whose disk is full: it takes nothing in and says so, nobody believes that
//! it holds what it does not, and when there is room again it gets everything.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod net;

use std::time::Duration;

use loom_relay::machine::Input;
use loom_relay::mesh::{COMPARE_EVERY, COMPARE_JITTER_MS, SyncPhase};
use net::{Net, node, relay};
use serde_json::{Value as Json, json};

/// In which roots are compared once on a link where nothing else happens, and what differs is moved.
const PERIOD: Duration =
    Duration::from_millis(COMPARE_EVERY.as_millis() as u64 + COMPARE_JITTER_MS + 1_000);

#[test]
fn own_writes_count_as_held_only_after_a_full_disk_has_room_again() {
    for resumes_before_it_is_asked in [true, false] {
        let mut net = Net::new([relay(), node()]);
        net.link(1, 0);
        net.pass(PERIOD);
        let stall = |net: &mut Net| net.input(0, Input::Stalled("disk full".into()));
        let held = |net: &Net| net.members[1].mesh.sections_held();
        stall(&mut net);
        net.write(1, "dropped", "v");
        let dropped = net.members[1].mesh.section();
        net.settle();
        if resumes_before_it_is_asked {
            net.input(0, Input::Resumed);
            net.pass(Duration::from_millis(260));
        } else {
            net.pass(Duration::from_secs(120));
        }
        assert_eq!(net.value(0, "dropped"), None);
        assert!(held(&net) <= dropped, "nobody holds it");
        net.input(0, Input::Resumed);
        net.pass(PERIOD);
        net.assert_agreed("there is room again");
        assert!(held(&net) > dropped);
    }
}

#[test]
fn what_a_relay_with_a_full_disk_lacks_is_not_pushed_at_it_and_comes_as_soon_as_there_is_room() {
    let mut net = Net::new([relay(), node()]);
    let (dialler, dialled) = net.link(1, 0);
    net.pass(PERIOD);
    net.cut((dialler, dialled));
    for n in 0..300 {
        net.write(1, &format!("while cut {n}"), "v");
    }
    let written = net.members[1].mesh.section();
    net.write(0, "of the relay", "v");
    net.input(0, Input::Stalled("disk full".into()));
    net.link(1, 0);
    net.pass(Duration::from_secs(600));
    let mesh = &net.members[1].mesh;
    assert_eq!(mesh.counters().sync_fields_out, 0);
    assert!(mesh.sections_held() <= written, "nobody holds them");
    let phase = mesh.links().next().unwrap().sync.phase;
    assert_eq!(phase, SyncPhase::Differing);
    // What it has can be had all the same.
    assert_eq!(net.value(1, "of the relay").as_deref(), Some("v"));
    net.input(0, Input::Resumed);
    net.pass(PERIOD);
    net.assert_agreed("there is room again");
}

#[test]
fn a_relay_whose_disk_is_full_refuses_all_it_is_offered() {
    let mut net = Net::new([relay()]);
    let far = net.client(0);
    let greeting =
        json!({"#": "g", "@": "x", "dam": "?", "pid": "far", "loom": {"v": 1, "sync": 2}});
    net.say(far, greeting.to_string());
    net.heard(far);
    net.input(0, Input::Stalled("disk full".into()));
    let take = json!({"#": "t", "dam": "loom", "ask": "take", "put": {"s": {
        "_": {"#": "s", ">": {"a": 1, "b": 1}}, "a": 1, "b": 2,
    }}});
    net.say(far, take.to_string());
    let told = net::messages(&mut net, far);
    assert_eq!(told[0]["loom"]["refused"], 2, "{told:?}");
    let ask = json!({"#": "r", "dam": "loom", "ask": "root",
        "loom": {"root": "00", "count": 2, "passed": false}});
    for (id, stalled) in [("r1", Json::Bool(true)), ("r2", Json::Null)] {
        let mut ask = ask.clone();
        ask["#"] = id.into();
        net.say(far, ask.to_string());
        let told = net::messages(&mut net, far);
        let hint = &told[0]["loom"];
        assert_eq!(
            (&hint["stalled"], &hint["missed"]),
            (&stalled, &Json::Bool(true))
        );
        net.input(0, Input::Resumed);
    }
}

#[test]
fn a_put_that_was_refused_for_lack_of_room_is_taken_in_when_it_is_sent_again() {
    let mut net = Net::new([relay()]);
    let (writer, other) = (net.client(0), net.client(0));
    let put = json!({"#": "p1", "put": {"s": {"_": {"#": "s", ">": {"a": 1}}, "a": 1}}});
    let send = |net: &mut Net| {
        net.say(writer, put.to_string());
        let answer = net::messages(net, writer).pop();
        let told = net
            .heard(other)
            .iter()
            .filter(|it| it.contains("p1"))
            .count();
        (answer.map(|it| (it["@"].clone(), it["err"].clone())), told)
    };
    net.heard(writer);
    net.heard(other);
    net.input(0, Input::Stalled("disk full".into()));
    let (answer, told) = send(&mut net);
    let (id, err) = answer.unwrap();
    assert_eq!(id, "p1");
    assert!(err.as_str().unwrap().contains("again later"), "{err}");
    assert_eq!(told, 1, "another may be able to keep it");
    let (answer, told) = send(&mut net);
    assert!(answer.unwrap().1.is_string(), "there is no room yet");
    assert_eq!(told, 0, "it was told once");
    net.input(0, Input::Resumed);
    let (answer, told) = send(&mut net);
    assert!(!answer.unwrap().1.is_string());
    assert_eq!(told, 0, "it was told once");
    assert_eq!(net.members[0].mesh.graph().len(), 1);
    assert_eq!(send(&mut net), (None, 0), "a duplicate as any other");
}
