//! What became of every write, and who has shown it: pure bookkeeping, time as an argument.
//!
//! A write is *intended* at a moment, then *acked* with a stamp, *refused*, or left *unknown*. An
//! observer has *seen* it once it showed the same key with that stamp or a later one, so a write
//! that was overtaken counts as seen when the one that overtook it shows. Showing may come before
//! the acknowledgement: what observers show of a key is remembered while a write to it is in
//! flight.
//!
//! Nothing is forgotten silently. A write seen everywhere becomes samples and is dropped; a
//! refused or unknown one is counted and dropped; an acked one that somebody has not shown stays
//! and ages. At most [`Limits::writes_max`] are followed; those beyond are counted as overflow,
//! and a run with overflow proves nothing.

mod absence;
mod answers;
mod due;
mod track;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use self::answers::{Owed, Sample, Standing, Tally, Unseen};
use self::track::{Step, Track};
use crate::client::{Key, Stamp};
use crate::cluster::Member;

/// Names one write for as long as the probe lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// On whose behalf a write is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A scenario's, a load generator's or a person's.
    User,
    /// The probe's own.
    Canary,
}

/// A write about to be sent.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The node it is sent to.
    pub origin: Member,
    /// What is written.
    pub key: Key,
    /// On whose behalf.
    pub class: Class,
    /// Whether the record is gone afterwards.
    pub delete: bool,
    /// Its stamp, where that is known beforehand.
    pub stamp: Option<Stamp>,
    /// When it was to be sent, by the probe's clock: a late sender shows as latency.
    pub intended: Duration,
}

/// Bounds of the ledger's memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Writes followed at once.
    pub writes_max: usize,
    /// Keys with a write of unknown outcome that are remembered after all others were settled:
    /// such a write may still show and overtake later ones.
    pub haunted_max: usize,
    /// Settled writes whose worst latency is remembered, for those who ask late.
    pub settled_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            writes_max: 1_000_000,
            haunted_max: 65_536,
            settled_max: 65_536,
        }
    }
}

/// The books. See the top of this file.
#[derive(Debug)]
pub struct Ledger {
    observers: Vec<Member>,
    limits: Limits,
    writes: BTreeMap<WriteId, Entry>,
    tracks: BTreeMap<Key, Track>,
    /// Per observer: (intended, id) of acked writes of other origins it has not shown.
    behind: Vec<BTreeSet<(Duration, WriteId)>>,
    /// Acked writes that somebody, the origin included, has not shown.
    open: BTreeSet<(Duration, WriteId)>,
    /// Per observer: acked user writes it has not shown.
    user_missing: Vec<u64>,
    user_in_flight: u64,
    user: Tally,
    canary: Tally,
    haunted: VecDeque<Key>,
    settled: BTreeMap<WriteId, Option<Duration>>,
    /// Showings booked so far.
    showings: u64,
    /// Per node: what its clock showed when the probe's started, in milliseconds, if it has stamped
    /// anything.
    clocks: Vec<Option<f64>>,
    /// What the wall clock showed then.
    start_ms: f64,
}

#[derive(Debug)]
struct Entry {
    intent: Intent,
    /// Set by the acknowledgement.
    acked: bool,
    /// How many showings had been booked before it: those cannot be of it.
    booked: u64,
    /// Bit per observer.
    seen: u64,
    worst: Option<Duration>,
}

/// Observers are counted in the bits of a word.
pub const OBSERVERS_MAX: usize = 64;

impl Ledger {
    /// An empty ledger for at most [`OBSERVERS_MAX`] observers.
    ///
    /// # Panics
    ///
    /// With more of them.
    pub fn new(observers: Vec<Member>, limits: Limits) -> Self {
        assert!(
            observers.len() <= OBSERVERS_MAX,
            "the caller checked the number of observers"
        );
        let count = observers.len();
        Self {
            observers,
            limits,
            writes: BTreeMap::new(),
            tracks: BTreeMap::new(),
            behind: vec![BTreeSet::new(); count],
            open: BTreeSet::new(),
            user_missing: vec![0; count],
            user_in_flight: 0,
            user: Tally::default(),
            canary: Tally::default(),
            haunted: VecDeque::new(),
            settled: BTreeMap::new(),
            showings: 0,
            clocks: vec![None; count],
            start_ms: 0.0,
        }
    }

    /// Everyone whose showing counts.
    pub fn observers(&self) -> &[Member] {
        &self.observers
    }

    /// Begins to follow a write. Must come before it is sent, or its showing may be missed.
    pub fn intend(&mut self, id: WriteId, intent: Intent) {
        self.tally(intent.class).intended += 1;
        if self.writes.len() >= self.limits.writes_max {
            self.tally(intent.class).overflow += 1;
            return;
        }
        if intent.class == Class::User {
            self.user_in_flight += 1;
        }
        let count = self.observers.len();
        let track = (self.tracks.entry(intent.key.clone())).or_insert_with(|| Track::new(count));
        track.writes += 1;
        track.in_flight.insert((self.showings, id));
        let entry = Entry {
            intent,
            acked: false,
            booked: self.showings,
            seen: 0,
            worst: None,
        };
        self.writes.insert(id, entry);
    }

    /// The write did happen, with this stamp.
    pub fn acked(&mut self, id: WriteId, stamp: Stamp, samples: &mut Vec<Sample>) {
        let Some(entry) = self.writes.get_mut(&id) else {
            return; // overflow, counted when it was intended
        };
        if std::mem::replace(&mut entry.acked, true) {
            return;
        }
        let Intent {
            origin,
            class,
            intended,
            ..
        } = entry.intent;
        entry.intent.stamp = Some(stamp);
        let track = (self.tracks.get_mut(&entry.intent.key)).expect("a followed write has a track");
        track.in_flight.remove(&(entry.booked, id));
        let mut shown = Vec::new();
        for (index, observer) in self.observers.iter().enumerate() {
            match track.shown_since(index, stamp) {
                Some(step) => shown.push((index, step)),
                None => {
                    track.owed[index].insert((stamp, id));
                    if *observer != origin {
                        self.behind[index].insert((intended, id));
                    }
                    if class == Class::User {
                        self.user_missing[index] += 1;
                    }
                }
            }
        }
        track.trim();
        if class == Class::User {
            self.user_in_flight -= 1;
        }
        if class == Class::User {
            self.learn_clock(origin, stamp, intended);
        }
        self.tally(class).acked += 1;
        self.open.insert((intended, id));
        for (index, step) in shown {
            self.see(index, id, &step, samples);
        }
        self.settle_if_seen(id);
    }

    /// The write definitely did not happen.
    pub fn refused(&mut self, id: WriteId) {
        if let Some(entry) = self.drop_in_flight(id, false) {
            self.tally(entry.intent.class).refused += 1;
        }
    }

    /// Nobody knows whether the write happened. It is owed by no one, but it may still show. One
    /// whose stamp was known beforehand and that somebody has shown did happen.
    pub fn unknown(&mut self, id: WriteId, samples: &mut Vec<Sample>) {
        let proven = self.writes.get(&id).and_then(|entry| {
            let stamp = entry.intent.stamp.filter(|_| !entry.acked)?;
            let track = self.tracks.get(&entry.intent.key)?;
            (0..self.observers.len())
                .any(|index| track.shown_since(index, stamp).is_some())
                .then_some(stamp)
        });
        if let Some(stamp) = proven {
            self.acked(id, stamp, samples);
        } else if let Some(entry) = self.drop_in_flight(id, true) {
            self.tally(entry.intent.class).unknown += 1;
        }
    }

    /// An observer showed `key` with `stamp`.
    pub fn shown(
        &mut self,
        observer: Member,
        key: &Key,
        stamp: Stamp,
        at: Duration,
        samples: &mut Vec<Sample>,
    ) {
        let Some(index) = self.index(observer) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(key) else {
            return;
        };
        let steps = &mut track.shown[index];
        if steps.back().is_some_and(|last| last.stamp >= stamp) {
            return;
        }
        self.showings += 1;
        let step = Step {
            stamp,
            at,
            number: self.showings,
        };
        steps.push_back(step);
        track.trim();
        let mut due = Vec::new();
        while let Some((owed, id)) = track.owed[index].first().copied()
            && owed <= stamp
        {
            track.owed[index].pop_first();
            due.push(id);
        }
        for id in due {
            self.count_down(index, id);
            self.see(index, id, &step, samples);
            self.settle_if_seen(id);
        }
    }

    /// What `observer` still owes.
    pub fn owed(&self, observer: Member) -> Owed {
        self.index(observer).map_or_else(Owed::default, |index| {
            let behind = &self.behind[index];
            Owed {
                behind: behind.len() as u64,
                oldest: behind.first().map(|(intended, _)| *intended),
            }
        })
    }

    /// The latest stamp `observer` was seen to show of `key`, if the key is being followed.
    pub fn latest(&self, observer: Member, key: &Key) -> Option<Stamp> {
        let steps = &self.tracks.get(key)?.shown[self.index(observer)?];
        steps.back().map(|step| step.stamp)
    }

    /// Where one write stands.
    pub fn standing(&self, id: WriteId) -> Standing {
        match self.writes.get(&id) {
            Some(entry) if entry.acked => Standing::Missing(self.missing(entry)),
            Some(_) => Standing::InFlight,
            None => (self.settled.get(&id))
                .map_or(Standing::NotFollowed, |worst| Standing::Seen(*worst)),
        }
    }

    /// Whether no user write is in flight and these observers have shown every acked one.
    pub fn is_quiet(&self, observers: &[Member]) -> bool {
        self.user_in_flight == 0
            && observers.iter().all(|observer| {
                (self.index(*observer)).is_none_or(|index| self.user_missing[index] == 0)
            })
    }

    /// User writes sent and not answered.
    pub fn user_in_flight(&self) -> u64 {
        self.user_in_flight
    }

    /// How many acked writes somebody has not shown.
    pub fn open_len(&self) -> u64 {
        self.open.len() as u64
    }

    /// When the oldest write that somebody has not shown was to be sent.
    pub fn open_oldest(&self) -> Option<Duration> {
        self.open.first().map(|(intended, _)| *intended)
    }

    /// Acked writes intended at `since` or later that somebody has not shown, oldest first.
    pub fn unseen(&self, since: Duration) -> impl Iterator<Item = Unseen> + '_ {
        self.open
            .range((since, WriteId(0))..)
            .map(|(intended, id)| {
                let entry = &self.writes[id];
                Unseen {
                    id: *id,
                    key: entry.intent.key.clone(),
                    origin: entry.intent.origin,
                    class: entry.intent.class,
                    intended: *intended,
                    stamp: (entry.intent.stamp).expect("what is open was acknowledged with one"),
                    missing: self.missing(entry),
                }
            })
    }

    /// Counts of one class of writes.
    pub fn counts(&self, class: Class) -> Tally {
        match class {
            Class::User => self.user,
            Class::Canary => self.canary,
        }
    }

    fn tally(&mut self, class: Class) -> &mut Tally {
        match class {
            Class::User => &mut self.user,
            Class::Canary => &mut self.canary,
        }
    }

    fn index(&self, observer: Member) -> Option<usize> {
        self.observers.iter().position(|known| *known == observer)
    }

    fn missing(&self, entry: &Entry) -> Vec<Member> {
        (self.observers.iter().enumerate())
            .filter(|(index, _)| entry.seen & (1 << index) == 0)
            .map(|(_, observer)| *observer)
            .collect()
    }

    /// Takes an owed write off the observer's books.
    fn count_down(&mut self, index: usize, id: WriteId) {
        let intent = &self.writes[&id].intent;
        self.behind[index].remove(&(intent.intended, id));
        if intent.class == Class::User {
            self.user_missing[index] -= 1;
        }
    }

    fn see(&mut self, index: usize, id: WriteId, step: &Step, samples: &mut Vec<Sample>) {
        let entry = self.writes.get_mut(&id).expect("it is followed");
        entry.seen |= 1 << index;
        let latency =
            (step.number > entry.booked).then(|| step.at.saturating_sub(entry.intent.intended));
        entry.worst = entry.worst.max(latency);
        samples.push(Sample {
            id,
            origin: entry.intent.origin,
            observer: self.observers[index],
            class: entry.intent.class,
            latency,
            at: step.at,
        });
    }

    fn settle_if_seen(&mut self, id: WriteId) {
        let entry = &self.writes[&id];
        if entry.seen.count_ones() as usize != self.observers.len() {
            return;
        }
        let entry = self.writes.remove(&id).expect("looked at above");
        self.open.remove(&(entry.intent.intended, id));
        self.tally(entry.intent.class).settled += 1;
        if entry.intent.class == Class::User {
            self.settled.insert(id, entry.worst);
            if self.settled.len() > self.limits.settled_max {
                self.settled.pop_first();
            }
        }
        self.release(&entry.intent.key, false);
    }

    fn drop_in_flight(&mut self, id: WriteId, haunted: bool) -> Option<Entry> {
        if self.writes.get(&id)?.acked {
            return None;
        }
        let entry = self.writes.remove(&id)?;
        if entry.intent.class == Class::User {
            self.user_in_flight -= 1;
        }
        let track = (self.tracks.get_mut(&entry.intent.key)).expect("a followed write has a track");
        track.in_flight.remove(&(entry.booked, id));
        if haunted && entry.intent.delete {
            track.perhaps_deleted = track.perhaps_deleted.max(Some(entry.intent.intended));
        }
        track.trim();
        self.release(&entry.intent.key, haunted);
        Some(entry)
    }

    /// One write less on a key; the last one takes the track with it unless it is haunted.
    fn release(&mut self, key: &Key, haunted: bool) {
        let track = (self.tracks.get_mut(key)).expect("a followed write has a track");
        track.writes -= 1;
        if haunted && !std::mem::replace(&mut track.haunted, true) {
            self.haunted.push_back(key.clone());
        }
        if track.writes == 0 && !track.haunted {
            self.tracks.remove(key);
        }
        if self.haunted.len() > self.limits.haunted_max
            && let Some(oldest) = self.haunted.pop_front()
            && let Some(track) = self.tracks.get_mut(&oldest)
        {
            track.haunted = false;
            if track.writes == 0 {
                self.tracks.remove(&oldest);
            }
        }
    }
}
