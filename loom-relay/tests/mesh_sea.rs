//! A mesh that checks signatures: by no door does a write come in that its soul does not allow.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod net;

use loom_relay::mesh::{MeshConfig, SIGNATURES_PER_FRAME_MAX};
use net::{Client, Net, START_MS, relay};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    writes: Vec<&'a RawValue>,
}

#[derive(Clone, Deserialize)]
struct Case {
    note: String,
    soul: String,
    field: String,
    state: Json,
    value: Json,
}

fn case(note: &str) -> Case {
    let file: File<'_> = serde_json::from_str(include_str!("vectors/sea-vectors.json")).unwrap();
    // One of them holds half a surrogate pair, which this test has no use for.
    let cases = file.writes.into_iter();
    let mut cases = cases.filter_map(|raw| serde_json::from_str(raw.get()).ok());
    cases.find(|case: &Case| case.note == note).unwrap()
}

/// A field that is its owner's, and one that is nobody's; both at home in one vertex.
fn genuine() -> Case {
    case("a state with a fraction")
}

fn forged() -> Case {
    case("signed by somebody else")
}

fn graph(cases: &[&Case]) -> Json {
    let mut graph = json!({});
    for case in cases {
        let node = &mut graph[&case.soul];
        node["_"]["#"] = json!(case.soul);
        node["_"][">"][&case.field] = case.state.clone();
        node[&case.field] = case.value.clone();
    }
    graph
}

fn verifying() -> MeshConfig {
    MeshConfig {
        verifies_sea: true,
        ..relay()
    }
}

fn holds(net: &Net, member: usize, case: &Case) -> bool {
    let graph = net.members[member].mesh.graph();
    let held = graph.get(&case.soul, &case.field);
    held.is_some_and(|held| serde_json::from_str::<Json>(held.value.json()).unwrap() == case.value)
}

fn counters(net: &Net, member: usize) -> (u64, u64) {
    let counters = net.members[member].mesh.counters();
    (counters.fields_unverified, counters.signatures_checked)
}

/// What a client heard, without its greeting.
fn heard(net: &mut Net, client: Client) -> Vec<Json> {
    let frames = net.heard(client);
    let messages = frames
        .iter()
        .map(|frame| serde_json::from_str(frame).unwrap());
    messages.filter(|it: &Json| it["dam"].is_null()).collect()
}

#[test]
fn unless_asked_to_check_a_mesh_passes_on_and_keeps_whatever_comes() {
    let mut net = Net::new([relay()]);
    let [writer, other] = [0; 2].map(|member| net.client(member));
    net.heard(other);
    let frame = json!({ "#": "id", "put": graph(&[&forged()]) }).to_string();
    net.say(writer, frame.clone());
    assert_eq!(net.heard(other), [frame]);
    assert!(holds(&net, 0, &forged()));
    assert_eq!(counters(&net, 0), (0, 0));
}

#[test]
fn a_signed_put_is_merged_and_passed_on_byte_for_byte() {
    let mut net = Net::new([verifying()]);
    let [writer, other] = [0; 2].map(|member| net.client(member));
    net.heard(other);
    let frame = json!({ "#": "id", "put": graph(&[&genuine()]) }).to_string();
    net.say(writer, frame.clone());
    assert_eq!(net.heard(other), [frame]);
    assert_eq!(heard(&mut net, writer)[0]["ok"], true);
    assert!(holds(&net, 0, &genuine()));
    // A repeat is passed on as well, and costs no second check.
    let again = json!({ "#": "again", "put": graph(&[&genuine()]) }).to_string();
    net.say(writer, again.clone());
    assert_eq!(net.heard(other), [again]);
    assert_eq!(counters(&net, 0), (0, 1));
}

#[test]
fn a_put_with_one_forged_field_is_refused_as_a_whole() {
    let mut net = Net::new([verifying()]);
    let [writer, other] = [0; 2].map(|member| net.client(member));
    heard(&mut net, other);
    let put = graph(&[&genuine(), &forged()]);
    net.say(writer, json!({ "#": "id", "put": put }).to_string());
    let replies = heard(&mut net, writer);
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0]["@"], "id");
    let why = replies[0]["err"].as_str().unwrap();
    assert!(why.contains("`name`") && why.contains("signature"), "{why}");
    assert_eq!(heard(&mut net, other), [] as [Json; 0]);
    assert!(net.members[0].mesh.graph().is_empty());
    assert!(net.members[0].stored.is_empty());
    assert_eq!(counters(&net, 0).0, 1);
}

#[test]
fn a_forgery_from_the_future_is_refused_before_it_waits() {
    let mut net = Net::new([verifying()]);
    let writer = net.client(0);
    let late = Case {
        state: json!(START_MS + 60_000),
        ..forged()
    };
    net.say(
        writer,
        json!({ "#": "id", "put": graph(&[&late]) }).to_string(),
    );
    assert!(heard(&mut net, writer)[0]["err"].is_string());
    assert_eq!(net.members[0].mesh.deferred().count, 0);
}

#[test]
fn of_an_answer_only_the_signed_part_is_merged_and_told() {
    let mut net = Net::new([verifying()]);
    let [asker, holder, other] = [0; 3].map(|member| net.client(member));
    let soul = genuine().soul;
    net.say(
        asker,
        json!({ "#": "question", "get": { "#": soul } }).to_string(),
    );
    for client in [asker, holder, other] {
        heard(&mut net, client);
    }
    let put = graph(&[&genuine(), &forged()]);
    net.say(
        holder,
        json!({ "#": "a", "@": "question", "put": put }).to_string(),
    );
    for client in [asker, other] {
        let told = heard(&mut net, client);
        let puts: Vec<_> = told.iter().filter(|it| it["put"].is_object()).collect();
        assert_eq!(puts.len(), 1, "{told:?}");
        assert_eq!(puts[0]["put"], graph(&[&genuine()]));
    }
    assert!(holds(&net, 0, &genuine()) && !holds(&net, 0, &forged()));
    assert_eq!(counters(&net, 0).0, 1);
}

#[test]
fn a_loom_peer_that_does_not_check_brings_in_nothing_forged() {
    let mut net = Net::new([relay(), verifying()]);
    let writer = net.client(0);
    let put = graph(&[&genuine(), &forged()]);
    net.say(writer, json!({ "#": "before", "put": put }).to_string());
    assert!(holds(&net, 0, &forged()));
    // What was there before comes by reconciliation, which may offer it more than once.
    net.link(1, 0);
    net.settle();
    assert!(holds(&net, 1, &genuine()) && !holds(&net, 1, &forged()));
    assert!(counters(&net, 1).0 >= 1);
    // What comes now, as puts; a mixed one is taken as far as it is signed.
    let reader = net.client(1);
    heard(&mut net, reader);
    let more = case("a number that prints like the signed text");
    let signed = case("names that need escapes");
    net.say(
        writer,
        json!({ "#": "now", "put": graph(&[&signed, &more]) }).to_string(),
    );
    net.settle();
    assert!(holds(&net, 0, &more) && holds(&net, 0, &signed));
    assert!(holds(&net, 1, &signed) && !holds(&net, 1, &more));
    let told = heard(&mut net, reader);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["put"], graph(&[&signed]));
}

#[test]
fn what_would_lose_is_not_checked_and_not_passed_on() {
    let mut net = Net::new([verifying()]);
    let [writer, other] = [0; 2].map(|member| net.client(member));
    net.say(
        writer,
        json!({ "#": "new", "put": graph(&[&genuine()]) }).to_string(),
    );
    for client in [writer, other] {
        heard(&mut net, client);
    }
    let old = Case {
        state: json!(genuine().state.as_f64().unwrap() - 1.0),
        value: json!("never signed"),
        ..genuine()
    };
    let free = Case {
        soul: "free".to_owned(),
        ..old.clone()
    };
    net.say(
        writer,
        json!({ "#": "old", "put": graph(&[&old, &free]) }).to_string(),
    );
    assert_eq!(heard(&mut net, writer)[0]["ok"], true);
    let told = heard(&mut net, other);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["put"], graph(&[&free]));
    assert_eq!(counters(&net, 0), (0, 1));
}

/// Cheap to check, and signed by nobody but themselves.
fn aliases(count: usize) -> Vec<Case> {
    let alias = |n| Case {
        soul: "~@".to_owned(),
        field: format!("{n}"),
        value: json!({ "#": format!("~@{n}") }),
        ..genuine()
    };
    (0..count).map(alias).collect()
}

#[test]
fn one_frame_gets_only_so_many_checks() {
    let mut net = Net::new([verifying()]);
    let writer = net.client(0);
    let aliases = aliases(SIGNATURES_PER_FRAME_MAX + 1);
    let all: Vec<&Case> = aliases.iter().collect();
    let (last, allowed) = all.split_last().unwrap();
    net.say(
        writer,
        json!({ "#": "too many", "put": graph(&all) }).to_string(),
    );
    let why = heard(&mut net, writer)[0]["err"].clone();
    assert!(why.as_str().unwrap().contains("send fewer"), "{why}");
    assert!(net.members[0].mesh.graph().is_empty());
    for (id, put) in [("most", allowed), ("rest", &[*last])] {
        net.say(writer, json!({ "#": id, "put": graph(put) }).to_string());
        assert_eq!(heard(&mut net, writer)[0]["ok"], true);
    }
    assert_eq!(net.members[0].mesh.graph().len(), all.len() as u64);
}

#[test]
fn what_there_were_not_enough_checks_for_is_told_a_loom_peer_and_offered_again() {
    // From its side: of what it gives, so much was not taken.
    let mut net = Net::new([verifying()]);
    let loom = net.client(0);
    net.heard(loom);
    let hello =
        json!({ "#": "h", "@": "x", "dam": "?", "pid": "p", "loom": { "v": 1, "sync": 2 } });
    net.say(loom, hello.to_string());
    let mut given = aliases(SIGNATURES_PER_FRAME_MAX + 7);
    given.push(forged());
    let given: Vec<&Case> = given.iter().collect();
    let take = json!({ "#": "t", "dam": "loom", "ask": "take", "put": graph(&given) });
    net.heard(loom);
    for (put, refused) in [
        (take.to_string(), 8),
        (take.to_string().replace("\"t\"", "\"u\""), 0),
    ] {
        net.say(loom, put);
        let answers = net.heard(loom);
        let mut answers = answers.iter().map(|it| serde_json::from_str(it).unwrap());
        let answer = answers.rfind(|it: &Json| it["loom"].is_object());
        // The forged one is no reason to offer anything again.
        assert_eq!(answer.unwrap()["loom"]["refused"], refused);
    }

    // From the verifying side: it takes several frames' worth, and then they agree.
    let mut net = Net::new([relay(), verifying()]);
    let writer = net.client(0);
    let held = aliases(3 * SIGNATURES_PER_FRAME_MAX);
    let held: Vec<&Case> = held.iter().collect();
    net.say(
        writer,
        json!({ "#": "all", "put": graph(&held) }).to_string(),
    );
    net.link(1, 0);
    net.settle();
    for _ in 0..60 {
        net.pass(std::time::Duration::from_secs(1));
    }
    let roots = [0, 1].map(|member| net.members[member].mesh.graph().root());
    assert_eq!(roots[0], roots[1]);
}
