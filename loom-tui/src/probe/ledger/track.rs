//! One key while it matters: who showed which stamp when, and who still owes one.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::WriteId;
use crate::client::Stamp;

/// Everything known about one key while it matters.
#[derive(Debug)]
pub(super) struct Track {
    /// Writes that are followed.
    pub(super) writes: u64,
    /// Writes in flight, by how many showings had been booked before each.
    pub(super) in_flight: BTreeSet<(u64, WriteId)>,
    /// Per observer: each time it showed a later stamp than before, oldest first.
    pub(super) shown: Vec<VecDeque<Step>>,
    /// Per observer: acked writes it has not shown, by stamp.
    pub(super) owed: Vec<BTreeSet<(Stamp, WriteId)>>,
    /// A write of unknown outcome may still show.
    pub(super) haunted: bool,
    /// When the last deletion of unknown outcome was to be sent.
    pub(super) perhaps_deleted: Option<Duration>,
}

/// An observer showed a later stamp than before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) stamp: Stamp,
    pub(super) at: Duration,
    /// Counts all showings, from 1.
    pub(super) number: u64,
}

impl Track {
    pub(super) fn new(observers: usize) -> Self {
        Self {
            writes: 0,
            in_flight: BTreeSet::new(),
            shown: vec![VecDeque::new(); observers],
            owed: vec![BTreeSet::new(); observers],
            haunted: false,
            perhaps_deleted: None,
        }
    }

    /// When the observer first showed this stamp or a later one.
    pub(super) fn shown_since(&self, index: usize, stamp: Stamp) -> Option<Step> {
        let steps = &self.shown[index];
        let at = steps.partition_point(|step| step.stamp < stamp);
        steps.get(at).copied()
    }

    /// Forgets showings no write in flight can still be measured by, all but the newest of them.
    pub(super) fn trim(&mut self) {
        let oldest = self.in_flight.first().map(|(booked, _)| *booked);
        for steps in &mut self.shown {
            while steps.len() > 1 && oldest.is_none_or(|booked| steps[1].number <= booked) {
                steps.pop_front();
            }
        }
    }
}
