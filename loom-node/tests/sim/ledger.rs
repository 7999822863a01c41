//! What was written by whom, what was promised, and what must be there in the end: GUN's rules once
//! more, written down without a look at `loom_relay::ham`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use loom_relay::model::{Cell, Field, Soul, Stamp, Write};
use loom_relay::sim::{Cells, Disk, MemberId};
use loom_relay::store::Durability;
use rand::RngExt as _;
use rand::rngs::SmallRng;

pub(crate) type Key = (Soul, Field);

/// A write's place among all writes of its field: the later stamp wins, then the JSON text that is
/// greater in UTF-16 code units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rank(pub(crate) Cell);

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let stamps = self.0.stamp.ms().partial_cmp(&other.0.stamp.ms());
        let units = |rank: &Self| rank.0.value.json().encode_utf16().collect::<Vec<u16>>();
        stamps
            .expect("stamps are numbers")
            .then_with(|| units(self).cmp(&units(other)))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The history of one run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    issued: BTreeMap<Key, BTreeSet<Rank>>,
    /// Acknowledged, and not excused since.
    promised: Vec<Promise>,
    pub(crate) acknowledged: u64,
    /// Promises that a wiped disk took with it.
    pub(crate) excused: u64,
    /// Promises that were not to survive what a member of lesser durability did not.
    pub(crate) waived: u64,
    /// Writes that were refused because nothing could be stored.
    pub(crate) unstored: u64,
    /// Writes of foreigners.
    pub(crate) foreign: u64,
    /// What each process has written, by stamp.
    by_stamp: BTreeMap<(MemberId, u64), (u64, BTreeMap<Key, Rank>)>,
}

#[derive(Clone, Debug)]
struct Promise {
    by: MemberId,
    key: Key,
    rank: Rank,
}

impl Ledger {
    /// A member wrote something of its own, in its nth process.
    pub(crate) fn issue(
        &mut self,
        by: MemberId,
        life: u64,
        key: &Key,
        cell: &Cell,
    ) -> Result<(), String> {
        let rank = Rank(cell.clone());
        let stamp = (by, cell.stamp.ms().to_bits());
        let (of_life, of_stamp) = self
            .by_stamp
            .entry(stamp)
            .or_insert((life, BTreeMap::new()));
        // One stamp is for a record and all its index souls.
        if *of_life != life || of_stamp.insert(key.clone(), rank.clone()).is_some() {
            return Err(format!("issues a stamp again, for {key:?} {rank:?}"));
        }
        self.issued.entry(key.clone()).or_default().insert(rank);
        Ok(())
    }

    /// A foreigner is about to write something, with whatever stamp.
    pub(crate) fn issue_foreign(&mut self, Write { soul, field, cell }: Write) {
        self.foreign += 1;
        let issued = self.issued.entry((soul, field)).or_default();
        issued.insert(Rank(cell));
    }

    /// Where something was written, and its stamp in milliseconds.
    pub(crate) fn draw_issued(&self, rng: &mut SmallRng) -> Option<(Soul, Field, f64)> {
        if self.issued.is_empty() {
            return None;
        }
        let nth = rng.random_range(0..self.issued.len());
        let ((soul, field), ranks) = self.issued.iter().nth(nth)?;
        let nth = rng.random_range(0..ranks.len());
        let Rank(cell) = ranks.iter().nth(nth)?;
        Some((soul.clone(), field.clone(), cell.stamp.ms()))
    }

    pub(crate) fn is_known(&self, key: &Key, cell: &Cell) -> bool {
        let ranks = self.issued.get(key);
        ranks.is_some_and(|ranks| ranks.contains(&Rank(cell.clone())))
    }

    /// A member said that it has stored its write of `stamp` to the record `id`, or to one of its
    /// own souls; `disk` is its own.
    pub(crate) fn acknowledge(
        &mut self,
        by: MemberId,
        id: &str,
        stamp: Stamp,
        disk: &Disk,
    ) -> Result<(), String> {
        let of_stamp = self.by_stamp.get(&(by, stamp.ms().to_bits()));
        let mut writes = of_stamp.into_iter().flat_map(|(_, writes)| writes);
        let write = writes.find(|((soul, field), _)| **field == *id && !soul.contains(":index:"));
        let Some((key, rank)) = write else {
            return Err(format!(
                "acknowledged {id:?} at {stamp}, which it never wrote"
            ));
        };
        let (key, rank) = (key.clone(), rank.clone());
        let is_stored = holds(disk.synced(), &key, &rank);
        if !is_stored && disk.durability() != Durability::None {
            return Err(format!(
                "acknowledged {key:?} {rank:?}, which is not on its disk: {:?}",
                disk.synced().get(&key)
            ));
        }
        self.acknowledged += 1;
        self.promised.push(Promise { by, key, rank });
        Ok(())
    }

    /// A member has lost its disk, or something of it that its durability does not cover: what is
    /// on no disk now, and not in one of these memories, is excused.
    pub(crate) fn excuse(&mut self, member: MemberId, disks: &[&Disk], in_memory: &[&Cells]) {
        // Nor can it know what it has issued.
        self.by_stamp.retain(|(by, _), _| *by != member);
        let before = self.promised.len();
        self.promised.retain(|Promise { key, rank, .. }| {
            let is_deferred = |disk: &Disk| {
                let mut deferred = disk.deferred().iter();
                deferred.any(|it| {
                    (&it.soul, &it.field) == (&key.0, &key.1) && Rank(it.cell.clone()) >= *rank
                })
            };
            let mut disks = disks.iter();
            disks.any(|disk| holds(disk.synced(), key, rank) || is_deferred(disk))
                || in_memory.iter().any(|cells| holds(cells, key, rank))
        });
        let excused = (before - self.promised.len()) as u64;
        match disks[member].durability() {
            Durability::Sync => self.excused += excused,
            Durability::Os | Durability::None => self.waived += excused,
        }
    }

    /// Whether what all agree on is right: nothing invented, nothing promised lost, and if nobody
    /// ever forgot anything exactly the greatest of all writes.
    pub(crate) fn check_end(&self, held: &Cells, nothing_forgotten: bool) -> Result<(), String> {
        if let Some((key, cell)) = held.iter().find(|(key, cell)| !self.is_known(key, cell)) {
            return Err(format!("{key:?} ends with {cell:?}, which nobody wrote"));
        }
        let lost = self.promised.iter();
        let mut lost = lost.filter(|promise| !holds(held, &promise.key, &promise.rank));
        if let Some(Promise { by, key, rank }) = lost.next() {
            return Err(format!(
                "#{by} acknowledged {key:?} {rank:?}, but all agree on {:?}",
                held.get(key)
            ));
        }
        if !nothing_forgotten {
            return Ok(());
        }
        for (key, ranks) in &self.issued {
            let greatest = ranks.last().map(|rank| &rank.0);
            if held.get(key) != greatest {
                return Err(format!(
                    "{key:?} ends with {:?}, but the greatest write was {greatest:?}",
                    held.get(key)
                ));
            }
        }
        Ok(())
    }

    /// The latest stamp of all, in milliseconds.
    pub(crate) fn latest_ms(&self) -> f64 {
        let last = self.issued.values().filter_map(|ranks| ranks.last());
        last.map(|rank| rank.0.stamp.ms()).fold(0.0, f64::max)
    }
}

/// Whether this write is held, or one that wins over it.
pub(crate) fn holds(cells: &Cells, key: &Key, rank: &Rank) -> bool {
    let held = cells.get(key);
    held.is_some_and(|held| Rank(held.clone()) >= *rank)
}
