//! What one client sees of one node never goes back: it reads its own writes, and what it has read
//! once it reads again, or something later.
//!
//! A session is one process of the history at one node, for as long as that node lives: what a node
//! keeps across its end is `acked_lost`'s concern. Nothing is promised between two nodes. A record
//! that is not found is explained by any delete that may have happened by then.

use std::collections::BTreeMap;

use super::keys::{KeyHistory, name};
use super::reasons::{Reasons, count, nothing};
use super::version::Version;
use super::{Evidence, Finding, Keys};
use crate::client::Key;
use crate::cluster::Member;
use crate::history::{Action, Attempt, Outcome, Process};
use crate::snapshot::Verdict;

/// Does every client read what it wrote?
pub fn read_your_writes(evidence: &Evidence, keys: &Keys<'_>) -> Finding {
    judge("read_your_writes", evidence, keys, |attempt| {
        attempt.action.is_write()
    })
}

/// Does no client read something older than it has read?
pub fn monotonic_reads(evidence: &Evidence, keys: &Keys<'_>) -> Finding {
    judge("monotonic_reads", evidence, keys, |attempt| {
        attempt.action == Action::Get
    })
}

/// The latest that an operation of a session made or saw of one record.
struct Floor<'a> {
    version: Version,
    by: &'a Attempt,
}

/// Compares each read with the latest version that an earlier operation of its session, of those
/// that `bind`, made or saw.
fn judge(
    checker: &'static str,
    evidence: &Evidence,
    keys: &Keys<'_>,
    bind: impl Fn(&Attempt) -> bool,
) -> Finding {
    let mut reasons = Reasons::default();
    let lives = Lives::of(evidence);
    let mut floors: BTreeMap<(Process, Member, usize, &Key), Floor<'_>> = BTreeMap::new();
    let (mut reads, mut bound) = (0, 0);
    for attempt in &evidence.attempts {
        let (Some(node), Some(key), Some(ended), Outcome::Ok { .. }) =
            (attempt.node, &attempt.key, attempt.ended, &attempt.outcome)
        else {
            continue;
        };
        // Where others write too, they may have deleted what is theirs.
        if !evidence.scope.owns(key) {
            continue;
        }
        let Some(life) = lives.number(node, attempt.began, ended) else {
            continue;
        };
        let session = (attempt.process, node, life, key);
        let shown = version(attempt);
        if attempt.action == Action::Get {
            reads += 1;
            if let Some(floor) = floors.get(&session) {
                bound += 1;
                let history = keys.get(key);
                if !is_explained(&shown, &floor.version, ended, history) {
                    reasons.add(|| told(floor, attempt, &shown));
                }
            }
        }
        if bind(attempt) && (shown.record.is_some() || attempt.action.is_delete()) {
            let later =
                (floors.get(&session)).is_none_or(|floor| shown.contest(&floor.version).is_gt());
            if later {
                let floor = Floor {
                    version: shown,
                    by: attempt,
                };
                floors.insert(session, floor);
            }
        }
    }
    if bound == 0 {
        let reads = count(reads, "read");
        return nothing(
            checker,
            format!("nothing measured: {reads}, none of them bound"),
        );
    }
    let broken = reasons.found();
    let summary = format!(
        "{} of {bound} bound, {broken} went back",
        count(reads, "read")
    );
    reasons.verdict(checker, Verdict::Fail, summary)
}

/// What an operation made or saw; a read that found nothing saw no record at no state.
fn version(attempt: &Attempt) -> Version {
    let Outcome::Ok { answer, state } = &attempt.outcome else {
        unreachable!("only operations that did happen are looked at");
    };
    Version {
        state: state.unwrap_or(f64::NEG_INFINITY),
        record: answer.clone().filter(|_| !attempt.action.is_delete()),
    }
}

fn is_explained(
    shown: &Version,
    floor: &Version,
    ended: u64,
    history: Option<&KeyHistory<'_>>,
) -> bool {
    if shown.record.is_some() {
        return shown.contest(floor).is_ge();
    }
    // Absence has no state to compare.
    floor.record.is_none()
        || history.is_some_and(|history| {
            let unknown = history.unknown.iter().copied();
            let acked = history
                .acked
                .iter()
                .filter(|(_, version)| version.contest(floor).is_gt())
                .map(|(attempt, _)| *attempt);
            (unknown.chain(acked))
                .any(|attempt| attempt.action.is_delete() && attempt.began <= ended)
        })
}

/// The operations that prove it.
fn told(floor: &Floor<'_>, read: &Attempt, shown: &Version) -> String {
    let did = match floor.by.action {
        Action::Get => "showed",
        _ => "was acknowledged with",
    };
    let what = match &shown.record {
        Some(_) => format!("state {}", shown.state),
        None => "nothing, and no delete explains it".to_owned(),
    };
    format!(
        "process {}: {} {did} state {}, and then {} showed {what}",
        read.process,
        name(floor.by),
        floor.version.state,
        name(read)
    )
}

/// When nodes began and ended their lives.
struct Lives(BTreeMap<Member, Vec<u64>>);

impl Lives {
    fn of(evidence: &Evidence) -> Self {
        let mut bounds: BTreeMap<Member, Vec<u64>> = BTreeMap::new();
        for fault in &evidence.faults {
            let ends = matches!(
                fault.action,
                Action::Kill | Action::Stop | Action::Start | Action::Restart | Action::Wipe
            );
            if let (true, Some(member)) = (ends, fault.member) {
                let bounds = bounds.entry(member).or_default();
                bounds.extend([fault.began, fault.time]);
            }
        }
        for bounds in bounds.values_mut() {
            bounds.sort_unstable();
        }
        Self(bounds)
    }

    /// Which of its lives a node was in; `None` for an operation that a node may have ended during.
    fn number(&self, node: Member, began: u64, ended: u64) -> Option<usize> {
        let Some(bounds) = self.0.get(&node) else {
            return Some(0);
        };
        let life = bounds.partition_point(|at| *at <= began);
        (life == bounds.partition_point(|at| *at <= ended)).then_some(life)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Run;
    use super::super::keys::by_key;
    use super::*;

    fn findings(run: Run) -> (Finding, Finding) {
        let evidence = run.evidence();
        let keys = by_key(&evidence.attempts);
        (
            read_your_writes(&evidence, &keys),
            monotonic_reads(&evidence, &keys),
        )
    }

    const FAIL: Option<Verdict> = Some(Verdict::Fail);
    const PASS: Option<Verdict> = Some(Verdict::Pass);

    #[test]
    fn a_client_that_does_not_read_its_write_fails_the_run_and_both_operations_are_named() {
        let mut run = Run::new();
        let old = run.create(2, "a", 10.0);
        run.update(2, "a", 20.0);
        run.get(2, "a", Some(&old));
        let (own, monotonic) = findings(run);
        assert_eq!(own.verdict, FAIL);
        assert_eq!(
            own.reasons,
            [
                "process 0: update nodes/a on node-2 (op 10) was acknowledged with state 20, and then \
              get nodes/a on node-2 (op 20) showed state 10"
            ]
        );
        assert_eq!(monotonic.verdict, None, "one read binds nothing");
    }

    #[test]
    fn a_client_that_finds_nothing_of_what_it_wrote_fails_the_run() {
        let mut run = Run::new();
        run.create(2, "a", 10.0);
        run.get(2, "a", None);
        let (own, _) = findings(run);
        assert_eq!(own.verdict, FAIL);
        assert!(own.reasons[0].ends_with("showed nothing, and no delete explains it"));
    }

    #[test]
    fn a_record_its_client_deleted_must_not_come_back() {
        let mut run = Run::new();
        let held = run.create(2, "a", 10.0);
        run.delete(2, "a", 20.0);
        run.get(2, "a", Some(&held));
        assert_eq!(findings(run).0.verdict, FAIL);
    }

    #[test]
    fn a_read_that_goes_back_fails_the_run() {
        let mut run = Run::new();
        let old = run.create(1, "a", 10.0);
        let new = run.update(1, "a", 20.0);
        run.get(2, "a", Some(&new));
        run.get(2, "a", Some(&old));
        let (own, monotonic) = findings(run);
        assert_eq!(own.verdict, None, "nobody wrote to node-2");
        assert_eq!(monotonic.verdict, FAIL);
        assert_eq!(monotonic.summary, "2 reads of 1 bound, 1 went back");
    }

    #[test]
    fn what_a_delete_explains_and_what_another_node_shows_is_no_violation() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.get(1, "a", Some(&held));
        // Another node is behind: nothing is promised between two.
        run.get(2, "a", None);
        // Another client deletes it elsewhere.
        run.delete(3, "a", 20.0);
        run.get(1, "a", None);
        let (own, monotonic) = findings(run);
        assert_eq!((own.verdict, monotonic.verdict), (PASS, PASS));
    }

    #[test]
    fn an_unknown_delete_explains_absence_and_an_earlier_one_does_not() {
        let mut run = Run::new();
        run.create(1, "a", 10.0);
        run.unknown(Action::Delete, 2, "a", 20.0);
        run.get(1, "a", None);
        assert_eq!(findings(run).0.verdict, PASS);

        let mut run = Run::new();
        run.delete(1, "a", 10.0);
        run.create(1, "a", 20.0);
        run.get(1, "a", None);
        assert_eq!(findings(run).0.verdict, FAIL);
    }

    #[test]
    fn a_session_ends_with_its_node() {
        let mut run = Run::new();
        run.create(2, "a", 10.0);
        run.fault(Action::Kill, 2);
        run.fault(Action::Wipe, 2);
        run.fault(Action::Start, 2);
        run.get(2, "a", None);
        assert_eq!(findings(run).0.verdict, None);
    }

    #[test]
    fn a_run_without_reads_measured_nothing_which_is_no_pass() {
        let mut run = Run::new();
        run.create(1, "a", 10.0);
        let (own, monotonic) = findings(run);
        assert_eq!((own.verdict, monotonic.verdict), (None, None));
        assert_eq!(own.summary, "nothing measured: 0 reads, none of them bound");
    }
}
