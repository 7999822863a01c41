//! The change feed: numbered changes in a ring, read by any number of followers.
//!
//! The replica holds the [`Feed`] and publishes; each HTTP task holds a [`Reader`]. The ring keeps
//! [`RING_EVENTS_MAX`] events and [`RING_BYTES_MAX`] bytes of records, whichever is less; its policy
//! when full is to drop the oldest. A reader that needed those learns it as [`Lost`]: it is never
//! given a stream with a hole.
//!
//! Publishing takes a lock for as long as one push takes, and wakes sleeping readers; reading takes
//! it for as long as [`BATCH_EVENTS_MAX`] reference counts take. No event is turned into text under
//! it.

mod cursor;
mod event;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub use self::cursor::{BadCursor, Cursor, Since};
pub use self::event::{Conflict, Event, Happened, Origin, Subject};

/// Events kept for readers that resume: a minute at 1,000 changes a second.
pub const RING_EVENTS_MAX: usize = 65_536;

/// Memory for those events' records; most are shared with the index and cost nothing more.
pub const RING_BYTES_MAX: usize = 32 << 20;

/// Events handed to a reader at once.
pub const BATCH_EVENTS_MAX: usize = 512;

/// The writing end. One exists per node; readers come and go.
#[derive(Debug)]
pub struct Feed {
    ring: Arc<Mutex<Ring>>,
    published: watch::Sender<u64>,
    limits: Limits,
    bytes: usize,
}

/// How much a ring keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// [`RING_EVENTS_MAX`] unless a test needs a small one.
    pub events: usize,
    /// [`RING_BYTES_MAX`] unless a test needs a small one.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: RING_EVENTS_MAX,
            bytes: RING_BYTES_MAX,
        }
    }
}

#[derive(Debug)]
struct Ring {
    epoch: u64,
    /// Number of the newest change; canaries are not numbered.
    seq: u64,
    /// Highest number no longer held.
    dropped_seq: u64,
    /// How many events were ever dropped: the place of the oldest one held.
    dropped: u64,
    events: VecDeque<Arc<Event>>,
}

/// Opens readers; cheap to clone, and needs no message to the replica.
#[derive(Clone, Debug)]
pub struct Follow {
    ring: Arc<Mutex<Ring>>,
    published: watch::Receiver<u64>,
}

/// One follower's place in the feed.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Mutex<Ring>>,
    published: watch::Receiver<u64>,
    /// Place of the next event, counted from the first one ever published.
    next: u64,
    cursor: Cursor,
}

/// The ring no longer holds what a reader has not seen. `restart` is where to follow from after
/// listing everything afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The newest change.
    pub restart: Cursor,
}

impl Feed {
    /// An empty feed. `epoch` tells this start of the process from all others.
    pub fn new(epoch: u64, limits: Limits) -> Self {
        let ring = Ring {
            epoch,
            seq: 0,
            dropped_seq: 0,
            dropped: 0,
            events: VecDeque::new(),
        };
        Self {
            ring: Arc::new(Mutex::new(ring)),
            published: watch::Sender::new(0),
            limits,
            bytes: 0,
        }
    }

    /// For those who want to read.
    pub fn follow(&self) -> Follow {
        Follow {
            ring: self.ring.clone(),
            published: self.published.subscribe(),
        }
    }

    /// The newest change's place.
    pub fn cursor(&self) -> Cursor {
        lock(&self.ring).cursor()
    }

    /// How many readers are open.
    pub fn readers(&self) -> usize {
        // One subscription belongs to the `Follow` the HTTP side keeps; it never sleeps on it.
        self.published.receiver_count().saturating_sub(1)
    }

    /// Numbers a change and shows it to every reader. Whoever reads it may query at once, so the
    /// index must already hold it.
    pub fn publish(&mut self, happened: Happened) -> Arc<Event> {
        let mut ring = lock(&self.ring);
        if happened.is_numbered() {
            ring.seq += 1;
        }
        let event = Arc::new(Event {
            seq: ring.seq,
            happened,
        });
        self.bytes += event.weight();
        ring.events.push_back(event.clone());
        while ring.events.len() > self.limits.events || self.bytes > self.limits.bytes {
            let Some(oldest) = ring.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.weight();
            ring.dropped += 1;
            if oldest.happened.is_numbered() {
                ring.dropped_seq = oldest.seq;
            }
        }
        let places = ring.dropped + ring.events.len() as u64;
        drop(ring);
        self.published.send_replace(places);
        event
    }
}

impl Follow {
    /// Where the feed is now.
    pub fn cursor(&self) -> Cursor {
        lock(&self.ring).cursor()
    }

    /// Opens a reader that gets everything after `since`.
    ///
    /// # Errors
    ///
    /// [`Lost`] when that is not all here any more, or never was: another epoch.
    pub fn open(&self, since: Since) -> Result<Reader, Lost> {
        let ring = lock(&self.ring);
        let now = ring.cursor();
        let seq = match since {
            Since::Now => ring.seq,
            Since::Start => 0,
            Since::After(cursor) if cursor.epoch == ring.epoch => cursor.seq,
            Since::After(_) => return Err(Lost { restart: now }),
        };
        if seq < ring.dropped_seq || seq > ring.seq {
            return Err(Lost { restart: now });
        }
        let seen = match since {
            Since::Now => ring.events.len(),
            _ => ring.events.partition_point(|event| event.seq <= seq),
        };
        Ok(Reader {
            ring: self.ring.clone(),
            published: self.published.clone(),
            next: ring.dropped + seen as u64,
            cursor: Cursor { seq, ..now },
        })
    }
}

impl Reader {
    /// The last change given out, or where reading began.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Waits for events and gives those there are, at most [`BATCH_EVENTS_MAX`]; never an empty
    /// list. `None` when the node is gone. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// [`Lost`] when the ring has dropped what should have come next.
    pub async fn next(&mut self) -> Option<Result<Vec<Arc<Event>>, Lost>> {
        loop {
            self.published.borrow_and_update();
            let batch = match self.take() {
                Ok(batch) => batch,
                Err(lost) => return Some(Err(lost)),
            };
            if !batch.is_empty() {
                return Some(Ok(batch));
            }
            if self.published.changed().await.is_err() {
                return None;
            }
        }
    }

    fn take(&mut self) -> Result<Vec<Arc<Event>>, Lost> {
        let ring = lock(&self.ring);
        let Some(skip) = self.next.checked_sub(ring.dropped) else {
            return Err(Lost {
                restart: ring.cursor(),
            });
        };
        let held = ring.events.len();
        let start = usize::try_from(skip).map_or(held, |skip| skip.min(held));
        let end = held.min(start + BATCH_EVENTS_MAX);
        let batch: Vec<_> = ring.events.range(start..end).cloned().collect();
        drop(ring);
        self.next += batch.len() as u64;
        if let Some(last) = batch.last() {
            self.cursor.seq = last.seq;
        }
        Ok(batch)
    }
}

impl Ring {
    fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch,
            seq: self.seq,
        }
    }
}

fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    // A push or a copy cannot leave the ring half changed, so a poisoned lock is still right.
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
