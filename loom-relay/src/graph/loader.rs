//! A graph from what a store has kept, a million fields at a time.
//!
//! The same as [`Graph::load`] for each, but its chronicle is sorted once instead of being kept in
//! order all the while: stores hand out fields in the order of their names.

use crate::ham::{self, Decision};
use crate::model::Write;

use super::chronicle::{Chronicle, Entry, ItemId};
use super::{Graph, Root};

/// A graph that is not finished.
#[derive(Debug, Default)]
pub struct Loader {
    graph: Graph,
    entries: Vec<Entry>,
    /// An entry stands for something that was replaced since.
    is_stale: bool,
}

impl Loader {
    /// Takes back what a store kept: no clock is asked, because it was decided when it was stored.
    pub fn load(&mut self, write: Write) {
        let held = self.graph.get(&write.soul, &write.field);
        if ham::decide(held, &write.cell, write.cell.stamp) != Decision::Take {
            return;
        }
        let root = Root::of(&write.soul, &write.field, &write.cell);
        self.entries.push(Entry {
            id: ItemId::new(write.cell.stamp, root),
            soul: write.soul.clone(),
            field: write.field.clone(),
        });
        self.is_stale |= self.graph.hold(write, root).is_some();
    }

    /// The graph.
    pub fn finish(self) -> Graph {
        let Self {
            mut graph,
            mut entries,
            is_stale,
        } = self;
        if is_stale {
            let items = graph.items_after(None);
            entries = items
                .map(|item| Entry {
                    id: ItemId::new(item.cell.stamp, Root::of(item.soul, item.field, item.cell)),
                    soul: item.soul.clone(),
                    field: item.field.clone(),
                })
                .collect();
        }
        graph.chronicle = Chronicle::of(entries, graph.root);
        graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Stamp, Value};

    fn write(field: usize, ms: f64) -> Write {
        Write {
            soul: format!("s{}", field % 3).into(),
            field: field.to_string().into(),
            cell: Cell {
                stamp: Stamp::new(ms).unwrap(),
                value: Value::text("v"),
            },
        }
    }

    #[test]
    fn what_is_loaded_together_is_what_is_loaded_one_by_one() {
        for repeats in [false, true] {
            let mut loader = Loader::default();
            let mut graph = Graph::default();
            for nth in 0..2_000 {
                let field = if repeats { nth % 900 } else { nth };
                let one = write(field, ((nth * 7_919) % 2_003) as f64);
                loader.load(one.clone());
                graph.load(one);
            }
            let loaded = loader.finish();
            assert_eq!(loaded.root(), graph.root());
            assert_eq!(loaded.latest(), graph.latest());
            assert_eq!(loaded.chronicle().root(), graph.chronicle().root());
            let ids = |graph: &Graph| {
                graph
                    .chronicle()
                    .entries()
                    .map(|it| it.id)
                    .collect::<Vec<_>>()
            };
            assert_eq!(ids(&loaded), ids(&graph));
        }
    }
}
