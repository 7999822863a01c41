//! What the graph holds when a node starts, shown again; nothing of it is a change.

use std::sync::Arc;
use std::thread;

use loom_relay::graph::Graph;
use loom_relay::model::{Cell, Field};

use crate::index::{Index, Kinds, Row};
use crate::record::Table;

/// Below this a thread costs more than it saves.
const FIELDS_SHARED: usize = 20_000;

/// What is found in one table.
#[derive(Debug, Default)]
struct Found {
    rows: Vec<Arc<Row>>,
    /// Ids of what is no record.
    foreign: Vec<Arc<str>>,
}

/// The index of what the graph holds, and whatever is held in place of records.
pub(super) fn index(graph: &Graph) -> (Index, Vec<(Table, Arc<str>)>) {
    let [nodes, edges] = Table::ALL.map(|table| rows(graph, table));
    let foreign = |table, found: Vec<Arc<str>>| found.into_iter().map(move |id| (table, id));
    let [of_nodes, of_edges] = Table::ALL;
    let foreign = foreign(of_nodes, nodes.foreign).chain(foreign(of_edges, edges.foreign));
    (Index::of(&nodes.rows, &edges.rows), foreign.collect())
}

fn rows(graph: &Graph, table: Table) -> Found {
    let Some(vertex) = graph.vertex(table.soul()) else {
        return Found::default();
    };
    let fields: Vec<_> = vertex.iter().collect();
    if fields.len() < FIELDS_SHARED {
        return read(table, &fields);
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = fields.len().div_ceil(threads);
    thread::scope(|scope| {
        let shares = fields.chunks(share);
        let readers: Vec<_> = shares
            .map(|share| scope.spawn(move || read(table, share)))
            .collect();
        let mut all = Found::default();
        for reader in readers {
            let found = reader.join().expect("rows are read without a panic");
            all.rows.extend(found.rows);
            all.foreign.extend(found.foreign);
        }
        all
    })
}

fn read(table: Table, fields: &[(&Field, &Cell)]) -> Found {
    let mut found = Found {
        rows: Vec::with_capacity(fields.len()),
        foreign: Vec::new(),
    };
    let mut kinds = Kinds::default();
    for (field, cell) in fields {
        let id = Arc::<str>::from((*field).clone());
        match Row::of_held(table, id.clone(), (cell.stamp, &cell.value), &mut kinds) {
            Ok(Some(row)) => found.rows.push(Arc::new(row)),
            Ok(None) => {}
            Err(_) => found.foreign.push(id),
        }
    }
    found
}
