//! Writes to user space and the like, and what the real gun.js with SEA did about each, replayed
//! without it. Every difference is named here, with its reason.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use loom_relay::model::{Cell, Stamp, Value, Write};
use loom_relay::sea::{self, Reason};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct File {
    writes: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    note: String,
    soul: String,
    field: String,
    state: f64,
    value: Box<RawValue>,
    /// `merged`, `silence`, or the error.
    gun: String,
}

/// Merged by gun.js, refused here.
const STRICTER: [(&str, &str); 10] = [
    (
        "another writer without a certificate",
        "anybody could write anything to anybody",
    ),
    (
        "another writer with an empty certificate",
        "anybody could write anything to anybody",
    ),
    (
        "2018: in its place",
        "the old format does not say what it is for",
    ),
    (
        "2018: moved to another field",
        "the old format does not say what it is for",
    ),
    (
        "2018: in its place, stamped today",
        "the old format does not say what it is for",
    ),
    (
        "today as 2018, in another field and state",
        "any signature would do anywhere",
    ),
    ("a stranger in the wrapping", "no signature covers it"),
    (
        "the value twice, the signed one last",
        "parsers disagree on which one counts",
    ),
    (
        "a signature as an array of bytes",
        "gun.js never writes one",
    ),
    (
        "hashed: hex and more",
        "a value has one name in each alphabet",
    ),
];

/// Refused by gun.js, accepted here.
const LAXER: [(&str, &str); 1] = [("state 0", "it is signed as any other state is")];

fn cases() -> Vec<Case> {
    let file: File = serde_json::from_str(include_str!("vectors/sea-vectors.json")).unwrap();
    file.writes
}

impl Case {
    fn write(&self) -> Write {
        Write {
            soul: self.soul.as_str().into(),
            field: self.field.as_str().into(),
            cell: Cell {
                stamp: Stamp::new(self.state).unwrap(),
                value: Value::from_raw(&self.value).unwrap(),
            },
        }
    }
}

#[test]
fn every_write_is_taken_or_refused_as_gun_does_but_for_the_differences_named() {
    let cases = cases();
    let of = |note: &str| cases.iter().filter(|case| case.note == note).count();
    assert!(of("as gun.js sends it") > 20);
    for (note, reason) in STRICTER.iter().chain(&LAXER) {
        assert_eq!(of(note), 1, "{note}: {reason}");
    }
    for case in &cases {
        let is_named = |list: &[(&str, &str)]| list.iter().any(|(note, _)| *note == case.note);
        let gun_merged = case.gun == "merged";
        let differs = is_named(if gun_merged { &STRICTER } else { &LAXER });
        let checked = sea::check(&case.write());
        assert_eq!(
            checked.is_ok(),
            gun_merged != differs,
            "{} (`{}` of `{}`): gun.js says {}, Loom {checked:?}",
            case.note,
            case.field,
            case.soul,
            case.gun
        );
    }
}

/// Whatever one bit of a signed write is changed to, it is no longer signed.
#[test]
fn no_character_of_a_signed_write_can_be_changed() {
    let cases = cases();
    let case = cases.iter().find(|case| {
        case.note == "as gun.js sends it" && case.field == "name" && case.soul.starts_with('~')
    });
    let write = case.unwrap().write();
    let text = write.cell.value.as_text().unwrap();
    assert_eq!(sea::check(&write), Ok(()));
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else {
            continue;
        };
        let mut write = write.clone();
        write.cell.value = Value::text(&changed);
        assert!(sea::check(&write).is_err(), "{changed}");
    }
}

/// Not every souls' owner is a key, not every value JSON: nothing of that may do harm.
#[test]
fn what_is_not_signed_at_all_is_refused_quietly() {
    let case = cases().into_iter().find(|case| case.field == "epub");
    let write = case.unwrap().write();
    let deep = format!("{{\":\":{},\"~\":\"\"}}", "[".repeat(100_000));
    for text in [
        "",
        "{",
        "[]",
        "null",
        "[\"x\",\"y\"]",
        "{\":\":1,\"~\":null}",
        &deep,
    ] {
        let mut write = write.clone();
        write.cell.value = Value::text(text);
        let reason = sea::check(&write).map_err(|unverified| unverified.reason);
        assert_eq!(
            reason,
            Err(Reason::Unsigned),
            "{}",
            &text[..text.len().min(40)]
        );
    }
    for soul in [
        "~.",
        "~a.b",
        "~\u{1f600}.\u{1f600}",
        &format!("~{0}.{0}", "A".repeat(43)),
    ] {
        let mut write = write.clone();
        write.soul = soul.into();
        let reason = sea::check(&write).map_err(|unverified| unverified.reason);
        assert_eq!(reason, Err(Reason::NoKey), "{soul}");
    }
}
