//! What a node has done since it started or its counters were reset.

use serde::Serialize;

/// Counters; the first four have LoomDB's names and meanings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Vertices created through this node's API.
    pub nodes_created: u64,
    /// Edges created through this node's API.
    pub edges_created: u64,
    /// Records created, changed or deleted here by another peer's write; each once.
    pub remote_changes: u64,
    /// When a record last changed here, in milliseconds since the Unix epoch.
    pub last_change: Option<u64>,
    /// Records changed or deleted through this node's API.
    pub local_updates: u64,
    /// Writes that lost against one their writer had not seen, whoever won.
    pub conflicts: u64,
}
