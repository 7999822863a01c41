//! One record as the index holds it: its text, ready to be sent, and what it is found by.

use std::fmt::Write as _;
use std::sync::Arc;

use loom_relay::model::Stamp;

use crate::record::{Record, Table};

/// A record that can be shown. Shared by the index, the feed, the history and answers on their way
/// out; never changed, only replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it is listed.
    pub table: Table,
    /// Unique in its table.
    pub id: Arc<str>,
    /// LoomDB's `type`.
    pub kind: Arc<str>,
    /// For edges.
    pub ends: Option<Ends>,
    /// What it won its merge with.
    pub stamp: Stamp,
    /// [`Record::json`]: a JSON object, never empty.
    json: Box<str>,
}

/// The two vertices an edge connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Id of the vertex it leaves.
    pub from: Arc<str>,
    /// Id of the vertex it enters.
    pub to: Arc<str>,
}

impl Row {
    /// The row of a record that holds since `stamp`.
    pub fn new(record: &Record, stamp: Stamp) -> Self {
        let ends = record.link.as_ref().map(|link| Ends {
            from: link.from.as_str().into(),
            to: link.to.as_str().into(),
        });
        Self {
            table: if ends.is_some() {
                Table::Edges
            } else {
                Table::Nodes
            },
            id: record.id.as_str().into(),
            kind: record.kind.as_str().into(),
            ends,
            stamp,
            json: record.json().into(),
        }
    }

    /// The record itself, to be changed or compared.
    pub fn record(&self) -> Record {
        Record::read(self.table, &self.id, &self.json, self.stamp)
            .expect("a row's text was written from a record")
    }

    /// Appends the record as the API shows it: with its `state`, and marked if it `dangles`.
    pub fn push_json(&self, dangles: bool, out: &mut String) {
        out.push_str(&self.json[..self.json.len() - 1]);
        let _ = write!(out, ",\"state\":{}", self.stamp);
        if dangles {
            out.push_str(",\"dangling\":true");
        }
        out.push('}');
    }

    /// About how much memory the row takes, in bytes.
    pub fn weight(&self) -> usize {
        let ends = (self.ends.as_ref()).map_or(0, |ends| ends.from.len() + ends.to.len());
        size_of::<Self>() + self.id.len() + self.kind.len() + ends + self.json.len()
    }
}
