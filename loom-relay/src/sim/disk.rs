//! A disk as a store has it: batches that wait share one commit, and what was not synced when the
//! process dies may be there afterwards, or not, or in part. With a lesser durability so may be what
//! was said to be stored. While it is full it keeps nothing, and is asked again and again.

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
    /// Nothing fits on it.
    pub(super) full: bool,
    /// How long to wait before it is asked again, if it has refused what it was given last.
    refused: Option<Duration>,
    pub(super) speed: Speed,
    /// The planted fault: says it has stored every nth commit, and has not.
    pub(super) forgets_every: Option<u64>,
    /// The planted fault: drops what it was given when there was no room, and says nothing.
    pub(super) drops_refused: bool,
    commits: u64,
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// It is kept: what to report, unless that has been done, and whether it had been refused.
    Kept {
        commit: Option<Commit>,
        resumed: bool,
    },
    /// There is no room: it is tried again after this; `news` the first time.
    Refused { again: Duration, news: bool },
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

    /// What was being stored is, or cannot be.
    pub(super) fn finish(&mut self) -> Synced {
        let before = self.refused.take();
        // What came since it was refused rides along, as it does in the store's thread.
        if before.is_some() {
            self.syncing.append(&mut self.waiting);
        }
        if self.full {
            let [first, most] = RETRY_AFTER;
            let again = before.map_or(first, |pause| (pause * 2).min(most));
            self.refused = Some(again);
            let news = before.is_none();
            return Synced::Refused { again, news };
        }
        let (last, _) = self.syncing.last().expect("the caller began with some");
        let last = *last;
        self.commits += 1;
        let is_lost = (self.forgets_every).is_some_and(|nth| self.commits.is_multiple_of(nth));
        if is_lost || (self.drops_refused && before.is_some()) {
            self.syncing.clear();
        }
        self.keep();
        Synced::Kept {
            commit: (self.durability != Durability::None).then_some(last),
            resumed: before.is_some(),
        }
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
        self.refused = None;
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
        self.full = false;
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

/// How long a store waits before it tries again what was refused: at first, and at most.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;

    use super::*;
    use crate::model::{Change, Value};

    /// A disk that has been given eight batches, the first five of which it is storing.
    fn busy(rng: &mut SmallRng) -> Disk {
        let mut disk = Disk::default();
        for number in 0..5 {
            disk.submit(Commit(number + 1), batch(number));
        }
        assert!(disk.start(rng).is_some());
        for number in 5..8 {
            disk.submit(Commit(number + 1), batch(number));
        }
        disk
    }

    /// Two fields that must not be parted.
    fn batch(number: u64) -> Batch {
        let changes = ["a", "b"].map(|half| Change {
            write: Write {
                soul: "soul".into(),
                field: format!("{number}{half}").into(),
                cell: Cell {
                    stamp: Stamp::new(number as f64).unwrap(),
                    value: Value::text(half),
                },
            },
            was: None,
            from: None,
        });
        changes.to_vec().into()
    }

    /// How many batches are kept, if they are the first ones, and whole.
    fn kept(disk: &Disk) -> usize {
        let fields = disk.synced().keys().map(|(_, field)| field.to_string());
        let count = disk.synced().len();
        let whole = (0..count / 2).flat_map(|number| ["a", "b"].map(|it| format!("{number}{it}")));
        assert!(fields.eq(whole), "{:?}", disk.synced());
        count / 2
    }

    #[test]
    fn a_crash_loses_the_last_of_what_was_not_synced_and_parts_no_batch() {
        let mut seen = [BTreeSet::new(), BTreeSet::new()];
        for seed in 0..200 {
            let torn = seed % 2 == 1;
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut disk = busy(&mut rng);
            assert!(!disk.crash(true, torn, &mut rng), "nothing was promised");
            seen[usize::from(torn)].insert(kept(&disk));
        }
        assert_eq!(seen, [[0, 5].into(), (0..=5).collect()]);
    }

    #[test]
    fn a_full_disk_keeps_nothing_and_in_the_end_everything() {
        let mut disk = busy(&mut SmallRng::seed_from_u64(1));
        disk.full = true;
        let mut waits = Vec::new();
        for nth in 0..6 {
            let Synced::Refused { again, news } = disk.finish() else {
                panic!("it is full");
            };
            assert_eq!((news, kept(&disk)), (nth == 0, 0));
            waits.push(again.as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        disk.full = false;
        let Synced::Kept { commit, resumed } = disk.finish() else {
            panic!("there is room");
        };
        assert_eq!((commit, resumed, kept(&disk)), (Some(Commit(8)), true, 8));
        assert!(disk.is_idle());
    }
}
