//! An index of records that are known all at once: every map is made of what is in order already.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;

use super::{Ids, Index, Row, Shelf};

/// Below this a thread costs more than it saves.
const ROWS_SHARED: usize = 20_000;

impl Index {
    /// The index of these rows, each table's in order of their ids, none twice.
    pub fn of(nodes: &[Arc<Row>], edges: &[Arc<Row>]) -> Self {
        let ends = |id: fn(&super::Ends) -> &Arc<str>| {
            let pairs = edges.iter().filter_map(move |row| {
                let ends = row.ends.as_ref()?;
                Some((id(ends), &row.id))
            });
            Ids::gather(pairs)
        };
        let by_from = ends(|ends| &ends.from);
        let by_to = ends(|ends| &ends.to);
        let mut index = Self {
            nodes: Shelf::of(nodes),
            edges: Shelf::of(edges),
            by_from,
            by_to,
            dangling: BTreeSet::new(),
        };
        let edges = index.edges.by_id.values();
        let dangling = edges.filter(|row| index.would_dangle(row));
        index.dangling = dangling.map(|row| row.id.clone()).collect();
        index
    }
}

impl Shelf {
    fn of(rows: &[Arc<Row>]) -> Self {
        let by_type = |rows: &[Arc<Row>]| Ids::gather(rows.iter().map(|row| (&row.kind, &row.id)));
        let by_id = |rows: &[Arc<Row>]| {
            let rows = rows.iter().map(|row| (row.id.clone(), row.clone()));
            rows.collect::<BTreeMap<_, _>>()
        };
        if rows.len() < ROWS_SHARED {
            return Self {
                by_type: by_type(rows),
                by_id: by_id(rows),
            };
        }
        thread::scope(|scope| {
            let by_type = scope.spawn(|| by_type(rows));
            Self {
                by_id: by_id(rows),
                by_type: by_type.join().expect("putting into order cannot fail"),
            }
        })
    }
}

impl Ids {
    /// Ids in order, by what they are found by.
    fn gather<'a>(pairs: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>) -> Self {
        let mut sets: HashMap<&str, (&Arc<str>, Vec<Arc<str>>)> = HashMap::new();
        for (key, id) in pairs {
            let (_, ids) = sets.entry(key).or_insert_with(|| (key, Vec::new()));
            ids.push(id.clone());
        }
        let sets = sets.into_values();
        Self(
            sets.map(|(key, ids)| (key.clone(), BTreeSet::from_iter(ids)))
                .collect(),
        )
    }
}
