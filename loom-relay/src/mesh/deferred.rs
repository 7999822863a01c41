//! Writes stamped later than the local clock, kept until it gets there.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Mono, Now};
use crate::model::{PeerId, Stamp, Write};

/// Most writes that wait, for the process. A peer whose clock runs five seconds ahead and which
/// writes a thousand a second needs 5,000.
pub const DEFERRED_MAX: usize = 1 << 17;

/// Most bytes of writes that wait, for the process.
pub const DEFERRED_BYTES_MAX: usize = 64 << 20;

/// A single peer may take half of either.
const PEER_SHARE: usize = 2;

/// How long to sleep at most before looking at the wall clock again: it may have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

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

/// In order of stamps, bounded in count and bytes, for the process and for each peer.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    waiting: BTreeMap<(Stamp, u64), Waiting>,
    next: u64,
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
        let more = writes.fold(Share::default(), |sum, write| Share {
            count: sum.count + 1,
            bytes: sum.bytes + size(write),
        });
        if more.count == 0 {
            return true;
        }
        let of_peer = from.and_then(|peer| self.by_peer.get(&peer));
        self.total.fits(more, 1) && of_peer.copied().unwrap_or_default().fits(more, PEER_SHARE)
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        let bytes = size(&waiting.write);
        let of_peer = waiting
            .from
            .map(|peer| self.by_peer.entry(peer).or_default());
        for share in std::iter::once(&mut self.total).chain(of_peer) {
            share.count += 1;
            share.bytes += bytes;
        }
        let key = (waiting.write.cell.stamp, self.next);
        self.next += 1;
        self.waiting.insert(key, waiting);
    }

    /// Takes out one write that is no longer in the future.
    pub(super) fn take_due(&mut self, clock: Stamp) -> Option<Waiting> {
        let first = self.waiting.first_entry()?;
        if first.key().0 > clock {
            return None;
        }
        let waiting = first.remove();
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

    pub(super) fn view(&self) -> DeferredView {
        DeferredView {
            count: self.waiting.len(),
            earliest: self.waiting.first_key_value().map(|((stamp, _), _)| *stamp),
        }
    }
}

fn size(write: &Write) -> usize {
    write.soul.len() + write.field.len() + write.cell.value.json().len() + 64
}
