//! Did the cluster agree by itself, and soon enough?
//!
//! When the script has ended and everything is mended, the cluster is watched until it is quiet or
//! nothing moves in it. If anything is missing then, every node is poked with one write, and each
//! copy of an acknowledged write is one of
//!
//! - *converged*: it arrived by itself, in time;
//! - *slow*: it arrived by itself, after the limit;
//! - *stuck until nudged*: it arrived after the poke;
//! - *deferred*: its node's clock has not reached its stamp, and it has a due time;
//! - *lost*: it never arrived.
//!
//! Anything but converged and deferred fails the run, and so does a heal or start after which
//! agreement took longer than the limit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::acked_lost::survives;
use super::deferred::Clocks;
use super::keys::name;
use super::reasons::{Reasons, count, nothing};
use super::version::Version;
use super::{Evidence, FinalState, Finding, Keys};
use crate::client::Key;
use crate::cluster::Member;
use crate::snapshot::Verdict;

/// How long agreement may take unless somebody says otherwise.
pub const LIMIT_DEFAULT: Duration = Duration::from_secs(30);

/// Agreement after one heal or start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recovery {
    /// After what: `heal node-3`.
    pub after: String,
    /// When that was done, in milliseconds since the run began.
    pub at_ms: f64,
    /// How it ended.
    #[serde(flatten)]
    pub ended: Recovered,
}

/// How the wait for agreement ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovered {
    /// They agreed after this long.
    #[serde(rename = "took_ms", serialize_with = "ms")]
    Within(Duration),
    /// Something else was broken still, or again: nothing was measured.
    #[serde(rename = "not_measured_because")]
    NotMeasured(String),
    /// They did not; what differed last.
    #[serde(rename = "not_because")]
    Not(String),
}

fn ms<S: serde::Serializer>(took: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(took.as_secs_f64() * 1_000.0)
}

/// What is known about agreement.
#[derive(Clone, Debug, Default)]
pub struct Convergence {
    /// After each heal and start, and after the script's end.
    pub recoveries: Vec<Recovery>,
    /// How long each may take.
    pub limit: Duration,
    /// What had not arrived when it became late: a record, and where it was missing.
    pub late: Vec<(Key, Vec<Member>)>,
    /// What each node held before it was poked; `None` when nothing needed a poke.
    pub before_poke: Option<BTreeMap<Member, FinalState>>,
    /// When that had been read, in nanoseconds since the run began: what was written later are the
    /// pokes, and they were stuck nowhere.
    pub poked_at: Option<u64>,
}

impl Convergence {
    /// The longest that agreement took, where it was reached.
    pub fn worst(&self) -> Option<Duration> {
        let took = self
            .recoveries
            .iter()
            .filter_map(|recovery| match recovery.ended {
                Recovered::Within(took) => Some(took),
                Recovered::NotMeasured(_) | Recovered::Not(_) => None,
            });
        took.max()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Converged,
    Slow,
    Stuck,
    Deferred,
    Lost,
}

/// Classifies every copy of every acknowledged write, and compares every recovery with the limit.
pub fn judge(evidence: &Evidence, keys: &Keys<'_>) -> Finding {
    let convergence = &evidence.convergence;
    let mut reasons = Reasons::default();
    let mut timed = 0;
    for Recovery { after, ended, .. } in &convergence.recoveries {
        match ended {
            Recovered::Within(took) => {
                timed += 1;
                if *took > convergence.limit {
                    let limit = convergence.limit;
                    reasons.add(|| {
                        format!("after {after} agreement took {took:.1?}, must be within {limit:?}")
                    });
                }
            }
            Recovered::NotMeasured(_) => {}
            Recovered::Not(why) => {
                timed += 1;
                reasons
                    .add(|| format!("after {after} the nodes never agreed by themselves: {why}"));
            }
        }
    }
    let counts = classify(evidence, keys, &mut reasons);
    let copies: usize = counts.values().sum();
    if timed == 0 && copies == 0 {
        return nothing("convergence", "nothing measured".to_owned());
    }
    let of = |class| counts.get(&class).copied().unwrap_or(0);
    let mut summary = format!(
        "{}: {} converged, {} slow, {} stuck until nudged, {} lost",
        count(copies, "copy").replace("copys", "copies"),
        of(Class::Converged),
        of(Class::Slow),
        of(Class::Stuck),
        of(Class::Lost)
    );
    if of(Class::Deferred) > 0 {
        summary.push_str(&format!(", {} deferred", of(Class::Deferred)));
    }
    if let Some(worst) = convergence.worst() {
        let times = count(timed, "time");
        summary.push_str(&format!("; agreed after {worst:.1?} at worst of {times}"));
    }
    reasons.verdict("convergence", Verdict::Fail, summary)
}

fn classify(evidence: &Evidence, keys: &Keys<'_>, reasons: &mut Reasons) -> BTreeMap<Class, usize> {
    let convergence = &evidence.convergence;
    let clocks = Clocks::of(evidence);
    let late: BTreeSet<_> = (convergence.late.iter())
        .flat_map(|(key, missing)| missing.iter().map(move |member| (key, *member)))
        .collect();
    let mut counts = BTreeMap::new();
    for (key, history) in keys.iter().filter(|(key, _)| evidence.scope.owns(key)) {
        for (attempt, version) in &history.acked {
            let held_by = |state: &FinalState| {
                let held = state.records.get(*key).map(Version::from);
                survives(version, held.as_ref(), history)
            };
            for (member, state) in &evidence.finals {
                let is_poke = convergence.poked_at.is_some_and(|at| attempt.began >= at);
                let before = convergence.before_poke.as_ref().filter(|_| !is_poke);
                let before = before.and_then(|before| before.get(member));
                let class = match held_by(state) {
                    false if clocks.defer(*member, state, version) => Class::Deferred,
                    false => Class::Lost,
                    true if before.is_some_and(|before| {
                        !held_by(before) && !clocks.defer(*member, before, version)
                    }) =>
                    {
                        Class::Stuck
                    }
                    true if late.contains(&(*key, *member)) => Class::Slow,
                    true => Class::Converged,
                };
                *counts.entry(class).or_default() += 1;
                let word = match class {
                    Class::Converged | Class::Deferred => continue,
                    Class::Slow => "arrived by itself, but late: slow",
                    Class::Stuck => {
                        "arrived only after another write had been made: stuck until nudged"
                    }
                    Class::Lost => "never arrived, nudged or not: lost",
                };
                reasons.add(|| format!("{} on {member} {word}", name(attempt)));
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Run;
    use super::super::keys::by_key;
    use super::*;

    fn recovery(ended: Recovered) -> Recovery {
        Recovery {
            after: "heal node-2".to_owned(),
            at_ms: 5.0,
            ended,
        }
    }

    fn finding(run: Run, convergence: Convergence) -> Finding {
        let mut evidence = run.evidence();
        evidence.convergence = Convergence {
            limit: LIMIT_DEFAULT,
            ..convergence
        };
        judge(&evidence, &by_key(&evidence.attempts))
    }

    fn arrived() -> Run {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.everywhere("a", &held);
        run
    }

    #[test]
    fn what_arrived_only_after_the_poke_was_stuck_and_fails_the_run() {
        let run = arrived();
        let before = [1, 2, 3].map(|number| (Member::Node(number), FinalState::default()));
        let finding = finding(
            run,
            Convergence {
                before_poke: Some(before.into()),
                ..Convergence::default()
            },
        );
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(
            finding.summary,
            "3 copies: 0 converged, 0 slow, 3 stuck until nudged, 0 lost"
        );
        assert!(finding.reasons[0].contains("op 0) on node-1 arrived only after"));
    }

    #[test]
    fn pokes_themselves_are_stuck_nowhere() {
        let before = [1, 2, 3].map(|number| (Member::Node(number), FinalState::default()));
        let finding = finding(
            arrived(),
            Convergence {
                before_poke: Some(before.into()),
                poked_at: Some(0),
                ..Convergence::default()
            },
        );
        assert_eq!(
            finding.summary,
            "3 copies: 3 converged, 0 slow, 0 stuck until nudged, 0 lost"
        );
    }

    #[test]
    fn what_arrived_by_itself_and_late_was_slow_and_fails_the_run() {
        let finding = finding(
            arrived(),
            Convergence {
                late: vec![(Key::vertex("a"), vec![Member::Node(3)])],
                ..Convergence::default()
            },
        );
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(
            finding.summary,
            "3 copies: 2 converged, 1 slow, 0 stuck until nudged, 0 lost"
        );
    }

    #[test]
    fn what_never_arrived_was_lost() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.on(1, "a", &held);
        run.on(2, "a", &held);
        let finding = finding(run, Convergence::default());
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert!(finding.summary.ends_with("1 lost"), "{}", finding.summary);
    }

    #[test]
    fn agreement_after_a_heal_has_a_limit() {
        for (ended, verdict) in [
            (Recovered::Within(Duration::from_secs(29)), Verdict::Pass),
            (Recovered::Within(Duration::from_secs(31)), Verdict::Fail),
            (Recovered::Not("digests differ".to_owned()), Verdict::Fail),
            (
                Recovered::NotMeasured("kill node-1".to_owned()),
                Verdict::Pass,
            ),
        ] {
            let recoveries = vec![recovery(ended.clone())];
            let finding = finding(
                arrived(),
                Convergence {
                    recoveries,
                    ..Convergence::default()
                },
            );
            assert_eq!(finding.verdict, Some(verdict), "{ended:?}: {finding:?}");
        }
    }

    #[test]
    fn nothing_written_and_nothing_timed_is_nothing_measured() {
        let finding = finding(Run::new(), Convergence::default());
        assert_eq!(finding.verdict, None);
    }
}
