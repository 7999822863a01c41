//! What a mesh promises, one story each: who hears what, when puts are acknowledged,
//! what gets find.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod net;

use std::time::Duration;

use loom_relay::machine::{Input, Machine as _};
use loom_relay::mesh::LOOK_AGAIN;
use net::{NODES, Net, START_MS, get, messages, node, put, relay};
use serde_json::{Value as Json, json};

/// A state in the past, as the integer it prints as.
const T_MS: u64 = START_MS - 1_000;

const T: f64 = T_MS as f64;

#[test]
fn a_put_reaches_everybody_else_unchanged_and_never_returns_to_its_source() {
    let mut net = Net::new([relay()]);
    let [a, b, c] = [0; 3].map(|member| net.client(member));
    for client in [a, b, c] {
        net.heard(client);
    }
    let frame =
        put("p1", "s", "f", T, "\"v\"").replace("\"#\":\"p1\"", "\"#\":\"p1\", \"FOO\" : 1");
    net.say(a, frame.clone());
    assert_eq!(net.heard(b), std::slice::from_ref(&frame));
    assert_eq!(net.heard(c), std::slice::from_ref(&frame));
    let back = messages(&mut net, a);
    assert_eq!(back.len(), 1);
    assert_eq!(
        (&back[0]["@"], &back[0]["ok"]),
        (&json!("p1"), &json!(true))
    );
    // The same message over another link is a repeat, whoever brings it.
    net.say(b, frame);
    assert!(net.heard(a).is_empty() && net.heard(b).is_empty() && net.heard(c).is_empty());
    assert_eq!(net.members[0].mesh.counters().duplicates, 1);
}

#[test]
fn an_array_of_messages_is_taken_apart_and_a_bad_one_does_not_cost_its_neighbours() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    net.heard(a);
    net.heard(b);
    let good = [put("g1", "s", "f", T, "1"), put("g2", "s", "g", T, "2")];
    let bad = put("b1", "s", "h", T, "[]");
    net.say(a, format!("[null, {}, [], 5, {bad} ,{}]", good[0], good[1]));
    assert_eq!(net.heard(b), good);
    let back = messages(&mut net, a);
    let refused = back.iter().find(|message| message["@"] == "b1").unwrap();
    assert!(
        refused["err"]
            .as_str()
            .unwrap()
            .contains("arrays are not GUN values")
    );
    assert_eq!(
        back.iter().filter(|message| message["ok"] == true).count(),
        2
    );
}

#[test]
fn a_put_is_acknowledged_to_its_origin_only_and_only_when_it_is_stored() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    net.members[0].commits_at_once = false;
    net.heard(a);
    net.heard(b);
    net.say(a, put("p1", "s", "f", T, "1"));
    // A repeat of a write that is still on its way to the store is not stored either.
    net.say(b, put("p2", "s", "f", T, "1"));
    assert!(
        messages(&mut net, a)
            .iter()
            .all(|message| message["ok"].is_null())
    );
    assert!(
        messages(&mut net, b)
            .iter()
            .all(|message| message["ok"].is_null())
    );
    net.commit_all(0);
    let acks = [messages(&mut net, a), messages(&mut net, b)];
    assert_eq!(acks[0].len(), 1);
    assert_eq!(acks[0][0]["@"], "p1");
    assert_eq!(acks[1].len(), 1);
    assert_eq!(acks[1][0]["@"], "p2");
    // Nothing to store: acknowledged at once.
    net.say(a, put("p3", "s", "f", T, "1"));
    assert_eq!(messages(&mut net, a)[0]["@"], "p3");
}

#[test]
fn an_ack_request_goes_on_with_one_fewer_and_our_own_number_of_links() {
    let mut net = Net::new([relay()]);
    let [a, b, _c] = [0; 3].map(|member| net.client(member));
    net.heard(b);
    let plain = put("p1", "s", "f", T, "1");
    let asking = |ok: &str| plain.replace("{\"#\":\"p1\"", &format!("{{\"ok\":{ok},\"#\":\"p1\""));
    net.say(a, asking(r#"{"@":9,"/":1}"#));
    assert_eq!(net.heard(b), [asking(r#"{"@":8,"/":3}"#)]);
    let nameless = asking(r#"{"@":9,"/":1}"#).replace("\"#\":\"p1\",", "");
    net.say(a, nameless);
    let heard = messages(&mut net, b);
    assert_eq!(heard[0]["ok"], json!({"@": 8, "/": 3}));
    assert_eq!(heard[0]["#"].as_str().unwrap().len(), 9);
    assert_eq!(heard[0]["put"]["s"]["f"], 1);
}

#[test]
fn answers_go_only_to_the_link_the_question_came_from() {
    let mut net = Net::new([relay()]);
    let [a, b, c] = [0; 3].map(|member| net.client(member));
    for client in [a, b, c] {
        net.heard(client);
    }
    // An application's own question, as gun.js' WebRTC uses them.
    net.say(a, r##"{"#":"q1","rpc":"ping"}"##);
    assert_eq!(net.heard(b).len(), 1);
    assert_eq!(net.heard(c).len(), 1);
    net.say(b, r##"{"#":"r1","@":"q1","rpc":"pong"}"##);
    assert_eq!(net.heard(a), [r##"{"#":"r1","@":"q1","rpc":"pong"}"##]);
    assert!(net.heard(c).is_empty());
    net.say(c, r##"{"#":"r2","@":"never asked"}"##);
    assert!(net.heard(a).is_empty() && net.heard(b).is_empty());
    assert_eq!(net.members[0].mesh.counters().answers_unroutable, 1);
    // An answer that comes back from the asker itself goes nowhere.
    net.say(a, r##"{"#":"r3","@":"q1"}"##);
    assert!(net.heard(a).is_empty());
}

#[test]
fn what_an_answer_changes_is_spread_to_those_who_did_not_ask() {
    let mut net = Net::new([relay()]);
    let [asker, holder, other] = [0; 3].map(|member| net.client(member));
    for client in [asker, holder, other] {
        net.heard(client);
    }
    net.say(asker, r##"{"#":"q1","get":{"#":"s",".":"f"}}"##);
    assert_eq!(messages(&mut net, asker)[0]["@"], "q1", "not found, so far");
    assert_eq!(net.heard(holder).len(), 1);
    net.heard(other);
    let answer = put("a1", "s", "f", T, "1").replace("\"put\"", "\"@\":\"q1\",\"put\"");
    net.say(holder, answer.clone());
    assert_eq!(net.heard(asker), [answer]);
    let spread = messages(&mut net, other);
    assert_eq!(spread.len(), 1);
    assert_eq!(spread[0]["put"]["s"]["f"], 1);
    assert!(spread[0]["@"].is_null());
    assert!(net.heard(holder).is_empty());
}

#[test]
fn an_id_is_a_repeat_for_nine_seconds() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    net.heard(b);
    net.say(a, put("p1", "s", "f", T, "1"));
    net.pass(Duration::from_secs(9));
    net.say(a, put("p1", "s", "f", T + 1.0, "2"));
    assert_eq!(messages(&mut net, b).len(), 1, "dropped");
    // A repeat counts as heard again.
    net.pass(Duration::from_secs(19));
    net.say(a, put("other", "s", "g", T, "1"));
    net.say(a, put("p1", "s", "f", T + 1.0, "2"));
    assert_eq!(messages(&mut net, b).len(), 2, "forgotten by now");
}

#[test]
fn a_get_is_answered_from_the_graph_or_with_a_bare_not_found() {
    let mut net = Net::new([relay()]);
    let a = net.client(0);
    net.say(a, put("p1", "s", "f", T, "null"));
    net.heard(a);
    net.say(a, get("q1", "s"));
    let answers = messages(&mut net, a);
    assert_eq!(answers[0]["@"], "q1");
    assert_eq!(
        answers[0]["put"],
        json!({"s": {"_": {"#": "s", ">": {"f": T_MS}}, "f": null}})
    );
    assert!(answers[0]["##"].is_i64());
    // Whole soul, first time on this link: asked back, so that offline writes arrive.
    assert_eq!(answers[1]["get"], json!({"#": "s"}));
    for (id, lookup) in [
        ("m1", r##"{"#":"missing"}"##),
        ("m2", r##"{"#":"s",".":"missing"}"##),
        ("m3", r##"{"*":""}"##),
        ("m4", r##"{"#":"s",".":{"*":"x"}}"##),
    ] {
        net.say(a, format!(r##"{{"#":"{id}","get":{lookup}}}"##));
        let answers = messages(&mut net, a);
        let members: Vec<_> = answers[0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["#", "@"], "{lookup}");
        assert_eq!(answers[0]["@"], *id);
    }
}

#[test]
fn lexical_gets_find_prefixes_ranges_and_the_last_ones() {
    let mut net = Net::new([relay()]);
    let a = net.client(0);
    for key in ["a1", "b1", "b2", "b3", "c1"] {
        net.say(a, put(key, "s", key, T, "\"12345\""));
    }
    net.say(a, put("o", "sx", "b9", T, "1"));
    net.heard(a);
    let mut ask = |lookup: &str| -> Vec<String> {
        let id = format!("q{lookup}")
            .replace('"', "")
            .chars()
            .take(60)
            .collect::<String>();
        net.say(a, format!(r##"{{"#":"{id}","get":{lookup}}}"##));
        let answers = messages(&mut net, a);
        let souls = answers[0]["put"].as_object().cloned().unwrap_or_default();
        let fields = souls
            .values()
            .flat_map(|node| node.as_object().unwrap().keys());
        fields.filter(|field| *field != "_").cloned().collect()
    };
    assert_eq!(ask(r##"{"#":"s",".":{"*":"b"}}"##), ["b1", "b2", "b3"]);
    assert_eq!(ask(r##"{"#":"s",".":{"*":"b",">":"b2"}}"##), ["b2", "b3"]);
    assert_eq!(
        ask(r##"{"#":"s",".":{">":"b2","<":"c1"}}"##),
        ["b2", "b3", "c1"]
    );
    assert_eq!(ask(r##"{"#":"s",".":{"=":"b2"}}"##), ["b2"]);
    assert_eq!(ask(r##"{"#":"s",".":{"*":"b"},"%":6}"##), ["b1", "b2"]);
    assert_eq!(
        ask(r##"{"#":"s",".":{"*":"b","-":1},"%":6}"##),
        ["b2", "b3"]
    );
    assert_eq!(
        ask(r##"{"#":{"*":"s"}}"##),
        ["a1", "b1", "b2", "b3", "c1", "b9"]
    );
    assert_eq!(ask(r##"{"#":{"*":"s"},".":"b9"}"##), ["b9"]);
}

#[test]
fn a_large_vertex_is_answered_in_pieces_and_completely() {
    let mut net = Net::new([relay()]);
    let a = net.client(0);
    let value = format!("\"{}\"", "x".repeat(1_000));
    for n in 0..1_500 {
        net.say(a, put(&format!("p{n}"), "s", &format!("f{n}"), T, &value));
    }
    net.heard(a);
    net.say(a, get("q", "s"));
    let mut frames = net.heard(a);
    net.pass(Duration::from_secs(1));
    frames.extend(net.heard(a));
    let answers = frames.iter().filter(|frame| frame.contains("\"@\":\"q\""));
    let mut fields = 0;
    for answer in answers.clone() {
        assert!(answer.len() < 512 << 10, "{}", answer.len());
        let answer: Json = serde_json::from_str(answer).unwrap();
        fields += answer["put"]["s"].as_object().unwrap().len() - 1;
    }
    assert!(answers.count() > 3);
    assert_eq!(fields, 1_500);
}

#[test]
fn a_frame_that_is_too_big_is_complained_about_and_the_link_stays() {
    let mut net = Net::new([relay()]);
    let a = net.client(0);
    net.heard(a);
    let peer = a.theirs.1;
    net.input(0, Input::Oversized { peer });
    assert_eq!(net.heard(a), [r#"{"dam":"!","err":"Message too big!"}"#]);
    net.say(a, "{\"broken");
    assert_eq!(
        net.heard(a),
        [r#"{"dam":"!","err":"DAM JSON parse error."}"#]
    );
    for silent in ["hello", "\"\"", "5", " {\"#\":\"x\"}", ""] {
        net.say(a, silent);
        assert!(net.heard(a).is_empty(), "{silent:?}");
    }
    net.say(a, get("q", "s"));
    assert!(!net.heard(a).is_empty());
}

#[test]
fn control_messages_are_never_passed_on_and_only_known_ones_are_obeyed() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    let greeting: Json = serde_json::from_str(&net.heard(a)[0]).unwrap();
    assert_eq!(greeting["dam"], "?");
    assert_eq!(greeting["loom"], json!({"v": 1, "sync": 2}));
    net.heard(b);
    net.say(a, r##"{"dam":"hi","#":"h1"}"##);
    net.say(a, r##"{"dam":"?","pid":"T4uCJk1oz","@":"x","#":"h2"}"##);
    for kind in ["mob", "opt", "service", "rtc", "bye", "tag", "nts", "!"] {
        net.say(
            a,
            format!(r##"{{"dam":"{kind}","#":"k{kind}","opt":{{"peers":"http://x"}}}}"##),
        );
    }
    assert!(net.heard(a).is_empty() && net.heard(b).is_empty());
    net.say(b, r##"{"dam":"?","pid":"other","#":"h3"}"##);
    let reply: Json = serde_json::from_str(&net.heard(b)[0]).unwrap();
    assert_eq!(reply["@"], "h3");
    let pids: Vec<_> = net.members[0].mesh.links().map(|link| link.pid).collect();
    assert_eq!(pids, [Some("T4uCJk1oz".into()), Some("other".into())]);
}

#[test]
fn gun_peers_get_a_heartbeat_and_loom_peers_do_not() {
    let mut net = Net::new([relay(), node()]);
    let a = net.client(0);
    net.link(1, 0);
    net.settle();
    net.heard(a);
    let asked = |net: &Net| {
        let counters = net.members[1].mesh.counters();
        (counters.frames_in, counters.syncs_started)
    };
    let before = asked(&net);
    net.pass(Duration::from_secs(61));
    assert_eq!(net.heard(a), ["[]"; 3]);
    let after = asked(&net);
    assert_eq!(after.0 - before.0, after.1 - before.1, "only its roots");
}

#[test]
fn a_relay_that_dials_itself_hangs_up() {
    let mut net = Net::new([relay()]);
    net.link(0, 0);
    net.settle();
    assert!(!net.members[0].hung_up.is_empty());
}

#[test]
fn a_write_from_the_future_is_passed_on_at_once_and_appears_when_its_time_comes() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    net.heard(a);
    net.heard(b);
    let due = START_MS as f64 + 2_000.5;
    net.say(a, put("p1", "s", "f", due, "1"));
    assert_eq!(net.heard(b).len(), 1);
    assert_eq!(messages(&mut net, a)[0]["ok"], true);
    let mesh = |net: &Net| net.members[0].mesh.graph().get("s", "f").cloned();
    assert_eq!(net.members[0].mesh.deferred().count, 1);
    net.pass(Duration::from_millis(1_990));
    assert!(mesh(&net).is_none());
    // Somebody who came later has not heard of it yet.
    let late = net.client(0);
    net.heard(late);
    net.pass(Duration::from_millis(20));
    assert_eq!(mesh(&net).unwrap().stamp.ms(), due);
    assert_eq!(net.members[0].mesh.deferred().count, 0);
    assert_eq!(net.members[0].stored.changes.len(), 1);
    assert!(net.members[0].held().deferred.is_empty());
    assert_eq!(messages(&mut net, late)[0]["put"]["s"]["f"], 1);
    assert!(net.heard(b).is_empty(), "heard it at once");
}

#[test]
fn a_deferred_write_follows_a_clock_that_is_set_forward_without_anything_heard() {
    let mut net = Net::new([relay()]);
    let client = net.client(0);
    net.heard(client);
    let ahead = Duration::from_secs(300);
    let due = START_MS as f64 + ahead.as_millis() as f64;
    net.say(client, put("p1", "s", "f", due, "1"));
    net.hang_up(client);
    let held = |net: &Net| net.members[0].mesh.graph().get("s", "f").is_some();
    net.pass(Duration::from_secs(10));
    assert!(!held(&net), "its time has not come");

    net.set_forward(ahead);
    assert!(!held(&net), "nobody has looked at the clock yet");
    net.pass(LOOK_AGAIN);
    assert!(held(&net));
    assert_eq!(net.members[0].mesh.deferred().count, 0);
    assert!(net.members[0].held().deferred.is_empty());
    assert_eq!(net.members[0].mesh.deadline(), None, "nothing to wake for");
}

#[test]
fn a_deferred_write_is_acknowledged_when_it_is_stored_and_survives_a_restart() {
    let mut net = Net::new([relay()]);
    net.members[0].commits_at_once = false;
    let [a, b] = [0; 2].map(|member| net.client(member));
    net.heard(a);
    let due = START_MS as f64 + 2_000.0;
    net.say(a, put("p1", "s", "f", due, "1"));
    assert!(
        messages(&mut net, a).is_empty(),
        "acknowledged before it is stored"
    );
    // The same write again, over another link and under another id: nothing more to store, but
    // it is not stored yet either.
    net.say(b, put("p2", "s", "f", due, "1"));
    assert_eq!(net.members[0].mesh.deferred().count, 1);
    assert_eq!(net.members[0].stored.deferrals.len(), 1);
    let acknowledged = |net: &mut Net, client| {
        let heard = messages(net, client).into_iter();
        heard.filter(|message| message["ok"] == true).count()
    };
    assert_eq!(acknowledged(&mut net, b), 0);
    net.commit_all(0);
    assert_eq!(acknowledged(&mut net, a), 1);
    assert_eq!(acknowledged(&mut net, b), 1);

    net.hang_up(a);
    net.hang_up(b);
    let held = net.members[0].held();
    net.restart(0, relay(), held);
    assert_eq!(net.members[0].mesh.deferred().count, 1);
    // Nobody is connected and nothing is heard: the clock alone brings it in.
    net.pass(Duration::from_millis(1_999));
    assert!(net.members[0].mesh.graph().get("s", "f").is_none());
    let late = net.client(0);
    net.pass(Duration::from_millis(2));
    assert!(net.members[0].mesh.graph().get("s", "f").is_some());
    assert!(net.members[0].held().deferred.is_empty());
    let told = messages(&mut net, late);
    assert!(
        told.iter().any(|message| message["put"]["s"]["f"] == 1),
        "{told:?}"
    );
}

#[test]
fn a_relay_that_cannot_store_says_so_passes_on_and_takes_it_later() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    net.heard(a);
    net.heard(b);
    let due = START_MS as f64 + 1_000.0;
    net.say(a, put("p0", "s", "waits", due, "1"));
    net.input(0, Input::Stalled("disk full".into()));
    let past = START_MS as f64 - 1.0;
    messages(&mut net, a);
    messages(&mut net, b);
    net.say(a, put("p1", "s", "f", past, "1"));
    let told = messages(&mut net, a);
    let error = told.iter().find(|message| message["@"] == "p1").unwrap();
    assert!(
        error["err"].as_str().unwrap().contains("disk full"),
        "{error}"
    );
    assert!(error["ok"].is_null(), "{error}");
    let passed_on = messages(&mut net, b);
    assert!(
        passed_on
            .iter()
            .any(|message| message["put"]["s"]["f"] == 1),
        "{passed_on:?}"
    );
    // Its time has come, but it could not be stored that it is over.
    net.pass(Duration::from_secs(2));
    let mesh = &net.members[0].mesh;
    assert_eq!(mesh.graph().len(), 0);
    assert_eq!(mesh.counters().fields_unstored, 1);
    assert_eq!(mesh.deferred().count, 1);
    net.input(0, Input::Resumed);
    net.say(a, put("p2", "s", "f", past, "1"));
    let told = messages(&mut net, a);
    assert!(
        told.iter()
            .any(|message| message["@"] == "p2" && message["ok"] == true),
        "{told:?}"
    );
    assert_eq!(net.members[0].mesh.graph().len(), 2);
}

#[test]
fn one_peer_cannot_fill_the_room_for_deferred_writes() {
    let mut net = Net::new([relay()]);
    let [a, b] = [0; 2].map(|member| net.client(member));
    let far = START_MS as f64 + 1e9;
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    for n in 0..40 {
        net.say(a, put(&format!("p{n}"), "s", &format!("f{n}"), far, &large));
    }
    let refused = messages(&mut net, a);
    let refused = refused.iter().filter(|message| message["err"].is_string());
    assert!(refused.count() >= 8);
    net.heard(b);
    net.say(b, put("mine", "s", "b", far, "1"));
    assert_eq!(messages(&mut net, b)[0]["ok"], true);
}

#[test]
fn a_node_that_dials_a_gun_relay_asks_for_what_it_wants_and_pushes_what_it_holds() {
    for greets in [true, false] {
        let mut net = Net::new([node()]);
        net.write(0, "held", "v");
        let gun = net.dial_script(0);
        if greets {
            net.say(gun, r##"{"#":"x1","dam":"?","pid":"gunrelay"}"##);
        } else {
            net.pass(Duration::from_millis(1_001));
        }
        let said = messages(&mut net, gun);
        let asked: Vec<_> = said
            .iter()
            .filter_map(|said| said["get"]["#"].as_str())
            .collect();
        assert_eq!(asked, [NODES, "loomdb:edges"]);
        let pushed = said.iter().find(|said| said["put"].is_object()).unwrap();
        assert_eq!(pushed["put"][NODES]["held"], "v");
        // Its answer is merged; a node does not acknowledge.
        let question = said[0]["#"].as_str().unwrap();
        let answer = put("a1", NODES, "theirs", T, "\"w\"");
        net.say(
            gun,
            answer.replace("\"put\"", &format!("\"@\":\"{question}\",\"put\"")),
        );
        assert_eq!(net.value(0, "theirs").as_deref(), Some("w"));
        assert!(net.heard(gun).is_empty());
        // It answers what it has and is silent about what it has not.
        net.say(gun, get("q1", "missing"));
        assert!(net.heard(gun).is_empty());
        net.say(gun, get("q2", NODES));
        assert_eq!(messages(&mut net, gun)[0]["@"], "q2");
    }
}

#[test]
fn own_writes_that_could_not_travel_are_left_out() {
    let mut net = Net::new([node()]);
    for field in ["", "_", &"x".repeat(5_000)] {
        net.write(0, field, "v");
    }
    net.write(0, "large", &"x".repeat(9 << 20));
    net.write(0, "fine", "v");
    assert_eq!(net.members[0].mesh.graph().len(), 1);
    assert_eq!(net.members[0].mesh.counters().messages_refused, 4);
}

#[test]
fn a_write_from_the_future_that_came_as_an_answer_is_told_to_everybody_when_it_is_due() {
    let mut net = Net::new([relay()]);
    let observer = net.client(0);
    let writer = net.client(0);
    net.say(writer, get("q1", "s"));
    net.settle();
    let asked = messages(&mut net, writer)
        .into_iter()
        .find(|message| message["get"]["#"] == "s")
        .expect("the relay asks back what it is asked for");
    let future = START_MS as f64 + 500.0;
    let mut answer: Json = serde_json::from_str(&put("a1", "s", "f", future, "1")).unwrap();
    answer["@"] = asked["#"].clone();
    net.say(writer, answer.to_string());
    net.settle();
    messages(&mut net, observer);
    net.pass(Duration::from_secs(1));
    net.settle();
    let told = messages(&mut net, observer);
    assert!(
        told.iter().any(|message| message["put"]["s"]["f"] == 1),
        "{told:?}"
    );
}
