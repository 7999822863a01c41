//! The right write wins: from the history alone, which value must every node end with?
//!
//! GUN's rule is the greatest (state, JSON text). Acknowledged writes are candidates by what
//! their answers said; a write without an answer widens what is allowed, because it may have
//! happened at a later state. A winner stamped in a node's future is deferred there: until it is
//! due, the node shows an earlier one.

use std::collections::BTreeSet;

use super::deferred::Clocks;
use super::keys::KeyHistory;
use super::reasons::{Reasons, count};
use super::version::Version;
use super::{Evidence, Finding, Keys};
use crate::snapshot::Verdict;

/// Judges every record on every node.
pub fn judge(evidence: &Evidence, keys: &Keys<'_>) -> Finding {
    let mut reasons = Reasons::default();
    let (mut judged, mut contested, mut deferred) = (0, 0, 0);
    let clocks = Clocks::of(evidence);
    for (key, history) in keys {
        // Where others write too, the winner may be theirs.
        let Some(best) = history.winner().filter(|_| evidence.scope.owns(key)) else {
            continue;
        };
        judged += 1;
        contested += usize::from(is_contested(history));
        for (member, state) in &evidence.finals {
            let held = state.records.get(*key).map(Version::from);
            if clocks.defer(*member, state, best) {
                // What it may show meanwhile is one of those that are due.
                deferred += usize::from(held.as_ref() != Some(best));
                continue;
            }
            if !may_win(best, held.as_ref(), history) {
                reasons.add(|| {
                    let shown = describe(held.as_ref());
                    format!(
                        "{key} on {member} is {shown}, and must be {}",
                        describe(Some(best))
                    )
                });
            }
        }
    }
    let mut summary = format!(
        "{} judged, {contested} written by several nodes",
        count(judged, "record")
    );
    if deferred > 0 {
        summary.push_str(&format!(", {} deferred", count(deferred, "winner")));
    }
    reasons.verdict("winner", Verdict::Fail, summary)
}

fn is_contested(history: &KeyHistory<'_>) -> bool {
    let acked = history.acked.iter().map(|(write, _)| write.node);
    let unknown = history.unknown.iter().map(|write| write.node);
    acked.chain(unknown).collect::<BTreeSet<_>>().len() > 1
}

/// Whether a node may end with `held` when `best` is the greatest acknowledged version.
fn may_win(best: &Version, held: Option<&Version>, history: &KeyHistory<'_>) -> bool {
    match held {
        Some(held) if held == best => true,
        Some(held) => held.contest(best).is_gt() && history.may_exist(held.record.as_ref()),
        None => best.record.is_none() || history.may_exist(None),
    }
}

fn describe(version: Option<&Version>) -> String {
    match version {
        Some(Version {
            state,
            record: Some(record),
        }) => format!("{} (state {state})", record.text()),
        Some(Version {
            state,
            record: None,
        }) => format!("deleted (state {state})"),
        None => "absent".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Run;
    use super::super::keys::by_key;
    use super::*;
    use crate::history::Action;

    fn finding(run: Run) -> Finding {
        let evidence = run.evidence();
        judge(&evidence, &by_key(&evidence.attempts))
    }

    #[test]
    fn the_loser_of_a_tie_on_every_node_fails_the_run() {
        let mut run = Run::new();
        // The same state on two nodes: the greater text wins, and node-2's is greater.
        let loser = run.create(1, "a", 10.0);
        let winner = run.create(2, "a", 10.0);
        assert!(
            Version::from(&winner)
                .contest(&Version::from(&loser))
                .is_gt()
        );
        run.everywhere("a", &loser);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(finding.reasons.len(), 3);
        assert!(
            finding.reasons[0].starts_with("nodes/a on node-1 is "),
            "{finding:?}"
        );
        assert_eq!(
            finding.summary,
            "1 record judged, 1 written by several nodes"
        );
    }

    #[test]
    fn an_earlier_state_must_not_win() {
        let mut run = Run::new();
        let late = run.create(1, "a", 20.0);
        let early = run.create(2, "a", 10.0);
        run.everywhere("a", &late);
        run.on(3, "a", &early);
        assert_eq!(finding(run).verdict, Some(Verdict::Fail));
    }

    #[test]
    fn the_greatest_acknowledged_version_passes() {
        let mut run = Run::new();
        run.create(1, "a", 10.0);
        let late = run.update(2, "a", 20.5);
        run.update(3, "a", 20.0);
        run.everywhere("a", &late);
        assert_eq!(finding(run).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn a_write_without_an_answer_may_win_only_with_a_greater_state() {
        let mut run = Run::new();
        let acked = run.create(1, "a", 20.0);
        let later = run.unknown(Action::Update, 2, "a", 30.0);
        run.everywhere("a", &later);
        assert_eq!(finding(run).verdict, Some(Verdict::Pass));

        let mut run = Run::new();
        run.create(1, "a", 20.0);
        let earlier = run.unknown(Action::Update, 2, "a", 10.0);
        run.everywhere("a", &earlier);
        assert_eq!(finding(run).verdict, Some(Verdict::Fail));

        // Or it did not happen at all.
        let mut run = Run::new();
        let held = run.create(1, "a", acked.state);
        run.unknown(Action::Update, 2, "a", 30.0);
        run.everywhere("a", &held);
        assert_eq!(finding(run).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn a_winner_stamped_in_a_nodes_future_is_deferred_there() {
        let (hour, mut run) = (3_600_000.0, Run::new());
        let due = run.create(2, "a", 10.0);
        let ahead = run.update(1, "a", hour);
        run.everywhere("a", &due);
        run.on(1, "a", &ahead);
        run.final_state(2).deferred = 1;
        run.final_state(3).deferred = 1;
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Pass), "{finding:?}");
        assert!(finding.summary.ends_with("2 winners deferred"));
    }

    #[test]
    fn a_deleted_record_must_stay_deleted() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.delete(2, "a", 20.0);
        assert_eq!(finding(run).verdict, Some(Verdict::Pass));

        let mut run = Run::new();
        run.create(1, "a", held.state);
        run.delete(2, "a", 20.0);
        run.on(1, "a", &held);
        assert_eq!(finding(run).verdict, Some(Verdict::Fail));
    }
}
