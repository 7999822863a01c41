//! Links and the connections over them: two ways that are cut on their own, frames that wait on
//! each, and how long a dialler waits before it tries again.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::{MemberId, Time};
use crate::model::PeerId;

/// A link of a world, counted from 0. Over it go any number of connections, one after the other.
pub type LinkId = usize;

/// One end of a link or connection.
pub(super) type Side = usize;
/// The end that dials.
pub(super) const DIALLER: Side = 0;
/// The end that is dialled.
pub(super) const ACCEPTOR: Side = 1;

/// What may happen to a single frame. A websocket does none of this; a mesh must survive it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameFaults {
    /// Share of frames that never arrive.
    pub lost: f64,
    /// Share that arrives twice.
    pub doubled: f64,
    /// Share that overtakes the one before.
    pub swapped: f64,
}

impl FrameFaults {
    pub(super) fn any(&self) -> bool {
        self.lost + self.doubled + self.swapped > 0.0
    }
}

/// Who dials whom, and what is wrong with the way there.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) ends: [MemberId; 2],
    /// How many faults cut the way from each side.
    pub(super) cuts: [u32; 2],
    /// Time a frame takes, at least and at most.
    pub(super) delay: (Duration, Duration),
    pub(super) frames: FrameFaults,
    pub(super) backoff: Backoff,
    /// Whether frames were lost or changed places since its last connection.
    pub(super) damaged: bool,
}

impl Link {
    pub(super) fn new(dialler: MemberId, acceptor: MemberId) -> Self {
        Self {
            ends: [dialler, acceptor],
            cuts: [0; 2],
            delay: QUICK,
            frames: FrameFaults::default(),
            backoff: Backoff::default(),
            damaged: false,
        }
    }

    /// Whether nothing gets from `side` to the other.
    pub(super) fn is_cut_from(&self, side: Side) -> bool {
        self.cuts[side] > 0
    }
}

/// Loopback, and then some.
pub(super) const QUICK: (Duration, Duration) =
    (Duration::from_micros(50), Duration::from_micros(1_500));

/// One connection over a link.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) link: LinkId,
    pub(super) ends: [End; 2],
    /// What is on its way from each side, in order.
    pub(super) ways: [Way; 2],
    /// Since when each side has had no sign of life.
    pub(super) silent_since: [Option<Time>; 2],
    pub(super) opened: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Opening,
    Open(PeerId),
    Closed,
}

#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) items: VecDeque<(Time, Item)>,
    pub(super) bytes: usize,
    last: Time,
}

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// The handshake.
    Open,
    Frame(Bytes),
    /// The sender has closed.
    Fin,
}

impl Conn {
    pub(super) fn new(link: LinkId, now: Time) -> Self {
        Self {
            link,
            ends: [End::Opening; 2],
            ways: Default::default(),
            silent_since: [None; 2],
            opened: now,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends == [End::Closed; 2]
    }
}

impl Way {
    /// Puts an item on its way; when it is there.
    pub(super) fn push(&mut self, item: Item, arrives: Time) {
        self.last = self.last.max(arrives);
        if let Item::Frame(frame) = &item {
            self.bytes += frame.len();
        }
        self.items.push_back((self.last, item));
    }

    /// The newest frame overtakes the one before it.
    pub(super) fn swap_newest(&mut self) {
        let [.., (_, before), (_, newest)] = self.items.make_contiguous() else {
            return;
        };
        if let (Item::Frame(_), Item::Frame(_)) = (&before, &newest) {
            std::mem::swap(before, newest);
        }
    }

    /// What has arrived by `now`.
    pub(super) fn pop(&mut self, now: Time) -> Option<Item> {
        let (arrives, _) = self.items.front()?;
        if *arrives > now {
            return None;
        }
        let (_, item) = self.items.pop_front()?;
        if let Item::Frame(frame) = &item {
            self.bytes -= frame.len();
        }
        Some(item)
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.items.front().map(|(arrives, _)| *arrives)
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.bytes = 0;
    }
}

/// As the driver waits between attempts.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(super) fn pause(&mut self, rng: &mut SmallRng) -> Duration {
        let ceiling = Duration::from_millis(100) * (1 << self.failures.min(10));
        let ceiling = ceiling.min(Duration::from_secs(2));
        self.failures += 1;
        ceiling.mul_f64(rng.random_range(0.5..=1.0))
    }
}
