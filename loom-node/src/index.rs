//! The records that can be shown, found by id, type, source and target without a scan.
//!
//! [`Index::put`] and [`Index::remove`] are the only ways in, but for [`Index::of`] at the start;
//! [`Index::list`] is the way out. A list
//! is made of shared rows, so the owner of the index is done once it has collected them; turning
//! them into text is the reader's work.

mod bulk;
mod query;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

pub use self::query::{Found, Page, Query};
pub use self::row::{Ends, Kinds, Row};
use crate::record::Table;

/// All vertices and edges of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    nodes: Shelf,
    edges: Shelf,
    by_from: Ids,
    by_to: Ids,
    /// Edges with a missing end; kept up to date so that listing edges needs no lookups.
    dangling: BTreeSet<Arc<str>>,
}

/// The records of one table.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shelf {
    by_id: BTreeMap<Arc<str>, Arc<Row>>,
    by_type: Ids,
}

/// Ids by what they are found by; no set is ever empty.
#[derive(Clone, Debug, Default, PartialEq)]
struct Ids(BTreeMap<Arc<str>, BTreeSet<Arc<str>>>);

impl Index {
    /// How many records a table has.
    pub fn len(&self, table: Table) -> usize {
        self.shelf(table).by_id.len()
    }

    /// Whether a table has no records.
    pub fn is_empty(&self, table: Table) -> bool {
        self.len(table) == 0
    }

    /// How many edges miss an end.
    pub fn dangling(&self) -> usize {
        self.dangling.len()
    }

    /// One record.
    pub fn get(&self, table: Table, id: &str) -> Option<Found> {
        self.shelf(table).by_id.get(id).map(|row| self.found(row))
    }

    /// Holds `row`, in place of the one with its id, which is returned.
    pub fn put(&mut self, row: &Arc<Row>) -> Option<Arc<Row>> {
        let shelf = self.shelf_mut(row.table);
        let was = shelf.by_id.insert(row.id.clone(), row.clone());
        let same_type = was.as_ref().is_some_and(|was| was.kind == row.kind);
        if !same_type {
            if let Some(was) = &was {
                shelf.by_type.remove(&was.kind, &was.id);
            }
            shelf.by_type.insert(&row.kind, &row.id);
        }
        match &row.ends {
            None if was.is_none() => self.recheck_edges_of(&row.id),
            None => {}
            Some(ends) => {
                if let Some(old) = was.as_ref().and_then(|was| was.ends.as_ref())
                    && old != ends
                {
                    self.by_from.remove(&old.from, &row.id);
                    self.by_to.remove(&old.to, &row.id);
                }
                self.by_from.insert(&ends.from, &row.id);
                self.by_to.insert(&ends.to, &row.id);
                self.recheck_edge(row);
            }
        }
        was
    }

    /// Forgets a record, which is returned. Edges of a vertex stay, and dangle.
    pub fn remove(&mut self, table: Table, id: &str) -> Option<Arc<Row>> {
        let shelf = self.shelf_mut(table);
        let was = shelf.by_id.remove(id)?;
        shelf.by_type.remove(&was.kind, &was.id);
        match &was.ends {
            None => self.recheck_edges_of(&was.id),
            Some(ends) => {
                self.by_from.remove(&ends.from, &was.id);
                self.by_to.remove(&ends.to, &was.id);
                self.dangling.remove(&was.id);
            }
        }
        Some(was)
    }

    /// Lists what matches, looking only at the records of the query's rarest condition.
    pub fn list(&self, query: &Query) -> Page {
        let shelf = self.shelf(query.table);
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut page = Page::default();
        for id in self.candidates(query) {
            let row = shelf.by_id.get(id).expect("sets name only held records");
            page.examined += 1;
            if !query.matches(row) {
                continue;
            }
            if page.found.len() == limit {
                page.next = page.found.last().map(|last| last.row.id.clone());
                break;
            }
            page.found.push(self.found(row));
        }
        page
    }

    /// The ids of the smallest set that holds every match, in order, past the cursor.
    fn candidates<'a>(&'a self, query: &'a Query) -> Box<dyn Iterator<Item = &'a Arc<str>> + 'a> {
        let shelf = self.shelf(query.table);
        let start = match &query.after {
            Some(after) => Bound::Excluded(after.as_str()),
            None => Bound::Unbounded,
        };
        let range = (start, Bound::Unbounded);
        let within = |set: &'a BTreeSet<Arc<str>>| set.range::<str, _>(range);

        let sets = [
            query.kind.as_ref().map(|kind| shelf.by_type.of(kind)),
            query.from.as_ref().map(|from| self.by_from.of(from)),
            query.to.as_ref().map(|to| self.by_to.of(to)),
        ];
        let smallest = sets.into_iter().flatten().min_by_key(|set| set.len());
        let touching = (query.touching.as_ref()).map(|id| (self.by_from.of(id), self.by_to.of(id)));
        match (smallest, touching) {
            (Some(set), Some((out, into))) if set.len() <= out.len() + into.len() => {
                Box::new(within(set))
            }
            (_, Some((out, into))) => {
                let after = query.after.as_deref();
                Box::new(
                    out.union(into)
                        .skip_while(move |id| after.is_some_and(|after| ***id <= *after)),
                )
            }
            (Some(set), None) => Box::new(within(set)),
            (None, None) => Box::new(shelf.by_id.range::<str, _>(range).map(|(id, _)| id)),
        }
    }

    /// Whether an edge like this misses an end right now.
    pub fn would_dangle(&self, row: &Row) -> bool {
        let vertices = &self.nodes.by_id;
        row.ends.as_ref().is_some_and(|ends| {
            !vertices.contains_key(&ends.from) || !vertices.contains_key(&ends.to)
        })
    }

    fn found(&self, row: &Arc<Row>) -> Found {
        Found {
            row: row.clone(),
            dangling: row.ends.is_some() && self.dangling.contains(&row.id),
        }
    }

    /// A vertex came or went: its edges may dangle no more, or do now.
    fn recheck_edges_of(&mut self, vertex: &str) {
        let ids = self.by_from.of(vertex).union(self.by_to.of(vertex));
        let edges: Vec<_> = ids.map(|id| self.edges.by_id[id].clone()).collect();
        for edge in edges {
            self.recheck_edge(&edge);
        }
    }

    fn recheck_edge(&mut self, edge: &Row) {
        if self.would_dangle(edge) {
            self.dangling.insert(edge.id.clone());
        } else {
            self.dangling.remove(&edge.id);
        }
    }

    fn shelf(&self, table: Table) -> &Shelf {
        match table {
            Table::Nodes => &self.nodes,
            Table::Edges => &self.edges,
        }
    }

    fn shelf_mut(&mut self, table: Table) -> &mut Shelf {
        match table {
            Table::Nodes => &mut self.nodes,
            Table::Edges => &mut self.edges,
        }
    }
}

impl Ids {
    fn of(&self, key: &str) -> &BTreeSet<Arc<str>> {
        const NONE: &BTreeSet<Arc<str>> = &BTreeSet::new();
        self.0.get(key).unwrap_or(NONE)
    }

    fn insert(&mut self, key: &Arc<str>, id: &Arc<str>) {
        match self.0.get_mut(key) {
            Some(set) => {
                set.insert(id.clone());
            }
            None => {
                self.0.insert(key.clone(), BTreeSet::from([id.clone()]));
            }
        }
    }

    fn remove(&mut self, key: &str, id: &str) {
        if let Some(set) = self.0.get_mut(key) {
            set.remove(id);
            if set.is_empty() {
                self.0.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
