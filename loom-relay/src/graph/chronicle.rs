//! Every field in order of its stamp: what two peers compare to find what one of them lacks.
//!
//! A chronicle lists what its graph *will* hold once its clock has reached every stamp it knows of:
//! what is held, except where a deferred write is going to win. Peers whose clocks differ defer
//! different writes and list the same, so a clock that is wrong makes no work.
//!
//! Kept up to date with every merge, in sorted chunks, because a comparison looks at items by rank
//! and must not hash or sort a million of them first. [`Window`] shows it to negentropy.

mod item;
mod window;

use crate::graph::Root;
use crate::model::{Field, Soul, Stamp};

pub use item::{BRIEF_BYTES, Brief, ItemId};
pub use window::Window;

/// Most entries of one chunk: 8 KiB to move at most for one that is put in.
const CHUNK_MAX: usize = 128;

/// A chunk below this is joined with its neighbour.
const CHUNK_MIN: usize = 32;

/// Items in order of (stamp, hash).
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    /// In order; none is empty.
    chunks: Vec<Chunk>,
    root: Root,
}

#[derive(Clone, Debug)]
struct Chunk {
    first: ItemId,
    entries: Vec<Entry>,
}

/// One item and the field it is found in.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Stamp and hash.
    pub id: ItemId,
    /// Its vertex.
    pub soul: Soul,
    /// Its name.
    pub field: Field,
}

impl Chronicle {
    /// Lists these, in whatever order they are; `root` is theirs.
    pub(super) fn of(mut entries: Vec<Entry>, root: Root) -> Self {
        entries.sort_unstable_by_key(|entry| entry.id);
        let mut chunks = Vec::with_capacity(entries.len().div_ceil(CHUNK_MAX));
        let mut entries = entries.into_iter();
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_MAX);
            chunk.extend(entries.by_ref().take(CHUNK_MAX));
            let Some(first) = chunk.first().map(|entry| entry.id) else {
                break;
            };
            chunks.push(Chunk {
                first,
                entries: chunk,
            });
        }
        Self { chunks, root }
    }

    /// Everything listed, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| &chunk.entries)
    }

    /// Equal exactly when two peers are going to hold the same.
    pub fn root(&self) -> Root {
        self.root
    }

    /// How many items there are.
    pub fn len(&self) -> u64 {
        self.root.count()
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The latest stamp listed.
    pub fn latest(&self) -> Option<Stamp> {
        let last = self.chunks.last()?.entries.last()?;
        Some(last.id.stamp())
    }

    /// The items stamped `from` or later, all without `from`, for one exchange of negentropy.
    pub fn window(&self, from: Option<Stamp>) -> Window<'_> {
        Window::new(self, from)
    }

    /// The item whose id starts like this, if it is still listed.
    pub fn find(&self, brief: Brief) -> Option<&Entry> {
        let least = brief.least();
        let chunk = self.chunk_of(&least)?;
        // The least id of this beginning may be larger than all of its chunk.
        let near = self.chunks[chunk..].iter().take(2);
        let entry = near
            .flat_map(|chunk| {
                let at = chunk.entries.partition_point(|entry| entry.id < least);
                chunk.entries.get(at)
            })
            .next()?;
        (entry.id.brief() == brief).then_some(entry)
    }

    /// Bytes this takes, without the text of souls and fields, which the graph has anyway.
    pub fn bytes(&self) -> usize {
        let entries = self.chunks.iter().map(|chunk| chunk.entries.capacity());
        entries.sum::<usize>() * size_of::<Entry>() + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Lists an item that is not listed.
    pub(super) fn insert(&mut self, soul: Soul, field: Field, stamp: Stamp, root: Root) {
        self.root.add(root);
        let id = ItemId::new(stamp, root);
        let entry = Entry { id, soul, field };
        let Some(at) = self.chunk_of(&id) else {
            self.chunks.push(Chunk::of(entry));
            return;
        };
        let is_last = at + 1 == self.chunks.len();
        let chunk = &mut self.chunks[at];
        let place = chunk.entries.partition_point(|other| other.id < id);
        if chunk.entries.len() == CHUNK_MAX {
            // News is mostly the newest: a chunk left full behind it wastes nothing.
            if is_last && place == CHUNK_MAX {
                self.chunks.push(Chunk::of(entry));
                return;
            }
            let upper = chunk.split();
            let upper = if place < chunk.entries.len() {
                chunk.insert(place, entry);
                upper
            } else {
                let mut upper = upper;
                upper.insert(place - chunk.entries.len(), entry);
                upper
            };
            self.chunks.insert(at + 1, upper);
            return;
        }
        chunk.insert(place, entry);
    }

    /// Takes an item out that is listed.
    pub(super) fn remove(&mut self, stamp: Stamp, root: Root) {
        let id = ItemId::new(stamp, root);
        let Some(at) = self.chunk_of(&id) else { return };
        let chunk = &mut self.chunks[at];
        let place = chunk.entries.partition_point(|other| other.id < id);
        if chunk.entries.get(place).is_none_or(|entry| entry.id != id) {
            return;
        }
        self.root.subtract(root);
        chunk.entries.remove(place);
        match chunk.entries.first() {
            None => {
                self.chunks.remove(at);
            }
            Some(first) => {
                chunk.first = first.id;
                self.join(at);
            }
        }
    }

    /// Joins a chunk that has become small with the one after it.
    fn join(&mut self, at: usize) {
        let at = at.min(self.chunks.len().saturating_sub(2));
        let [one, next, ..] = &self.chunks[at..] else {
            return;
        };
        let (few, both) = (
            one.entries.len().min(next.entries.len()),
            one.entries.len() + next.entries.len(),
        );
        if few < CHUNK_MIN && both <= CHUNK_MAX / 4 * 3 {
            let next = self.chunks.remove(at + 1);
            self.chunks[at].entries.extend(next.entries);
        }
    }

    /// The chunk an item is in or would be put into; `None` when there is no chunk.
    fn chunk_of(&self, id: &ItemId) -> Option<usize> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= *id);
        (!self.chunks.is_empty()).then(|| after.saturating_sub(1))
    }
}

impl Chunk {
    fn of(entry: Entry) -> Self {
        let first = entry.id;
        let mut entries = Vec::with_capacity(CHUNK_MAX);
        entries.push(entry);
        Self { first, entries }
    }

    fn insert(&mut self, place: usize, entry: Entry) {
        if place == 0 {
            self.first = entry.id;
        }
        self.entries.insert(place, entry);
    }

    /// Leaves the lower half and returns the upper.
    fn split(&mut self) -> Self {
        let mut entries = Vec::with_capacity(CHUNK_MAX);
        entries.extend(self.entries.drain(CHUNK_MAX / 2..));
        let first = entries[0].id;
        Self { first, entries }
    }
}

#[cfg(test)]
mod tests;
