//! Writes stamped later than the local clock, kept until it gets there.
//!
//! Each is held once, however often it arrives: peers that hold it bring it with every connection.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::clock::{Mono, Now};
use crate::model::{Cell, Field, PeerId, Soul, Stamp, Value, Write};

/// Most writes that wait, for the process. A peer whose clock runs five seconds ahead and which
/// writes a thousand a second needs 5,000.
pub const DEFERRED_MAX: usize = 1 << 17;

/// Most bytes of writes that wait, for the process.
pub const DEFERRED_BYTES_MAX: usize = 64 << 20;

/// A single peer may take half of either.
const PEER_SHARE: usize = 2;

/// How long to sleep at most before looking at the wall clock again: nothing says so when it is set
/// forward. Only while something waits.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How many writes wait, and until when.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeferredView {
    /// Writes waiting.
    pub count: usize,
    /// The earliest of their stamps.
    pub earliest: Option<Stamp>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) write: Write,
    pub(super) from: Option<PeerId>,
    /// How many links this process had had when it came; later ones have not been told.
    pub(super) links_up: u64,
}

/// A write, in order of stamps.
type Key = (Stamp, Soul, Field, ByBytes);

/// A value in an order that only has to be one: GUN's own takes a megabyte apart unit by unit.
#[derive(Debug, PartialEq, Eq)]
struct ByBytes(Value);

impl Ord for ByBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.json().cmp(other.0.json())
    }
}

impl PartialOrd for ByBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Where a write came from, and who has been told.
#[derive(Debug)]
struct Source {
    from: Option<PeerId>,
    links_up: u64,
}

/// In order of stamps, bounded in count and bytes, for the process and for each peer.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    waiting: BTreeMap<Key, Source>,
    total: Share,
    by_peer: BTreeMap<PeerId, Share>,
    due: Option<Mono>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    count: usize,
    bytes: usize,
}

impl Share {
    fn fits(self, more: Self, divided_by: usize) -> bool {
        self.count + more.count <= DEFERRED_MAX / divided_by
            && self.bytes + more.bytes <= DEFERRED_BYTES_MAX / divided_by
    }
}

impl Deferred {
    /// Whether these writes of one message can all wait.
    pub(super) fn has_room<'a>(
        &self,
        from: Option<PeerId>,
        writes: impl Iterator<Item = &'a Write>,
    ) -> bool {
        let news = writes.filter(|write| !self.waiting.contains_key(&key(write)));
        let more = news.fold(Share::default(), |sum, write| Share {
            count: sum.count + 1,
            bytes: sum.bytes + size(write),
        });
        if more.count == 0 {
            return true;
        }
        let of_peer = from.and_then(|peer| self.by_peer.get(&peer));
        self.total.fits(more, 1) && of_peer.copied().unwrap_or_default().fits(more, PEER_SHARE)
    }

    /// Takes a write in; false when it waits already.
    pub(super) fn wait(&mut self, waiting: Waiting) -> bool {
        let Waiting {
            write,
            from,
            links_up,
        } = waiting;
        let bytes = size(&write);
        match self.waiting.entry(key(&write)) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.links_up = known.links_up.max(links_up);
                return false;
            }
            Entry::Vacant(place) => place.insert(Source { from, links_up }),
        };
        let of_peer = from.map(|peer| self.by_peer.entry(peer).or_default());
        for share in std::iter::once(&mut self.total).chain(of_peer) {
            share.count += 1;
            share.bytes += bytes;
        }
        true
    }

    /// Takes out one write that is no longer in the future.
    pub(super) fn take_due(&mut self, clock: Stamp) -> Option<Waiting> {
        let first = self.waiting.first_entry()?;
        if first.key().0 > clock {
            return None;
        }
        let ((stamp, soul, field, ByBytes(value)), Source { from, links_up }) =
            first.remove_entry();
        let cell = Cell { stamp, value };
        let waiting = Waiting {
            write: Write { soul, field, cell },
            from,
            links_up,
        };
        let bytes = size(&waiting.write);
        self.total.count -= 1;
        self.total.bytes -= bytes;
        if let Some(peer) = waiting.from
            && let Some(share) = self.by_peer.get_mut(&peer)
        {
            share.count -= 1;
            share.bytes -= bytes;
            if share.count == 0 {
                self.by_peer.remove(&peer);
            }
        }
        Some(waiting)
    }

    /// Looks at the clock as soon as there is one: for what waited before this process started.
    pub(super) fn look_at_once(&mut self) {
        self.due = self.view().earliest.map(|_| Mono::default());
    }

    /// Works out when to look again. Called with every input: wall clocks get set.
    pub(super) fn set_timer(&mut self, now: Now) {
        self.due = self.view().earliest.map(|earliest| {
            // The whole millisecond it falls into is not the future any more.
            let ms = (earliest.ms().floor() - now.wall_ms as f64).max(0.0);
            let wait = Duration::from_millis(ms as u64).min(LOOK_AGAIN);
            now.mono.after(wait)
        });
    }

    pub(super) fn due(&self) -> Option<Mono> {
        self.due
    }

    pub(super) fn bytes(&self) -> usize {
        self.total.bytes
    }

    pub(super) fn view(&self) -> DeferredView {
        DeferredView {
            count: self.waiting.len(),
            earliest: self.waiting.first_key_value().map(|(key, _)| key.0),
        }
    }
}

fn key(write: &Write) -> Key {
    let Write { soul, field, cell } = write.clone();
    (cell.stamp, soul, field, ByBytes(cell.value))
}

fn size(write: &Write) -> usize {
    write.soul.len() + write.field.len() + write.cell.value.json().len() + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_already_takes_no_more_room_when_it_comes_again() {
        let write = Write {
            soul: "s".into(),
            field: "f".into(),
            cell: Cell {
                stamp: Stamp::new(1.0).unwrap(),
                value: Value::text(&"x".repeat(DEFERRED_BYTES_MAX / PEER_SHARE - 1_000)),
            },
        };
        let from = Some(PeerId(1));
        let mut deferred = Deferred::default();
        for nth in 0..5 {
            assert!(deferred.has_room(from, std::iter::once(&write)), "{nth}");
            let is_new = deferred.wait(Waiting {
                write: write.clone(),
                from,
                links_up: nth,
            });
            assert_eq!(is_new, nth == 0);
        }
        let other = Write {
            field: "g".into(),
            ..write
        };
        assert!(!deferred.has_room(from, std::iter::once(&other)));
        let over = deferred.take_due(Stamp::new(1.0).unwrap()).unwrap();
        assert_eq!(over.links_up, 4, "told to all that were up the last time");
        assert!(deferred.has_room(from, std::iter::once(&other)));
        assert_eq!(deferred.view(), DeferredView::default());
    }
}
