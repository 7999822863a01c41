//! A chronicle from one stamp on, by rank, as negentropy reads it.

use negentropy::{Bound, Error, Item, NegentropyStorageBase};

use super::item::ordered;
use super::{Chronicle, ItemId};
use crate::model::Stamp;

/// Nothing is copied but where each chunk begins: a view lives for one message.
#[derive(Debug)]
pub struct Window<'a> {
    chronicle: &'a Chronicle,
    /// The rank of each chunk's first item, counted from the start of the chronicle.
    starts: Vec<usize>,
    /// The rank of the first item shown.
    begin: usize,
    len: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(chronicle: &'a Chronicle, from: Option<Stamp>) -> Self {
        let mut starts = Vec::with_capacity(chronicle.chunks.len());
        let mut total = 0;
        for chunk in &chronicle.chunks {
            starts.push(total);
            total += chunk.entries.len();
        }
        let mut window = Self {
            chronicle,
            starts,
            begin: 0,
            len: total,
        };
        if let Some(from) = from {
            let from = Item::with_timestamp(ordered(from));
            window.begin = window.rank(&from);
            window.len = total - window.begin;
        }
        window
    }

    /// How many items it shows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it shows none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many items of the chronicle are less than this one.
    fn rank(&self, bound: &Item) -> usize {
        let chunks = &self.chronicle.chunks;
        let less = |id: ItemId| id.to_negentropy() < *bound;
        let after = chunks.partition_point(|chunk| less(chunk.first));
        let Some(at) = after.checked_sub(1) else {
            return 0;
        };
        let entries = &chunks[at].entries;
        self.starts[at] + entries.partition_point(|entry| less(entry.id))
    }
}

impl NegentropyStorageBase for Window<'_> {
    fn size(&self) -> Result<usize, Error> {
        Ok(self.len)
    }

    fn get_item(&self, index: usize) -> Result<Option<Item>, Error> {
        let mut found = None;
        if index < self.len {
            self.iterate(index, index + 1, &mut |item, _| {
                found = Some(item);
                Ok(false)
            })?;
        }
        Ok(found)
    }

    fn iterate(
        &self,
        begin: usize,
        end: usize,
        take: &mut dyn FnMut(Item, usize) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        if begin > end || end > self.len {
            return Err(Error::BadRange);
        }
        let first = self.begin + begin;
        let at = self.starts.partition_point(|start| *start <= first);
        let Some(at) = at.checked_sub(1) else {
            return Ok(());
        };
        let chunks = &self.chronicle.chunks[at..];
        let entries = chunks.iter().flat_map(|chunk| &chunk.entries);
        let entries = entries.skip(first - self.starts[at]);
        for (index, entry) in (begin..end).zip(entries) {
            if !take(entry.id.to_negentropy(), index)? {
                break;
            }
        }
        Ok(())
    }

    fn find_lower_bound(&self, first: usize, last: usize, bound: &Bound) -> usize {
        let rank = self.rank(&bound.item).saturating_sub(self.begin);
        rank.clamp(first, last)
    }
}
