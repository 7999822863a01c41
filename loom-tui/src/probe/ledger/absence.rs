//! What it means that an observer does not have a record: it shows a deletion, if there was one.
//!
//! A feed tells of a deletion once. Whoever begins to follow a node later is told what the node
//! holds, and a tombstone is not among it; if the deletion is acknowledged only after that, or its
//! outcome stays unknown, nothing will ever show it. Those are the [`Ledger::doubtful`] ones: the
//! observer has to be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Class, Ledger, Sample};
use crate::client::{Key, Kind, Stamp};
use crate::cluster::Member;

impl Ledger {
    /// An observer listed everything it holds. What it lists it shows; a deleted record shows by
    /// its absence.
    pub fn listed(
        &mut self,
        observer: Member,
        records: &BTreeMap<Key, Stamp>,
        at: Duration,
        samples: &mut Vec<Sample>,
    ) {
        let Some(index) = self.index(observer) else {
            return;
        };
        let shows: Vec<_> = (self.tracks.keys())
            .filter(|key| key.kind != Kind::Canary)
            .filter_map(|key| {
                let listed = records.get(key).copied();
                let stamp = listed.or_else(|| self.shown_by_absence(index, key))?;
                Some((key.clone(), stamp))
            })
            .collect();
        for (key, stamp) in shows {
            self.shown(observer, &key, stamp, at, samples);
        }
    }

    /// An observer was asked for one record and has none.
    pub fn absent(&mut self, observer: Member, key: &Key, at: Duration, samples: &mut Vec<Sample>) {
        if let Some(index) = self.index(observer)
            && let Some(stamp) = self.shown_by_absence(index, key)
        {
            self.shown(observer, key, stamp, at, samples);
        }
    }

    /// At most `max` records, each with an observer that owes user writes made before `before`,
    /// and that a deletion may explain: asking the observer for the record settles it.
    pub fn doubtful(
        &self,
        observers: &[Member],
        before: Duration,
        max: usize,
    ) -> Vec<(Member, Key)> {
        let old = (self.open.iter()).take_while(|(intended, _)| *intended < before);
        let owed = old.filter_map(|(_, id)| {
            let entry = &self.writes[id];
            (entry.intent.class == Class::User).then(|| (self.missing(entry), &entry.intent.key))
        });
        let doubtful = owed.flat_map(|(missing, key)| {
            let by_deletion = move |observer: &Member| {
                let index = self.index(*observer)?;
                self.shown_by_absence(index, key)
            };
            missing
                .into_iter()
                .filter(|observer| observers.contains(observer))
                .filter(move |observer| by_deletion(observer).is_some())
                .map(move |observer| (observer, key.clone()))
        });
        // Several owed writes of one record are one question.
        let distinct: BTreeSet<(Member, Key)> = doubtful.take(max).collect();
        distinct.into_iter().collect()
    }

    /// The latest owed write that a deletion explains, if the observer does not have the record:
    /// the deletion itself, or what came before one that nobody knows the outcome of.
    fn shown_by_absence(&self, index: usize, key: &Key) -> Option<Stamp> {
        let track = self.tracks.get(key)?;
        let explained = track.owed[index].iter().rev().find(|(_, id)| {
            let intent = &self.writes[id].intent;
            let perhaps = track.perhaps_deleted;
            intent.delete || perhaps.is_some_and(|deleted| intent.intended <= deleted)
        });
        explained.map(|(stamp, _)| *stamp)
    }
}
