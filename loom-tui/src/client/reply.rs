//! The envelopes answers come in, opened.

use serde::Deserialize;

use super::outcome::Outcome;
use super::shown::Members;
use super::wire::{ChangeRecord, Edge, Page, Stamp, Stored, Vertex, Written};

/// A bare `{"success":true}`.
#[derive(Deserialize)]
pub(super) struct Plain {}

/// `GET /history`.
#[derive(Deserialize)]
pub(super) struct HistoryReply {
    pub(super) history: Vec<ChangeRecord>,
}

/// One vertex in an envelope.
#[derive(Deserialize)]
pub(super) struct VertexReply {
    node: Vertex,
    state: Option<Stamp>,
}

impl From<VertexReply> for Stored<Vertex> {
    fn from(reply: VertexReply) -> Self {
        Self {
            state: reply.state.or(reply.node.state),
            record: reply.node,
        }
    }
}

/// One edge in an envelope.
#[derive(Deserialize)]
pub(super) struct EdgeReply {
    edge: Edge,
    state: Option<Stamp>,
}

impl From<EdgeReply> for Stored<Edge> {
    fn from(reply: EdgeReply) -> Self {
        Self {
            state: reply.state.or(reply.edge.state),
            record: reply.edge,
        }
    }
}

/// The answer to any write: only the parts a write needs.
#[derive(Deserialize)]
pub(super) struct WriteReply {
    node: Option<Members>,
    edge: Option<Members>,
    id: Option<String>,
    state: Option<Stamp>,
}

impl WriteReply {
    pub(super) fn into_written(self, status: u16) -> Outcome<Written> {
        let record = self.node.or(self.edge);
        let read = record.as_ref();
        let state = self.state.or_else(|| read?.read("state"));
        let id = self.id.or_else(|| read?.read("id"));
        match (id, state) {
            (Some(id), Some(state)) => Outcome::Ok(Written {
                id,
                state,
                created: status == 201,
                record: read.map(Members::record),
            }),
            _ => Outcome::Info("answered without the id and state of the write".to_owned()),
        }
    }
}

/// A list in its envelope, under either name.
#[derive(Deserialize)]
pub(super) struct Listed<R> {
    #[serde(alias = "nodes", alias = "edges")]
    items: Vec<R>,
    next: Option<String>,
}

impl From<Listed<Vertex>> for Page<Stored<Vertex>> {
    fn from(listed: Listed<Vertex>) -> Self {
        Self {
            items: listed
                .items
                .into_iter()
                .map(|record| Stored {
                    state: record.state,
                    record,
                })
                .collect(),
            next: listed.next,
        }
    }
}

impl From<Listed<Edge>> for Page<Stored<Edge>> {
    fn from(listed: Listed<Edge>) -> Self {
        Self {
            items: listed
                .items
                .into_iter()
                .map(|record| Stored {
                    state: record.state,
                    record,
                })
                .collect(),
            next: listed.next,
        }
    }
}
