//! What to list, and what came of it.

use std::sync::Arc;

use super::row::Row;
use crate::record::Table;

/// Which records to list; all conditions must hold. Answers are ordered by id, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Vertices or edges.
    pub table: Table,
    /// Of this type.
    pub kind: Option<String>,
    /// Edges that leave this vertex.
    pub from: Option<String>,
    /// Edges that enter this vertex.
    pub to: Option<String>,
    /// Edges that leave or enter this vertex.
    pub touching: Option<String>,
    /// Only ids greater than this one: where the page before ended.
    pub after: Option<String>,
    /// At most so many; `None` is all.
    pub limit: Option<usize>,
}

impl Query {
    /// Everything in a table.
    pub fn all(table: Table) -> Self {
        Self {
            table,
            kind: None,
            from: None,
            to: None,
            touching: None,
            after: None,
            limit: None,
        }
    }

    /// Whether `row` meets the conditions on its content.
    pub(super) fn matches(&self, row: &Row) -> bool {
        let is = |wanted: &Option<String>, held: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == held)
        };
        let ends_match = match &row.ends {
            None => self.from.is_none() && self.to.is_none() && self.touching.is_none(),
            Some(ends) => {
                is(&self.from, &ends.from)
                    && is(&self.to, &ends.to)
                    && (is(&self.touching, &ends.from) || is(&self.touching, &ends.to))
            }
        };
        ends_match && is(&self.kind, &row.kind)
    }
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The record.
    pub row: Arc<Row>,
    /// An edge one of whose ends does not exist here (yet).
    pub dangling: bool,
}

/// The records that matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of their ids.
    pub found: Vec<Found>,
    /// [`Query::after`] of the next page, if there is more.
    pub next: Option<Arc<str>>,
    /// How many records were looked at.
    pub examined: usize,
}
