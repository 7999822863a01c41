//! One thing that happened, as the feed and the history tell it.

use std::fmt::Write as _;
use std::sync::Arc;

use loom_relay::js_text;
use loom_relay::model::Stamp;

use crate::index::Row;
use crate::record::Table;

/// A published happening.
#[derive(Debug, PartialEq)]
pub struct Event {
    /// Its number; a canary has the number of the change before it.
    pub seq: u64,
    /// What it is about.
    pub happened: Happened,
}

/// What happened, before it got a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// This node's wall clock, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whose write it was.
    pub origin: Origin,
    /// What it was about.
    pub subject: Subject,
}

/// Whose write it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Came in through this node's REST API.
    Local,
    /// Came in over a link.
    Remote,
}

/// What happened to what.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A record that was not there is.
    Created(Arc<Row>),
    /// A record was replaced, in conflict with the one before or not.
    Updated(Arc<Row>, Option<Conflict>),
    /// A record is gone; it may never have been here.
    Deleted {
        /// From where.
        table: Table,
        /// Which.
        id: Arc<str>,
        /// The tombstone's stamp.
        stamp: Stamp,
    },
    /// A write of another node lost against this row; nothing changed here.
    Survived(Arc<Row>, Conflict),
    /// A probe's mark; not a record.
    Canary {
        /// Node id of the writer.
        node: Arc<str>,
        /// What was written.
        value: Arc<str>,
    },
}

/// The side of a conflict that lost: written without knowledge of the winner.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// Whose write won.
    pub winner: Origin,
    /// What is no more, or never was here.
    pub lost: Arc<Row>,
}

impl Origin {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

impl Happened {
    /// Whether it advances the feed's cursor.
    pub fn is_numbered(&self) -> bool {
        !matches!(self.subject, Subject::Canary { .. })
    }
}

impl Subject {
    fn table(&self) -> Option<Table> {
        match self {
            Self::Created(row) | Self::Updated(row, _) | Self::Survived(row, _) => Some(row.table),
            Self::Deleted { table, .. } => Some(*table),
            Self::Canary { .. } => None,
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Updated(..) => "updated",
            Self::Deleted { .. } => "deleted",
            Self::Survived(..) => "conflict",
            Self::Canary { .. } => "canary",
        }
    }
}

impl Event {
    /// LoomDB's change type, such as `node_created`, or `canary`.
    pub fn kind(&self) -> String {
        match self.happened.subject.table() {
            Some(table) => format!("{}_{}", table.singular(), self.happened.subject.verb()),
            None => "canary".to_owned(),
        }
    }

    /// About how much memory it takes, in bytes.
    pub fn weight(&self) -> usize {
        let lost = |conflict: &Conflict| conflict.lost.weight();
        let subject = match &self.happened.subject {
            Subject::Created(row) => row.weight(),
            Subject::Updated(row, conflict) => row.weight() + conflict.as_ref().map_or(0, lost),
            Subject::Survived(row, conflict) => row.weight() + lost(conflict),
            Subject::Deleted { id, .. } => id.len(),
            Subject::Canary { node, value } => node.len() + value.len(),
        };
        size_of::<Self>() + subject
    }

    /// Appends the event as one line of JSON.
    pub fn push_json(&self, out: &mut String) {
        let Happened {
            at_ms,
            origin,
            subject,
        } = &self.happened;
        if let Subject::Canary { node, value } = subject {
            let (node, value) = (js_text::string(node), js_text::string(value));
            let _ = write!(
                out,
                r#"{{"type":"canary","timestamp":{at_ms},"origin":{node},"value":{value}}}"#
            );
            return;
        }
        let _ = write!(
            out,
            r#"{{"seq":{},"type":"{}","timestamp":{at_ms},"origin":"{}""#,
            self.seq,
            self.kind(),
            origin.as_str(),
        );
        match subject {
            Subject::Created(row) => push_row(row, out),
            Subject::Updated(row, conflict) => {
                push_row(row, out);
                if let Some(conflict) = conflict {
                    conflict.push_json(out);
                }
            }
            Subject::Survived(row, conflict) => {
                push_row(row, out);
                conflict.push_json(out);
            }
            Subject::Deleted { table, id, stamp } => {
                let (member, id) = (table.singular(), js_text::string(id));
                let _ = write!(out, r#","{member}Id":{id},"{member}":null,"state":{stamp}"#);
            }
            Subject::Canary { .. } => {}
        }
        out.push('}');
    }
}

fn push_row(row: &Row, out: &mut String) {
    let (member, id) = (row.table.singular(), js_text::string(&row.id));
    let _ = write!(out, r#","{member}Id":{id},"{member}":"#);
    row.push_json(false, out);
    let _ = write!(out, r#","state":{}"#, row.stamp);
}

impl Conflict {
    fn push_json(&self, out: &mut String) {
        let _ = write!(
            out,
            r#","conflict":{{"winner":"{}","lost":"#,
            self.winner.as_str()
        );
        self.lost.push_json(false, out);
        out.push('}');
    }
}
