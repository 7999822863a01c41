//! What the history says about each record: which versions were acknowledged, which may exist,
//! which were refused.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Keys;
use super::version::Version;
use crate::client::Json;
use crate::history::{Action, Attempt, Outcome};

/// All writes of one record.
#[derive(Debug, Default)]
pub struct KeyHistory<'a> {
    /// Acknowledged: each with the version it made.
    pub acked: Vec<(&'a Attempt, Version)>,
    /// Without an answer: each may have happened, at a state nobody knows.
    pub unknown: Vec<&'a Attempt>,
    /// Refused.
    pub refused: Vec<&'a Attempt>,
}

impl KeyHistory<'_> {
    /// The acknowledged version that wins over all others.
    pub fn winner(&self) -> Option<&Version> {
        self.acked
            .iter()
            .map(|(_, version)| version)
            .max_by(|a, b| a.contest(b))
    }

    /// When each delete that may have happened began.
    pub fn deletes_began(&self) -> impl Iterator<Item = u64> + '_ {
        let acked = self.acked.iter().map(|(attempt, _)| *attempt);
        acked
            .chain(self.unknown.iter().copied())
            .filter(|attempt| attempt.action.is_delete())
            .map(|attempt| attempt.began)
    }

    /// Whether this is what an acknowledged write made.
    pub fn was_acked(&self, version: &Version) -> bool {
        self.acked.iter().any(|(_, acked)| acked == version)
    }

    /// Whether a write without an answer may have made this.
    pub fn may_exist(&self, record: Option<&Json>) -> bool {
        self.unknown.iter().any(|attempt| made(attempt, record))
    }
}

/// Sorts the writes of a history by record, each list oldest first.
pub fn by_key(attempts: &[Attempt]) -> Keys<'_> {
    let mut keys: BTreeMap<_, KeyHistory<'_>> = BTreeMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.action.is_write()) {
        let Some(key) = &attempt.key else { continue };
        let history = keys.entry(key).or_default();
        match &attempt.outcome {
            Outcome::Ok { answer, state } => {
                let version = Version {
                    state: state.unwrap_or(f64::NEG_INFINITY),
                    record: answer.clone().filter(|_| !attempt.action.is_delete()),
                };
                history.acked.push((attempt, version));
            }
            Outcome::Unknown(_) => history.unknown.push(attempt),
            Outcome::Fail(_) => history.refused.push(attempt),
        }
    }
    keys
}

/// Whether `record` looks like the work of this write, judged by what it asked for.
pub fn made(attempt: &Attempt, record: Option<&Json>) -> bool {
    let Some(record) = record else {
        return attempt.action.is_delete();
    };
    let Some(asked) = &attempt.asked else {
        return false;
    };
    let (asked, record) = (asked.value(), record.value());
    match attempt.action {
        Action::Patch => agrees(&asked["properties"], &record["properties"]),
        Action::Create | Action::Update => {
            asked["properties"] == record["properties"]
                && asked.get("type").is_none_or(|word| *word == record["type"])
        }
        Action::CreateEdge => {
            asked["from"] == record["from"]
                && asked["to"] == record["to"]
                && asked.get("type").is_none_or(|word| *word == record["type"])
        }
        _ => false,
    }
}

/// Whether everything a patch sets is so in the record: `null` removes, objects are merged.
fn agrees(patch: &Value, record: &Value) -> bool {
    match patch {
        Value::Object(members) => members
            .iter()
            .all(|(name, value)| agrees(value, &record[name])),
        other => other == record,
    }
}

/// `update nodes/a on node-2 (op 17)`: how reports name a write.
pub fn name(attempt: &Attempt) -> String {
    let key = attempt.key.as_ref().map(ToString::to_string);
    let node = attempt.node.map(|node| node.to_string());
    format!(
        "{} {} on {} (op {})",
        attempt.action,
        key.as_deref().unwrap_or("?"),
        node.as_deref().unwrap_or("?"),
        attempt.index
    )
}
