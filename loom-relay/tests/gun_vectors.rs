//! Decisions, hashes, stamps and queries recorded from gun.js 0.2020.1241 must come out the same
//! here. Where Loom differs on purpose, the difference is listed with its reason.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::Bytes;
use loom_relay::clock::StateClock;
use loom_relay::graph::Item;
use loom_relay::ham::{Decision, decide};
use loom_relay::model::{Cell, Stamp, Value};
use loom_relay::wire::{self, Body, Lex, content_hash, encode};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct HamFile {
    vectors: Vec<HamVector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HamVector {
    id: u32,
    group: String,
    machine: f64,
    incoming_state: Option<Box<RawValue>>,
    current_state: Option<f64>,
    /// Text, because the value itself may hold half a surrogate pair.
    incoming_json: Option<String>,
    current_json: Option<String>,
    decision: String,
    defer_ms: Option<f64>,
}

/// A stored state without a value: gun.js compares with such a state, here there is no such thing.
const STATE_WITHOUT_VALUE_OLDER: u32 = 621;

fn ham_vectors() -> Vec<HamVector> {
    let files = [
        include_str!("vectors/ham-vectors.json"),
        include_str!("vectors/ham-vectors-lone-surrogate.json"),
    ];
    let files = files.map(|file| serde_json::from_str::<HamFile>(file).unwrap());
    files.into_iter().flat_map(|file| file.vectors).collect()
}

#[test]
fn every_recorded_merge_is_decided_as_gun_decided_it() {
    let vectors = ham_vectors();
    assert_eq!(vectors.len(), 632 + 48);
    let mut decided = 0;
    for vector in vectors {
        let state = vector.incoming_state.as_ref().map(|raw| raw.get());
        let stamp = state
            .and_then(|state| state.parse().ok())
            .and_then(Stamp::new);
        let value = vector.incoming_json.as_deref().map(Value::parse);
        let (Some(stamp), Some(value)) = (stamp, value) else {
            assert!(
                ["odd-state", "invalid-value"].contains(&&*vector.group),
                "{}: only odd states and invalid values have nothing to decide",
                vector.id
            );
            continue;
        };
        let news = Cell {
            stamp,
            value: value.unwrap(),
        };
        let held = vector.current_json.as_deref().map(|json| Cell {
            stamp: Stamp::new(vector.current_state.unwrap()).unwrap(),
            value: Value::parse(json).unwrap(),
        });
        let clock = Stamp::new(vector.machine).unwrap();
        let ours = decide(held.as_ref(), &news, clock);
        let theirs = match &*vector.decision {
            "accept" => Decision::Take,
            "defer" => Decision::Defer(stamp),
            _ if vector.id == STATE_WITHOUT_VALUE_OLDER => Decision::Take,
            _ => Decision::Keep,
        };
        assert_eq!(ours, theirs, "vector {}: {news:?} over {held:?}", vector.id);
        if let Some(wait) = vector.defer_ms {
            let exact = stamp.ms() - clock.ms();
            assert_eq!(wait, exact.min(f64::from(i32::MAX)), "vector {}", vector.id);
        }
        decided += 1;
    }
    // Fifteen cases have a state that is no number or a value that is none: refused, see below.
    assert_eq!(decided, 665);
}

#[test]
fn states_that_are_not_finite_numbers_are_refused_where_gun_merges_some() {
    for state in [
        "null",
        "\"1700000000000\"",
        "\"junk\"",
        "true",
        "1e999",
        "{}",
    ] {
        let refusal = put_of("1", state).unwrap_err();
        assert!(refusal.contains("needs a state"), "{state}: {refusal}");
    }
    assert!(put_of("1", "0").is_ok() && put_of("1", "-5").is_ok() && put_of("1", "0.001").is_ok());
}

#[test]
fn values_gun_knows_no_kind_for_are_refused() {
    for value in [
        "{}",
        r##"{"#":""}"##,
        r##"{"#":5}"##,
        r##"{"#":"a","x":1}"##,
        "[]",
        "[1]",
    ] {
        assert!(put_of(value, "1").is_err(), "{value}");
    }
    for value in ["null", "true", "0", "\"\"", r#""\ud800""#, r##"{"#":"a"}"##] {
        assert!(put_of(value, "1").is_ok(), "{value}");
    }
}

fn put_of(value: &str, state: &str) -> Result<usize, String> {
    let frame = format!(
        r##"{{"#":"i","put":{{"s":{{"_":{{"#":"s",">":{{"f":{state}}}}},"f":{value}}}}}}}"##
    );
    let mut messages = wire::decode(&Bytes::from(frame)).unwrap();
    match messages.remove(0) {
        Ok(message) => match message.body {
            Body::Put { writes, .. } => Ok(writes.len()),
            other => panic!("{other:?}"),
        },
        Err(refusal) => Err(refusal.reason.to_string()),
    }
}

#[derive(Deserialize)]
struct HashFile<'a> {
    strings: Vec<HashedString>,
    #[serde(borrow)]
    graphs: Vec<HashedGraph<'a>>,
}

#[derive(Deserialize)]
struct HashedString {
    input: Option<String>,
    repeat: Option<Repeated>,
    hash: i32,
}

#[derive(Deserialize)]
struct Repeated {
    unit: String,
    times: usize,
}

#[derive(Deserialize)]
struct HashedGraph<'a> {
    #[serde(borrow)]
    put: &'a RawValue,
    native: Hashed,
    yson: Hashed,
}

#[derive(Deserialize)]
struct Hashed {
    /// Left out where it is very long.
    text: Option<String>,
    hash: i32,
}

#[test]
fn strings_hash_as_gun_hashes_them() {
    let file: HashFile<'_> =
        serde_json::from_str(include_str!("vectors/hash-vectors.json")).unwrap();
    assert_eq!(file.strings.len(), 151);
    for string in file.strings {
        let repeated = string.repeat.map(|long| long.unit.repeat(long.times));
        let input = string.input.or(repeated).unwrap();
        let shown: String = input.chars().take(40).collect();
        assert_eq!(content_hash(&input), string.hash, "{shown:?}");
    }
}

#[test]
fn graphs_print_and_hash_as_gun_relays_print_and_hash_them() {
    let file: HashFile<'_> =
        serde_json::from_str(include_str!("vectors/hash-vectors.json")).unwrap();
    assert_eq!(file.graphs.len(), 52);
    let mut empty = 0;
    for HashedGraph { put, native, yson } in file.graphs {
        // Relays sort keys plainly; browsers put keys that look like array indices first.
        let text = yson.text.filter(|text| text != "same").or(native.text);
        let frame = format!(r##"{{"#":"i","@":"q","put":{}}}"##, put.get());
        let mut messages = wire::decode(&Bytes::from(frame)).unwrap();
        let message = messages.remove(0).unwrap();
        let Body::Put { writes, .. } = message.body else {
            panic!("{text:?}");
        };
        if writes.is_empty() {
            // Two are empty, which Loom never says: gun.js' `once` does not return on those.
            empty += 1;
            continue;
        }
        let ours = encode::graph(writes.iter().map(Item::of).collect());
        assert_eq!(content_hash(&ours), yson.hash, "{ours:.200}");
        assert_eq!(text.as_ref().unwrap_or(&ours), &ours);
    }
    assert_eq!(empty, 2);
}

#[derive(Deserialize)]
struct StateFile {
    all: Vec<StateVector>,
}

#[derive(Deserialize)]
struct StateVector {
    clock: u64,
    drift: f64,
    state: f64,
}

#[test]
fn stamps_step_as_guns_do_except_when_the_wall_clock_steps_back() {
    let file: StateFile = serde_json::from_str(include_str!("vectors/state-vectors.json")).unwrap();
    let mut clock = StateClock::default();
    let mut highest_wall = 0;
    let mut last = f64::MIN;
    let mut same = 0;
    // Drift is an offset an application sets in gun.js; Loom has none.
    for vector in file.all.iter().filter(|vector| vector.drift == 0.0) {
        let ours = clock.issue(vector.clock).ms();
        assert!(ours > last, "{ours} after {last}");
        last = ours;
        if vector.clock >= highest_wall {
            assert_eq!(ours, vector.state);
            same += 1;
        } else {
            // gun.js goes back with the clock and would lose its next write to its last one.
            assert!(ours > vector.state);
        }
        highest_wall = highest_wall.max(vector.clock);
    }
    assert!(same > 1_000, "{same}");
}

#[derive(Deserialize)]
struct LexFile<'a> {
    #[serde(borrow)]
    vectors: Vec<LexVector<'a>>,
}

#[derive(Deserialize)]
struct LexVector<'a> {
    key: String,
    #[serde(borrow)]
    lex: &'a RawValue,
    #[serde(rename = "match")]
    matches: bool,
}

#[test]
fn patterns_match_as_in_guns_client_except_for_its_known_quirks() {
    let file: LexFile<'_> = serde_json::from_str(include_str!("vectors/lex-vectors.json")).unwrap();
    assert_eq!(file.vectors.len(), 252);
    let mut differ = 0;
    for vector in &file.vectors {
        let pattern = vector.lex.get().replace(' ', "");
        if pattern.starts_with('"') {
            continue; // A plain name, not a pattern: an exact get.
        }
        let ours = Lex::parse(&pattern).unwrap().matches(&vector.key);
        if ours == vector.matches {
            continue;
        }
        differ += 1;
        let key = &*vector.key;
        match &*pattern {
            // Everything starts with nothing. The relay's disk lookup agrees; the client does not.
            r#"{"*":""}"# => assert!(ours),
            // The client forgets its own upper end when there is no lower one.
            r#"{"<":"b"}"# => assert_eq!((key, ours), ("b", true)),
            r#"{"<":"ab"}"# => assert_eq!((key, ours), ("ab", true)),
            // With a prefix the client does not look at the range any more.
            r#"{"*":"b",">":"b2"}"# => assert!(["b", "b1"].contains(&key) && !ours),
            r#"{"*":"a","<":"ab"}"# => assert_eq!((key, ours), ("abc", false)),
            // Everything starts with "", and the client takes that for a reason to match.
            r#"{">":"","<":"b"}"# => assert!(key > "b" && !ours),
            other => panic!("{other} on {key:?}: ours {ours}"),
        }
    }
    assert!(differ > 0);
}
