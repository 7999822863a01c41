//! What goes over the control socket: one JSON object per line, either way.
//!
//! A client sends [`Request`]s, each with a number of its own; the controller answers each with
//! [`Said::Ok`] or [`Said::Refused`] of that number, in whatever order they are done. After
//! [`Ask::Events`], events come in between.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Holder;
use crate::cluster::{ClusterEvent, Link, Member, RigError};

/// One line from a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Repeated in the answer.
    pub id: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What can be asked. Those that change something answer `null` when it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Ask {
    /// First of all. Answers [`Hello`].
    Hello {
        /// Whether faults made over this connection end with it.
        owns_faults: bool,
    },
    /// Answers a list of [`crate::cluster::MemberStatus`].
    Members,
    /// From now on, each event as [`Said::Event`].
    Events,
    /// Answers a list of lines.
    LogTail {
        /// Whose.
        member: Member,
        /// At most.
        lines: usize,
    },
    /// Answers [`crate::cluster::Traffic`] or `null`.
    Traffic {
        /// Whose link.
        node: Member,
    },
    /// See [`crate::cluster::ClusterBackend::start`].
    Start {
        /// Whom.
        member: Member,
    },
    /// See [`crate::cluster::ClusterBackend::stop`].
    Stop {
        /// Whom.
        member: Member,
    },
    /// See [`crate::cluster::ClusterBackend::kill`].
    Kill {
        /// Whom.
        member: Member,
    },
    /// See [`crate::cluster::ClusterBackend::suspend`].
    Suspend {
        /// Whom.
        member: Member,
    },
    /// See [`crate::cluster::ClusterBackend::resume`].
    Resume {
        /// Whom.
        member: Member,
    },
    /// See [`crate::cluster::ClusterBackend::wipe`].
    Wipe {
        /// Whom.
        member: Member,
    },
    /// See [`crate::cluster::ClusterBackend::set_link`].
    SetLink {
        /// Whose.
        node: Member,
        /// What it is to look like.
        link: Link,
        /// Milliseconds until it heals by itself.
        lease_ms: Option<u64>,
    },
    /// See [`crate::cluster::ClusterBackend::set_clock`].
    SetClock {
        /// Whose.
        node: Member,
        /// By how many milliseconds it is to be ahead.
        ahead_ms: i64,
    },
    /// See [`crate::cluster::ClusterBackend::heal`].
    Heal,
    /// Ends the faults that were made over this connection and would end with it.
    EndOwnedFaults,
    /// Ends the cluster, answers, and ends the controller.
    Down {
        /// Whether what members have stored goes too; see [`crate::cluster::ClusterBackend::forget`].
        #[serde(default)]
        volumes: bool,
    },
}

/// One line from the controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It is done.
    Ok {
        /// The request's.
        id: u64,
        /// What was asked for.
        value: Value,
    },
    /// It could not be done.
    Refused {
        /// The request's.
        id: u64,
        /// Why.
        error: RigError,
    },
    /// Something happened.
    Event(ClusterEvent),
    /// So many events happened that this client was too slow for.
    Missed(u64),
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The controller's process.
    pub holder: Holder,
    /// Its version.
    pub version: String,
    /// Kind of its backend.
    pub kind: String,
    /// Log files on this machine.
    pub logs: BTreeMap<Member, PathBuf>,
}
