//! What became of every acknowledged write, in the words of Jepsen's set-full: on the whole
//! ([`super::acked_lost`] judges it) and on each node ([`by_observer`]).
//!
//! A write is *stable* where it is in the end, *lost* where it is not although somebody showed it,
//! *never-read* where it is not and nobody ever showed it. It is *stale* where it is stable and a
//! read that began after its acknowledgement still missed it: showed nothing, or something older.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Evidence;
use super::acked_lost::survives;
use super::deferred::Clocks;
use super::keys::{KeyHistory, by_key};
use super::version::Version;
use crate::client::Key;
use crate::cluster::Member;
use crate::history::{Action, Attempt, Outcome};

/// How many acknowledged writes one observer has of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Words {
    /// There in the end, or not due yet.
    pub stable: usize,
    /// Those of them that a read missed after their acknowledgement.
    pub stale: usize,
    /// Not there, although somebody showed it.
    pub lost: usize,
    /// Not there, and nobody ever showed it.
    pub never_read: usize,
}

/// Counts for each node that could be read in the end; only records of this run.
pub fn by_observer(evidence: &Evidence) -> BTreeMap<Member, Words> {
    let keys = by_key(&evidence.attempts);
    let reads = Reads::of(&evidence.attempts);
    let clocks = Clocks::of(evidence);
    let mut words: BTreeMap<Member, Words> = evidence
        .finals
        .keys()
        .map(|member| (*member, Words::default()))
        .collect();
    for (key, history) in keys.iter().filter(|(key, _)| evidence.scope.owns(key)) {
        for (attempt, version) in &history.acked {
            let has = |member: &Member| {
                let state = &evidence.finals[member];
                let held = state.records.get(*key).map(Version::from);
                survives(version, held.as_ref(), history) || clocks.defer(*member, state, version)
            };
            let seen = evidence.finals.keys().any(has) || reads.showed(key, version);
            let missed: Vec<_> = (reads.missed_after(key, attempt, version, history))
                .map(|missed| missed.on)
                .collect();
            for (member, words) in &mut words {
                match (has(member), seen) {
                    (true, _) => {
                        words.stable += 1;
                        words.stale += usize::from(missed.contains(member));
                    }
                    (false, true) => words.lost += 1,
                    (false, false) => words.never_read += 1,
                }
            }
        }
    }
    words
}

/// A read that missed an acknowledged write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Missed {
    /// How long after the acknowledgement it began.
    pub(super) late_ns: u64,
    /// Which node was asked.
    pub(super) on: Member,
}

/// One read of a record.
struct Look {
    began: u64,
    on: Member,
    found: Option<Version>,
}

/// What reads showed, by record.
pub(super) struct Reads<'a> {
    /// Every read of a record.
    looks: BTreeMap<&'a Key, Vec<Look>>,
    /// Every (record, answer) that a read showed.
    shown: BTreeSet<(&'a Key, &'a str)>,
}

impl<'a> Reads<'a> {
    pub(super) fn of(attempts: &'a [Attempt]) -> Self {
        let mut reads = Self {
            looks: BTreeMap::new(),
            shown: BTreeSet::new(),
        };
        for attempt in attempts.iter().filter(|read| read.action == Action::Get) {
            let (Some(key), Some(on), Outcome::Ok { answer, state }) =
                (&attempt.key, attempt.node, &attempt.outcome)
            else {
                continue;
            };
            if let Some(answer) = answer {
                reads.shown.insert((key, answer.text()));
            }
            let found = answer.as_ref().map(|answer| Version {
                state: state.unwrap_or(f64::NEG_INFINITY),
                record: Some(answer.clone()),
            });
            let began = attempt.began;
            let looks = reads.looks.entry(key).or_default();
            looks.push(Look { began, on, found });
        }
        reads
    }

    /// The reads that began after the acknowledgement of a write, and missed it. A read that found
    /// nothing may be explained by a delete that had begun by then.
    pub(super) fn missed_after(
        &self,
        key: &Key,
        write: &Attempt,
        written: &Version,
        history: &KeyHistory<'_>,
    ) -> impl Iterator<Item = Missed> {
        let acked = write.ended.unwrap_or(u64::MAX);
        let deleted = history.deletes_began().min().unwrap_or(u64::MAX);
        let looks = self.looks.get(key).map_or(&[][..], Vec::as_slice).iter();
        looks.filter_map(move |look| {
            let missed = match &look.found {
                Some(found) => found.contest(written).is_lt(),
                None => written.record.is_some() && look.began < deleted,
            };
            let late_ns = look.began.checked_sub(acked).filter(|late| *late > 0)?;
            let on = look.on;
            missed.then_some(Missed { late_ns, on })
        })
    }

    pub(super) fn showed(&self, key: &Key, version: &Version) -> bool {
        let record = version.record.as_ref();
        record.is_some_and(|record| self.shown.contains(&(key, record.text())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Run;
    use super::*;

    fn words(stable: usize, stale: usize, lost: usize, never_read: usize) -> Words {
        Words {
            stable,
            stale,
            lost,
            never_read,
        }
    }

    fn told(run: Run) -> Vec<Words> {
        by_observer(&run.evidence()).into_values().collect()
    }

    #[test]
    fn each_node_has_its_own_words() {
        let mut run = Run::new();
        let old = run.create(1, "a", 10.0);
        let new = run.update(1, "a", 20.0);
        run.get(3, "a", Some(&old));
        run.get(2, "a", Some(&new));
        run.everywhere("a", &new);
        let kept = run.create(1, "b", 30.0);
        run.get(2, "b", None);
        run.on(1, "b", &kept);
        run.on(2, "b", &kept);
        run.create(1, "c", 40.0);
        assert_eq!(
            told(run),
            [words(3, 0, 0, 1), words(3, 1, 0, 1), words(2, 1, 1, 1)]
        );
    }

    #[test]
    fn what_others_wrote_is_not_counted() {
        let mut run = Run::new();
        run.shared("r1-");
        let own = run.create(1, "r1-a", 10.0);
        run.everywhere("r1-a", &own);
        run.create(1, "b", 10.0);
        assert_eq!(told(run), [words(1, 0, 0, 0); 3]);
    }

    #[test]
    fn a_delete_explains_what_is_not_found() {
        let mut run = Run::new();
        run.create(1, "a", 10.0);
        run.get(2, "a", None);
        run.delete(1, "a", 20.0);
        run.get(2, "a", None);
        assert_eq!(told(run)[1], words(2, 1, 0, 0));
    }
}
