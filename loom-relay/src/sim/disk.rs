//! A disk as a store has it: batches that wait share one commit, and what was not synced when the
//! process dies may be there afterwards, or not, or in part. With a lesser durability so may be what
//! was said to be stored.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::graph::Held;
use crate::machine::{Batch, Commit, Deferral};
use crate::model::{Cell, Field, Soul, Stamp, Write};
use crate::store::Durability;

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
    durability: Durability,
    kept: Kept,
    /// The part of it that survives everything; with a lesser durability there is more.
    safe: Kept,
    /// That, in order.
    loose: Vec<Batch>,
    /// On their way to the disk; empty when it is idle.
    syncing: Vec<(Commit, Batch)>,
    /// Waiting for that.
    waiting: Vec<(Commit, Batch)>,
    pub(super) speed: Speed,
    /// The planted fault: says it has stored every nth commit, and has not.
    pub(super) forgets_every: Option<u64>,
    commits: u64,
}

/// What a store has kept.
#[derive(Clone, Debug, Default)]
struct Kept {
    cells: Cells,
    /// What waits for the clock.
    deferred: Vec<Write>,
    lease: Option<Stamp>,
}

impl Disk {
    /// What a process would find if it started now.
    pub fn synced(&self) -> &Cells {
        &self.kept.cells
    }

    /// What waits for the clock, and would be found as well.
    pub fn deferred(&self) -> &[Write] {
        &self.kept.deferred
    }

    /// What its member promises.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    pub(super) fn set_durability(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// Whether everything submitted is kept.
    pub fn is_idle(&self) -> bool {
        self.syncing.is_empty() && self.waiting.is_empty()
    }

    /// What a process finds when it starts.
    pub(super) fn load(&self) -> Held {
        let mut held = Held {
            deferred: self.kept.deferred.clone(),
            lease: self.kept.lease,
            ..Held::default()
        };
        for ((soul, field), cell) in &self.kept.cells {
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
        if self.durability != Durability::Sync && rng.random_bool(WRITTEN_BACK) {
            self.safe = self.kept.clone();
            self.loose.clear();
        }
        Some(rng.random_range(self.speed.min..=self.speed.max))
    }

    /// What was being stored is; the commit to report, unless that has been done.
    pub(super) fn finish(&mut self) -> Option<Commit> {
        let (last, _) = self.syncing.last()?;
        let last = *last;
        self.commits += 1;
        let is_lost = (self.forgets_every).is_some_and(|nth| self.commits.is_multiple_of(nth));
        if is_lost {
            self.syncing.clear();
        }
        self.keep();
        (self.durability != Durability::None).then_some(last)
    }

    /// The process died, or with `power` its machine. What was being stored is or is not, or with
    /// `torn` the first part of it; a batch is never torn itself, as stores promise. Whether
    /// something was lost that clients may have been told is kept.
    pub(super) fn crash(&mut self, power: bool, torn: bool, rng: &mut SmallRng) -> bool {
        let is_at_risk = match self.durability {
            Durability::Sync => false,
            Durability::Os => power,
            Durability::None => true,
        };
        // Its process may have told before.
        let told = self.durability == Durability::None && !self.is_idle();
        self.waiting.clear();
        if is_at_risk {
            let loose = std::mem::take(&mut self.loose);
            let survive = rng.random_range(0..=loose.len());
            if survive < loose.len() {
                self.syncing.clear();
                self.kept = self.safe.clone();
                for batch in loose.into_iter().take(survive) {
                    self.kept.add(batch);
                }
                self.safe = self.kept.clone();
                return true;
            }
            self.loose = loose;
        }
        let kept = match self.syncing.len() {
            some if torn => rng.random_range(0..=some),
            all if rng.random_bool(0.5) => all,
            _ => 0,
        };
        self.syncing.truncate(kept);
        self.keep();
        told
    }

    pub(super) fn wipe(&mut self) {
        self.kept = Kept::default();
        self.safe = Kept::default();
        self.loose.clear();
    }

    fn keep(&mut self) {
        for (_, batch) in self.syncing.drain(..) {
            if self.durability != Durability::Sync {
                self.loose.push(batch.clone());
            }
            self.kept.add(batch);
        }
    }
}

impl Kept {
    fn add(&mut self, batch: Batch) {
        let Batch {
            changes,
            deferrals,
            lease,
        } = batch;
        self.lease = self.lease.max(lease);
        for change in changes {
            let Write { soul, field, cell } = change.write;
            self.cells.insert((soul, field), cell);
        }
        for deferral in deferrals {
            match deferral {
                Deferral::Waits(write) => self.deferred.push(write),
                Deferral::Over(write) => self.deferred.retain(|other| *other != write),
            }
        }
    }
}

/// How often the system has written back what it was handed, at each commit.
const WRITTEN_BACK: f64 = 0.1;
