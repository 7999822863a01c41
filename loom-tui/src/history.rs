//! What was done to the cluster and what it answered: the evidence every checker judges by.
//!
//! Jepsen's operation format: an `invoke`, then one of `ok` (it did happen), `fail` (it did not)
//! or `info` (it may have happened, and may yet). Actors record what they really did, faults
//! included. [`Recorder`] is the one door in; [`attempts::pair`] turns operations into what the
//! checkers read.

pub mod attempts;
pub mod processes;
pub mod recorder;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::client::{Json, Key};
use crate::cluster::Member;

pub use attempts::{Attempt, Outcome};
pub use recorder::{Pending, Recorder};

/// One line of `history.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Op {
    /// Position in the history, from 0, in the order the operations were recorded.
    pub index: u64,
    /// Nanoseconds since the run began, by one monotonic clock.
    pub time: u64,
    /// Who did it. A process does one thing at a time.
    pub process: Process,
    /// Where the operation stands.
    #[serde(rename = "type")]
    pub kind: OpType,
    /// What was done.
    pub f: Action,
    /// `invoke`: what was asked for. `ok`: what the cluster answered, word for word.
    pub value: Option<Json>,
    /// Why it was refused or is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
    /// To whom it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Member>,
    /// Which record it is about, by its REST path: `nodes/a1`, `edges/e7`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "path")]
    pub key: Option<Key>,
    /// HAM state of the record in the answer, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<f64>,
    /// Which fault of the run this is an end of, counted from 1: both ends have the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<u64>,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpType {
    /// It was begun.
    Invoke,
    /// It did happen.
    Ok,
    /// It did not happen.
    Fail,
    /// It may have happened, or may yet: there was no answer. Faults are `info` at both ends.
    Info,
}

/// Who does operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Process {
    /// A client. `number % `[`processes::CONCURRENCY`] is its worker.
    Client(u64),
    /// Whoever injects faults.
    #[serde(with = "nemesis")]
    Nemesis,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => number.fmt(f),
            Self::Nemesis => f.write_str("nemesis"),
        }
    }
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `POST /nodes`.
    Create,
    /// `PUT /nodes/{id}`.
    Update,
    /// `PATCH /nodes/{id}`.
    Patch,
    /// `DELETE /nodes/{id}`.
    Delete,
    /// `POST /edges`.
    CreateEdge,
    /// `DELETE /edges/{id}`.
    DeleteEdge,
    /// `GET /nodes/{id}`.
    Get,
    /// `GET /nodes`.
    List,
    /// `GET /edges`.
    ListEdges,
    /// `GET /health`.
    Health,
    /// `GET /digest`.
    Digest,
    /// Cut a node's link to the relay, or one direction of it.
    Cut,
    /// Clear a node's link.
    Heal,
    /// End every fault.
    HealAll,
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// Start what is down.
    Start,
    /// Stop, then start.
    Restart,
    /// SIGSTOP.
    Suspend,
    /// SIGCONT.
    Resume,
    /// Slow a node's link down.
    Degrade,
    /// Delete what a member has stored.
    Wipe,
    /// Set a node's clock wrong.
    BumpClock,
    /// Set a node's clock right.
    ResetClock,
}

impl Action {
    /// Whether it changes what is stored.
    pub fn is_write(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Update
                | Self::Patch
                | Self::Delete
                | Self::CreateEdge
                | Self::DeleteEdge
        )
    }

    /// Whether it removes a record.
    pub fn is_delete(self) -> bool {
        matches!(self, Self::Delete | Self::DeleteEdge)
    }

    /// Whether it is done to the cluster rather than asked of it.
    pub fn is_fault(self) -> bool {
        self >= Self::Cut
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::CreateEdge => "create-edge",
            Self::DeleteEdge => "delete-edge",
            Self::Get => "get",
            Self::List => "list",
            Self::ListEdges => "list-edges",
            Self::Health => "health",
            Self::Digest => "digest",
            Self::Cut => "cut",
            Self::Heal => "heal",
            Self::HealAll => "heal-all",
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Degrade => "degrade",
            Self::Wipe => "wipe",
            Self::BumpClock => "bump-clock",
            Self::ResetClock => "reset-clock",
        })
    }
}

mod path {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Key;

    pub(super) fn serialize<S: Serializer>(key: &Option<Key>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(key.as_ref().expect("skipped when there is none"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Key>, D::Error> {
        let Some(path) = Option::<String>::deserialize(d)? else {
            return Ok(None);
        };
        let nodes = path.strip_prefix("nodes/").map(Key::vertex);
        let key = nodes.or_else(|| path.strip_prefix("edges/").map(Key::edge));
        key.map(Some)
            .ok_or_else(|| D::Error::custom("a key must look like nodes/ID or edges/ID"))
    }
}

mod nemesis {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("nemesis")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<(), D::Error> {
        let word = String::deserialize(d)?;
        if word == "nemesis" {
            Ok(())
        } else {
            Err(D::Error::custom("a process is a number or \"nemesis\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_one_line_with_jepsens_fields() {
        let op = Op {
            index: 3,
            time: 1_500,
            process: Process::Client(10_000),
            kind: OpType::Ok,
            f: Action::Create,
            value: Some(Json::parse(r#"{"id":"a","z":1,"b":2.50}"#).unwrap()),
            error: None,
            node: Some(Member::Node(2)),
            key: Some(Key::vertex("a")),
            state: Some(1_795_409_947_056.001),
            fault: None,
        };
        let line = serde_json::to_string(&op).unwrap();
        assert_eq!(
            line,
            r#"{"index":3,"time":1500,"process":10000,"type":"ok","f":"create","value":{"id":"a","z":1,"b":2.50},"node":"node-2","key":"nodes/a","state":1795409947056.001}"#
        );
        assert_eq!(serde_json::from_str::<Op>(&line).unwrap(), op);
    }

    #[test]
    fn a_fault_is_done_by_the_nemesis() {
        let line = r#"{"index":0,"time":7,"process":"nemesis","type":"info","f":"kill","value":"node-2","node":"node-2","fault":1}"#;
        let op: Op = serde_json::from_str(line).unwrap();
        assert_eq!(op.process, Process::Nemesis);
        assert!(op.f.is_fault() && !op.f.is_write());
        assert_eq!(serde_json::to_string(&op).unwrap(), line);
    }

    #[test]
    fn every_action_prints_as_it_is_written_to_the_file() {
        for action in [
            Action::Create,
            Action::CreateEdge,
            Action::ListEdges,
            Action::HealAll,
            Action::BumpClock,
            Action::ResetClock,
        ] {
            let written = serde_json::to_string(&action).unwrap();
            assert_eq!(written, format!("\"{action}\""));
        }
    }
}
