//! One write a client can make, as plain data: what is sent where.

use reqwest::Method;
use serde::Serialize;

use super::segment;
use super::wire::{Key, NewEdge, NewVertex};

/// A write of one record.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", content = "body", rename_all = "snake_case")]
pub enum WriteOp {
    /// `POST /nodes`.
    CreateVertex(NewVertex),
    /// `PUT /nodes/{id}`: create or replace.
    PutVertex(String, NewVertex),
    /// `PATCH /nodes/{id}`: merge properties into what is there.
    PatchVertex(String, NewVertex),
    /// `DELETE /nodes/{id}`.
    DeleteVertex(String),
    /// `POST /edges`.
    CreateEdge(NewEdge),
    /// `PUT /edges/{id}`: create or replace.
    PutEdge(String, NewEdge),
    /// `PATCH /edges/{id}`: merge properties into what is there.
    PatchEdge(String, NewEdge),
    /// `DELETE /edges/{id}`.
    DeleteEdge(String),
}

impl WriteOp {
    /// What is written to; `None` when the node is to choose the id.
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::CreateVertex(body) => body.id.as_deref().map(Key::vertex),
            Self::PutVertex(id, _) | Self::PatchVertex(id, _) | Self::DeleteVertex(id) => {
                Some(Key::vertex(id))
            }
            Self::CreateEdge(body) => body.id.as_deref().map(Key::edge),
            Self::PutEdge(id, _) | Self::PatchEdge(id, _) | Self::DeleteEdge(id) => {
                Some(Key::edge(id))
            }
        }
    }

    /// Whether the record is gone afterwards.
    pub fn is_delete(&self) -> bool {
        matches!(self, Self::DeleteVertex(_) | Self::DeleteEdge(_))
    }

    /// The operation's name in histories and counts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateVertex(_) => "create-node",
            Self::PutVertex(..) => "put-node",
            Self::PatchVertex(..) => "patch-node",
            Self::DeleteVertex(_) => "delete-node",
            Self::CreateEdge(_) => "create-edge",
            Self::PutEdge(..) => "put-edge",
            Self::PatchEdge(..) => "patch-edge",
            Self::DeleteEdge(_) => "delete-edge",
        }
    }

    /// The same write with an id of the caller's choice where it had none, so that it can be
    /// followed from the moment it is sent.
    #[must_use]
    pub fn with_id(mut self, choose: impl FnOnce() -> String) -> Self {
        match &mut self {
            Self::CreateVertex(NewVertex { id, .. }) | Self::CreateEdge(NewEdge { id, .. }) => {
                id.get_or_insert_with(choose);
            }
            _ => {}
        }
        self
    }

    pub(super) fn route(&self) -> (Method, String) {
        match self {
            Self::CreateVertex(_) => (Method::POST, "/nodes".to_owned()),
            Self::PutVertex(id, _) => (Method::PUT, format!("/nodes/{}", segment(id))),
            Self::PatchVertex(id, _) => (Method::PATCH, format!("/nodes/{}", segment(id))),
            Self::DeleteVertex(id) => (Method::DELETE, format!("/nodes/{}", segment(id))),
            Self::CreateEdge(_) => (Method::POST, "/edges".to_owned()),
            Self::PutEdge(id, _) => (Method::PUT, format!("/edges/{}", segment(id))),
            Self::PatchEdge(id, _) => (Method::PATCH, format!("/edges/{}", segment(id))),
            Self::DeleteEdge(id) => (Method::DELETE, format!("/edges/{}", segment(id))),
        }
    }

    pub(super) fn body(&self) -> Option<String> {
        let json = match self {
            Self::CreateVertex(body) | Self::PutVertex(_, body) | Self::PatchVertex(_, body) => {
                serde_json::to_string(body)
            }
            Self::CreateEdge(body) | Self::PutEdge(_, body) | Self::PatchEdge(_, body) => {
                serde_json::to_string(body)
            }
            Self::DeleteVertex(_) | Self::DeleteEdge(_) => return None,
        };
        Some(json.expect("maps with text keys are always JSON"))
    }
}
