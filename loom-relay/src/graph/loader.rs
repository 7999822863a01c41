//! A graph from what a store has kept, a million fields at a time.
//!
//! The same as [`Graph::load`] for each, but maps are made of what is in order already, as stores
//! hand it out, and the chronicle is sorted once. Several threads may each load a stretch;
//! [`Loader::append`] puts the stretches together.

use std::collections::BTreeMap;
use std::thread;

use crate::ham::{self, Decision};
use crate::model::{Cell, Field, Soul, Stamp, Write};

use super::chronicle::{Chronicle, Entry, ItemId};
use super::{Graph, Root, Vertex};

/// A graph that is not finished.
#[derive(Debug, Default)]
pub struct Loader {
    runs: Vec<Run>,
    entries: Vec<Entry>,
    latest: Option<Stamp>,
}

/// Fields of one vertex, in order, none twice; never empty.
#[derive(Debug)]
struct Run {
    soul: Soul,
    cells: Vec<(Field, Cell)>,
    root: Root,
}

/// Below this a thread costs more than it saves.
const ENTRIES_SHARED: usize = 20_000;

impl Loader {
    /// Takes back what a store kept: no clock is asked, because it was decided when it was stored.
    pub fn load(&mut self, write: Write) {
        let Write { soul, field, cell } = write;
        let root = Root::of(&soul, &field, &cell);
        let id = ItemId::new(cell.stamp, root);
        self.latest = self.latest.max(Some(cell.stamp));
        let run = self.runs.last_mut();
        let run = run.filter(|run| run.soul == soul && run.last() < &field);
        match run {
            Some(run) => {
                run.root.add(root);
                run.cells.push((field.clone(), cell));
            }
            None => self.runs.push(Run {
                soul: soul.clone(),
                cells: vec![(field.clone(), cell)],
                root,
            }),
        }
        self.entries.push(Entry { id, soul, field });
    }

    /// Goes on with what another one has loaded.
    pub fn append(&mut self, later: Self) {
        self.runs.extend(later.runs);
        self.entries.extend(later.entries);
        self.latest = self.latest.max(later.latest);
    }

    /// The graph.
    pub fn finish(self) -> Graph {
        let Self {
            runs,
            entries,
            latest,
        } = self;
        let mut root = Root::default();
        runs.iter().for_each(|run| root.add(run.root));
        let (vertices, chronicle) = thread::scope(|scope| {
            if entries.len() < ENTRIES_SHARED {
                return (vertices(runs), Chronicle::of(entries, root));
            }
            let sorting = scope.spawn(move || Chronicle::of(entries, root));
            let vertices = vertices(runs);
            (vertices, sorting.join().expect("sorting cannot fail"))
        });
        let mut graph = Graph {
            root,
            latest,
            chronicle,
            ..Graph::default()
        };
        match vertices {
            Ok(vertices) => graph.vertices = vertices,
            Err(vertices) => graph.hold_anew(vertices),
        }
        graph
    }
}

impl Run {
    fn last(&self) -> &Field {
        let (last, _) = self.cells.last().expect("a run is never empty");
        last
    }
}

type Vertices = BTreeMap<Soul, Vertex>;

/// The vertices; an error if a field was there more than once, so that roots and entries are of
/// something that did not stay.
fn vertices(runs: Vec<Run>) -> Result<Vertices, Vertices> {
    let mut whole: BTreeMap<Soul, Run> = BTreeMap::new();
    let mut odd = Vec::new();
    for run in runs {
        match whole.get_mut(&run.soul) {
            None => {
                whole.insert(run.soul.clone(), run);
            }
            Some(before) if *before.last() < run.cells[0].0 => {
                before.root.add(run.root);
                before.cells.extend(run.cells);
            }
            Some(_) => odd.push(run),
        }
    }
    let whole = whole.into_iter().map(|(soul, run)| {
        let cells = BTreeMap::from_iter(run.cells);
        let root = run.root;
        (soul, Vertex { cells, root })
    });
    let mut vertices: Vertices = whole.collect();
    let mut is_stale = false;
    for Run { soul, cells, root } in odd {
        let vertex = vertices.entry(soul).or_default();
        vertex.root.add(root);
        for (field, cell) in cells {
            let held = vertex.cells.get(&field);
            is_stale |= held.is_some();
            if ham::decide(held, &cell, cell.stamp) == Decision::Take {
                vertex.cells.insert(field, cell);
            }
        }
    }
    if is_stale {
        Err(vertices)
    } else {
        Ok(vertices)
    }
}

impl Graph {
    /// Works out from these vertices everything that depends on them.
    fn hold_anew(&mut self, vertices: Vertices) {
        let mut root = Root::default();
        let mut entries = Vec::new();
        self.vertices = vertices;
        for (soul, vertex) in &mut self.vertices {
            vertex.root = Root::default();
            for (field, cell) in &vertex.cells {
                let own = Root::of(soul, field, cell);
                vertex.root.add(own);
                entries.push(Entry {
                    id: ItemId::new(cell.stamp, own),
                    soul: soul.clone(),
                    field: field.clone(),
                });
            }
            root.add(vertex.root);
        }
        self.root = root;
        self.chronicle = Chronicle::of(entries, root);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn write(field: usize, ms: f64) -> Write {
        Write {
            soul: format!("s{}", field % 3).into(),
            field: format!("{field:06}").into(),
            cell: Cell {
                stamp: Stamp::new(ms).unwrap(),
                value: Value::text("v"),
            },
        }
    }

    /// Loads these in stretches of `stretch`, and one by one.
    fn check(writes: &[Write], stretch: usize) {
        let mut graph = Graph::default();
        writes.iter().for_each(|write| graph.load(write.clone()));
        let mut loader = Loader::default();
        for stretch in writes.chunks(stretch) {
            let mut part = Loader::default();
            stretch.iter().for_each(|write| part.load(write.clone()));
            loader.append(part);
        }
        let loaded = loader.finish();
        assert_eq!(loaded.root(), graph.root());
        assert_eq!(loaded.latest(), graph.latest());
        assert_eq!(loaded.chronicle().root(), graph.chronicle().root());
        let ids = |graph: &Graph| {
            let entries = graph.chronicle().entries();
            entries.map(|entry| entry.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&loaded), ids(&graph));
        let items = |graph: &Graph| {
            let items = graph.items_after(None);
            let items = items.map(|it| (it.soul.clone(), it.field.clone(), it.cell.clone()));
            items.collect::<Vec<_>>()
        };
        assert_eq!(items(&loaded), items(&graph));
        for soul in ["s0", "s1", "s2"] {
            assert_eq!(loaded.soul_root(soul), graph.soul_root(soul));
        }
    }

    #[test]
    fn what_is_loaded_together_is_what_is_loaded_one_by_one() {
        let scattered = |nth: usize| ((nth * 7_919) % 2_003) as f64;
        let mut ordered: Vec<_> = (0..2_000).map(|nth| write(nth, scattered(nth))).collect();
        check(&ordered, 300);
        ordered.sort_by(|a, b| (&a.soul, &a.field).cmp(&(&b.soul, &b.field)));
        for stretch in [1, 300, 5_000] {
            check(&ordered, stretch);
        }
        // Some are out of order, as those with long names are.
        ordered.rotate_left(700);
        check(&ordered, 300);
    }

    #[test]
    fn of_a_field_loaded_twice_the_winner_stays() {
        let scattered = |nth: usize| ((nth * 7_919) % 2_003) as f64;
        let writes: Vec<_> = (0..2_000)
            .map(|nth| write(nth % 900, scattered(nth)))
            .collect();
        for stretch in [100, 5_000] {
            check(&writes, stretch);
        }
    }

    #[test]
    fn as_many_as_are_shared_between_threads_make_the_same_graph() {
        let writes: Vec<_> = (0..ENTRIES_SHARED + 1).map(|nth| write(nth, 1.0)).collect();
        check(&writes, 4_096);
    }
}
