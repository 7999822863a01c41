//! A disk as a store has it: batches that wait share one commit, and what was not synced when the
//! process dies may be there afterwards, or not, or in part.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::graph::Held;
use crate::machine::{Batch, Commit, Deferral};
use crate::model::{Cell, Field, Soul, Stamp, Write};

/// What a disk holds: the last write of each field.
pub type Cells = BTreeMap<(Soul, Field), Cell>;

/// How long a commit takes.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// At least.
    pub min: Duration,
    /// At most.
    pub max: Duration,
}

impl Default for Speed {
    fn default() -> Self {
        Self {
            min: Duration::from_micros(100),
            max: Duration::from_millis(3),
        }
    }
}

/// One member's disk. It outlives the member's process.
#[derive(Debug, Default)]
pub struct Disk {
    synced: Cells,
    /// Synced too: what waits for the clock.
    deferred: Vec<Write>,
    lease: Option<Stamp>,
    /// On their way to the disk; empty when it is idle.
    syncing: Vec<(Commit, Batch)>,
    /// Waiting for that.
    waiting: Vec<(Commit, Batch)>,
    pub(super) speed: Speed,
    /// The planted fault: says it has stored every nth commit, and has not.
    pub(super) forgets_every: Option<u64>,
    commits: u64,
}

impl Disk {
    /// What survives everything but a wipe.
    pub fn synced(&self) -> &Cells {
        &self.synced
    }

    /// What waits for the clock and survives as well.
    pub fn deferred(&self) -> &[Write] {
        &self.deferred
    }

    /// Whether everything submitted is synced.
    pub fn is_idle(&self) -> bool {
        self.syncing.is_empty() && self.waiting.is_empty()
    }

    /// What a process finds when it starts.
    pub(super) fn load(&self) -> Held {
        let mut held = Held {
            deferred: self.deferred.clone(),
            lease: self.lease,
            ..Held::default()
        };
        for ((soul, field), cell) in &self.synced {
            held.graph.load(Write {
                soul: soul.clone(),
                field: field.clone(),
                cell: cell.clone(),
            });
        }
        held
    }

    pub(super) fn submit(&mut self, commit: Commit, batch: Batch) {
        self.waiting.push((commit, batch));
    }

    /// Starts to store everything that waits, unless it is at work; how long it takes.
    pub(super) fn start(&mut self, rng: &mut SmallRng) -> Option<Duration> {
        if !self.syncing.is_empty() || self.waiting.is_empty() {
            return None;
        }
        self.syncing = std::mem::take(&mut self.waiting);
        Some(rng.random_range(self.speed.min..=self.speed.max))
    }

    /// What was being stored is.
    pub(super) fn finish(&mut self) -> Option<Commit> {
        let (last, _) = self.syncing.last()?;
        let last = *last;
        self.commits += 1;
        let is_lost = (self.forgets_every).is_some_and(|nth| self.commits.is_multiple_of(nth));
        if is_lost {
            self.syncing.clear();
        }
        self.keep();
        Some(last)
    }

    /// The process died. What was being stored is or is not, or with `torn` the first part of it;
    /// a batch is never torn itself, as stores promise.
    pub(super) fn crash(&mut self, torn: bool, rng: &mut SmallRng) {
        self.waiting.clear();
        let kept = match self.syncing.len() {
            some if torn => rng.random_range(0..=some),
            all if rng.random_bool(0.5) => all,
            _ => 0,
        };
        self.syncing.truncate(kept);
        self.keep();
    }

    pub(super) fn wipe(&mut self) {
        self.synced.clear();
        self.deferred.clear();
        self.lease = None;
    }

    fn keep(&mut self) {
        for (_, batch) in self.syncing.drain(..) {
            let Batch {
                changes,
                deferrals,
                lease,
            } = batch;
            self.lease = self.lease.max(lease);
            for change in changes {
                let Write { soul, field, cell } = change.write;
                self.synced.insert((soul, field), cell);
            }
            for deferral in deferrals {
                match deferral {
                    Deferral::Waits(write) => self.deferred.push(write),
                    Deferral::Over(write) => self.deferred.retain(|other| *other != write),
                }
            }
        }
    }
}
