//! LoomDB's JSON as the tester reads it: its own structs, tolerant of fields it does not need.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json::Json;

/// What kind of record a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A vertex: the REST API's node.
    Vertex,
    /// An edge.
    Edge,
    /// A canary: the id is the node it was sent to. Not a record.
    Canary,
}

/// What one write is about: a record, by kind and id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Vertex, edge or canary.
    pub kind: Kind,
    /// Its id.
    pub id: Arc<str>,
}

impl Key {
    /// The key of a vertex.
    pub fn vertex(id: &str) -> Self {
        Self {
            kind: Kind::Vertex,
            id: id.into(),
        }
    }

    /// The key of an edge.
    pub fn edge(id: &str) -> Self {
        Self {
            kind: Kind::Edge,
            id: id.into(),
        }
    }

    /// The key of the canary that sings on `node`.
    pub fn canary(node: &str) -> Self {
        Self {
            kind: Kind::Canary,
            id: node.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Vertex => "nodes",
            Kind::Edge => "edges",
            Kind::Canary => "canary",
        };
        write!(f, "{kind}/{}", self.id)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// GUN's state: the version of a record, in milliseconds since the Unix epoch with fractions.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub f64);

impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Stamp {}

/// A vertex as the REST API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vertex {
    /// Its id.
    pub id: String,
    /// Its type, `custom` by default.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its properties.
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// `createdAt`, `updatedAt`, `createdBy`, `version`, `labels`.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing)]
    pub(super) state: Option<Stamp>,
}

/// An edge as the REST API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Its id.
    pub id: String,
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Its type, `custom` by default.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its properties.
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// `createdAt`, `updatedAt`, `createdBy`, `version`, `labels`.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Its weight, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Whether the answering node lacks one of its ends.
    #[serde(default)]
    pub dangling: bool,
    #[serde(default, skip_serializing)]
    pub(super) state: Option<Stamp>,
}

/// A record and the stamp that won it its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<R> {
    /// The record.
    pub record: R,
    /// Its stamp; `None` when the node did not say.
    pub state: Option<Stamp>,
}

/// A write that did happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The id written to: the node's choice where none was given.
    pub id: String,
    /// The stamp the write was given. Whoever shows this key with this stamp or a later one has
    /// seen the write.
    pub state: Stamp,
    /// Whether the record is new (status 201).
    pub created: bool,
    /// The record as it is stored now, word for word; `None` where the answer had none.
    pub record: Option<Json>,
}

/// The body of `POST /nodes`, `PUT` and `PATCH /nodes/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NewVertex {
    /// Chosen by the node when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `custom` when absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// None when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<Map<String, Value>>,
}

/// The body of `POST /edges`, `PUT` and `PATCH /edges/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NewEdge {
    /// Chosen by the node when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it begins; needed except in a `PATCH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where it ends; needed except in a `PATCH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `custom` when absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// None when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<Map<String, Value>>,
    /// None when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// What `GET /nodes` filters by.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VertexFilter {
    /// Only this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// What `GET /edges` filters by; filters combine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EdgeFilter {
    /// Only this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only from this vertex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only to this vertex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In the node's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// `GET /health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Who answers.
    pub node_id: String,
    /// Whether it serves.
    pub healthy: bool,
    /// What is wrong and what to do about it, in sentences; only Loom's nodes say.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Its link to the relay.
    pub sync: SyncStatus,
    /// Its counters.
    pub stats: NodeStats,
}

/// A node's link to the mesh, by its own account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// Whether a relay link is up and was heard from recently.
    pub connected: bool,
    /// Writes not yet handed to the mesh.
    #[serde(default)]
    pub pending_changes: u64,
    /// Records in the history.
    #[serde(default)]
    pub change_history: u64,
    /// How far it is in catching up; only Loom's nodes say.
    #[serde(default)]
    pub catch_up: Option<CatchUp>,
}

/// How far a node is in making up for what it missed, on the link that is furthest behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CatchUp {
    /// `finding`, `moving` and `copying` while it is under way.
    pub phase: String,
    /// How much of it is done.
    pub percent: u64,
    /// Items that came.
    pub items_in: u64,
    /// Items that went.
    pub items_out: u64,
}

impl CatchUp {
    /// Whether something is being moved, or looked for.
    pub fn is_under_way(&self) -> bool {
        matches!(self.phase.as_str(), "finding" | "moving" | "copying")
    }
}

/// A node's counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStats {
    /// Vertices created here.
    pub nodes_created: u64,
    /// Edges created here.
    pub edges_created: u64,
    /// Changes that came from elsewhere, each counted once.
    pub remote_changes: u64,
}

/// `GET /stats`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsReply {
    /// Who answers.
    pub node_id: String,
    /// Its counters.
    pub stats: NodeStats,
    /// Its link to the relay.
    pub sync_status: SyncStatus,
    /// What it holds; only Loom's nodes say.
    #[serde(default)]
    pub graph: Option<GraphCounts>,
}

impl StatsReply {
    /// Vertices and edges it holds, where it says.
    pub fn records(&self) -> Option<u64> {
        self.graph.as_ref().map(|graph| graph.nodes + graph.edges)
    }
}

/// What a node holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphCounts {
    /// Vertices.
    pub nodes: u64,
    /// Edges.
    pub edges: u64,
    /// Edges that lack an end.
    #[serde(default)]
    pub dangling: u64,
}

/// `GET /digest`: equal replicas have equal digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// Who answers.
    pub node_id: String,
    /// Order-independent hash of every record and tombstone with its stamp, in hex.
    pub digest: String,
    /// Vertices that exist.
    pub nodes: u64,
    /// Edges that exist.
    pub edges: u64,
    /// Writes stamped in this node's future, held back until their time.
    #[serde(default)]
    pub deferred: u64,
}

/// What a bulk create did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct BulkReport {
    /// Records that are new.
    pub created: u64,
    /// Records that were there before.
    pub replaced: u64,
    /// Lines that were refused.
    pub failed: u64,
    /// Lines of which it is not known whether they will last.
    #[serde(default)]
    pub unknown: u64,
    /// Why; the first thousand.
    #[serde(default)]
    pub errors: Vec<BulkRefusal>,
}

/// One line of a bulk create that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct BulkRefusal {
    /// Which, from 1.
    pub line: u64,
    /// Why.
    pub error: String,
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A new vertex.
    NodeCreated,
    /// A vertex has new content.
    NodeUpdated,
    /// A vertex is gone.
    NodeDeleted,
    /// A new edge.
    EdgeCreated,
    /// An edge has new content.
    EdgeUpdated,
    /// An edge is gone.
    EdgeDeleted,
}

impl Change {
    /// Vertex or edge.
    pub fn kind(self) -> Kind {
        match self {
            Self::NodeCreated | Self::NodeUpdated | Self::NodeDeleted => Kind::Vertex,
            Self::EdgeCreated | Self::EdgeUpdated | Self::EdgeDeleted => Kind::Edge,
        }
    }

    /// Whether the record is gone.
    pub fn is_delete(self) -> bool {
        matches!(self, Self::NodeDeleted | Self::EdgeDeleted)
    }
}

/// One change as `/history` and the change feed tell it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRecord {
    /// What happened.
    #[serde(rename = "type")]
    pub change: Change,
    /// When, by the node's wall clock, in milliseconds since the Unix epoch.
    pub timestamp: f64,
    /// The vertex, if it is about one.
    #[serde(default)]
    pub node_id: Option<String>,
    /// The edge, if it is about one.
    #[serde(default)]
    pub edge_id: Option<String>,
    /// The stamp of the write.
    #[serde(default)]
    pub state: Option<Stamp>,
    /// Whether the write came from elsewhere (`remote`) or was made here (`local`).
    #[serde(default)]
    pub origin: Option<String>,
    /// The vertex's content, unread.
    #[serde(default)]
    pub node: Option<Box<RawValue>>,
    /// The edge's content, unread.
    #[serde(default)]
    pub edge: Option<Box<RawValue>>,
}

impl ChangeRecord {
    /// The record the change is about, if the node named one.
    pub fn key(&self) -> Option<Key> {
        match self.change.kind() {
            Kind::Vertex => self.node_id.as_deref().map(Key::vertex),
            Kind::Edge => self.edge_id.as_deref().map(Key::edge),
            Kind::Canary => None,
        }
    }
}
