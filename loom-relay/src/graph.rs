//! The merged graph: vertices of fields, each holding its winning write, and a root that says
//! whether two graphs are the same.
//!
//! [`Graph::merge`] is the only way in for news, [`Graph::load`] for what was already decided.

mod chronicle;
mod loader;
mod root;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::ham::{self, Decision};
use crate::model::{Cell, Change, Field, PeerId, Soul, Stamp, Write};

pub use chronicle::{BRIEF_BYTES, Brief, Chronicle, Entry, ItemId, Window};
pub use loader::Loader;
pub use root::Root;

/// All vertices.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    vertices: BTreeMap<Soul, Vertex>,
    root: Root,
    latest: Option<Stamp>,
    chronicle: Chronicle,
    /// Deferred writes that are going to win, where the chronicle lists them.
    coming: BTreeMap<(Soul, Field), Cell>,
}

/// What a member starts with: what its store has kept.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// What was decided.
    pub graph: Graph,
    /// Writes that were stamped later than the clock, and may still be.
    pub deferred: Vec<Write>,
    /// A process that did not end in order may have issued stamps up to here.
    pub lease: Option<Stamp>,
}

impl From<Graph> for Held {
    fn from(graph: Graph) -> Self {
        Self {
            graph,
            ..Self::default()
        }
    }
}

/// The fields of one soul, in order; never empty.
#[derive(Clone, Debug, Default)]
pub struct Vertex {
    cells: BTreeMap<Field, Cell>,
    root: Root,
}

/// One field and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Its vertex.
    pub soul: &'a Soul,
    /// Its name.
    pub field: &'a Field,
    /// What it holds.
    pub cell: &'a Cell,
}

impl<'a> Item<'a> {
    /// About what it takes on the wire, without escapes and without its soul.
    pub fn bytes(&self) -> usize {
        // The field's name stands twice, once with its state of up to 20 digits.
        2 * self.field.len() + self.cell.value.json().len() + 32
    }

    /// The item a write would make.
    pub fn of(write: &'a Write) -> Self {
        Self {
            soul: &write.soul,
            field: &write.field,
            cell: &write.cell,
        }
    }
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It won and is held now.
    Taken(Change),
    /// What was held stays; this is what lost.
    Kept(Write),
    /// It comes from the future: offer it again when the clock has reached its stamp.
    Deferred(Write),
}

impl Graph {
    /// What a field holds.
    pub fn get(&self, soul: &str, field: &str) -> Option<&Cell> {
        self.vertices.get(soul)?.get(field)
    }

    /// The fields of a soul.
    pub fn vertex(&self, soul: &str) -> Option<&Vertex> {
        self.vertices.get(soul)
    }

    /// All souls and their fields, in order.
    pub fn vertices(&self) -> impl DoubleEndedIterator<Item = (&Soul, &Vertex)> {
        self.vertices.iter()
    }

    /// Souls from `first` on, in order.
    pub fn vertices_from(&self, first: &str) -> impl Iterator<Item = (&Soul, &Vertex)> {
        self.vertices
            .range::<str, _>((Bound::Included(first), Bound::Unbounded))
    }

    /// How many fields are held, tombstones included.
    pub fn len(&self) -> u64 {
        self.root.count()
    }

    /// How many souls are held.
    pub fn soul_count(&self) -> usize {
        self.vertices.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }

    /// Equal exactly when two graphs hold the same.
    pub fn root(&self) -> Root {
        self.root
    }

    /// The same for one soul; the empty root when it is unknown.
    pub fn soul_root(&self, soul: &str) -> Root {
        self.vertices
            .get(soul)
            .map_or_else(Root::default, |vertex| vertex.root)
    }

    /// The latest stamp ever held.
    pub fn latest(&self) -> Option<Stamp> {
        self.latest
    }

    /// Every field after this one, in (soul, field) order.
    pub fn items_after(&self, after: Option<(&str, &str)>) -> impl Iterator<Item = Item<'_>> {
        let first = after.map_or("", |(soul, _)| soul);
        self.vertices_from(first).flat_map(move |(soul, vertex)| {
            let after = after.filter(|(at, _)| *at == soul.as_str());
            let cells = vertex.after(after.map(|(_, field)| field));
            cells.map(move |(field, cell)| Item { soul, field, cell })
        })
    }

    /// Decides about a write from `from` (`None`: this process) at local clock `clock`.
    pub fn merge(&mut self, write: Write, clock: Stamp, from: Option<PeerId>) -> Merged {
        let held = self.get(&write.soul, &write.field);
        match ham::decide(held, &write.cell, clock) {
            Decision::Keep => Merged::Kept(write),
            Decision::Defer(_) => Merged::Deferred(write),
            Decision::Take => {
                let was = self.put(write.clone());
                Merged::Taken(Change { write, was, from })
            }
        }
    }

    /// Takes back what a store kept: no clock is asked, because it was decided when it was stored.
    pub fn load(&mut self, write: Write) {
        let held = self.get(&write.soul, &write.field);
        if ham::decide(held, &write.cell, write.cell.stamp) == Decision::Take {
            self.put(write);
        }
    }

    /// Holds a write whatever has won before. No protocol wants this: it plants a fault for testers
    /// to find.
    pub(crate) fn overrule(&mut self, write: Write) {
        self.put(write);
    }

    /// Lists a write that waits for the clock and is going to win when it is due.
    ///
    /// [`Graph::merge`] does not: whether there is room for it to wait is not the graph's to say.
    pub fn foresee(&mut self, write: &Write) {
        let Write { soul, field, cell } = write;
        let key = (soul.clone(), field.clone());
        let coming = self.coming.get(&key);
        let listed = coming.or_else(|| self.get(soul, field)).cloned();
        if let Some(listed) = listed {
            if ham::decide(Some(&listed), cell, cell.stamp) != Decision::Take {
                return;
            }
            let root = Root::of(soul, field, &listed);
            self.chronicle.remove(listed.stamp, root);
        }
        let root = Root::of(soul, field, cell);
        self.chronicle
            .insert(soul.clone(), field.clone(), cell.stamp, root);
        self.coming.insert(key, cell.clone());
    }

    /// What is held and what is known to come, in order of stamps.
    pub fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// The item of an entry of [`Graph::chronicle`].
    pub fn item<'a>(&'a self, entry: &'a Entry) -> Option<Item<'a>> {
        let Entry { soul, field, .. } = entry;
        let coming = match self.coming.is_empty() {
            true => None,
            false => self.coming.get(&(soul.clone(), field.clone())),
        };
        let cell = coming.or_else(|| self.get(soul, field))?;
        Some(Item { soul, field, cell })
    }

    fn put(&mut self, write: Write) -> Option<Cell> {
        let Write { soul, field, cell } = write;
        let news = Root::of(&soul, &field, &cell);
        let is_listed = self.is_coming(&soul, &field, &cell);
        if !is_listed {
            self.chronicle
                .insert(soul.clone(), field.clone(), cell.stamp, news);
        }
        let vertex = self.vertices.entry(soul.clone()).or_default();
        let stamp = cell.stamp;
        let was = vertex.cells.insert(field.clone(), cell);
        for root in [&mut self.root, &mut vertex.root] {
            root.add(news);
        }
        if let Some(was) = &was {
            let root = Root::of(&soul, &field, was);
            for sum in [&mut self.root, &mut vertex.root] {
                sum.subtract(root);
            }
            if !is_listed {
                // Not listed either when it gave way to a deferred write, which is gone now.
                self.chronicle.remove(was.stamp, root);
            }
        }
        self.latest = self.latest.max(Some(stamp));
        was
    }

    /// Whether the chronicle lists a deferred write for this field that is this one or beats it. One
    /// that is beaten is taken off.
    fn is_coming(&mut self, soul: &Soul, field: &Field, cell: &Cell) -> bool {
        if self.coming.is_empty() {
            return false;
        }
        let key = (soul.clone(), field.clone());
        let Some(coming) = self.coming.get(&key) else {
            return false;
        };
        match ham::decide(Some(coming), cell, cell.stamp) {
            Decision::Take => {
                let root = Root::of(soul, field, coming);
                self.chronicle.remove(coming.stamp, root);
                self.coming.remove(&key);
                false
            }
            // Its time has come.
            _ if coming == cell => {
                self.coming.remove(&key);
                true
            }
            _ => true,
        }
    }
}

impl Vertex {
    /// What a field holds.
    pub fn get(&self, field: &str) -> Option<&Cell> {
        self.cells.get(field)
    }

    /// A field by name, with the name as it is held.
    pub fn entry(&self, field: &str) -> Option<(&Field, &Cell)> {
        self.cells.get_key_value(field)
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Field, &Cell)> {
        self.cells.iter()
    }

    /// The fields after this one, in order.
    pub fn after(&self, field: Option<&str>) -> impl DoubleEndedIterator<Item = (&Field, &Cell)> {
        let first = field.map_or(Bound::Unbounded, Bound::Excluded);
        self.cells.range::<str, _>((first, Bound::Unbounded))
    }

    /// The fields from this one on, in order.
    pub fn from(&self, field: &str) -> impl DoubleEndedIterator<Item = (&Field, &Cell)> {
        self.cells
            .range::<str, _>((Bound::Included(field), Bound::Unbounded))
    }

    /// How many fields it has, tombstones included.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Never true for a vertex in a graph.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Equal exactly when two vertices hold the same.
    pub fn root(&self) -> Root {
        self.root
    }
}
