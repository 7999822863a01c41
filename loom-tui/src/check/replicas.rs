//! In the end all replicas are identical: equal digests and equal records.
//!
//! On a cluster others use too, digests are moved by their writes: only this run's own records are
//! compared there. A node that changes while it is read is not compared by what cannot have been of
//! one moment: that is unknown, never a difference. Records that differ because a write is not due
//! yet on one of the nodes are no difference either, and are counted.

use std::collections::BTreeSet;

use super::deferred::Clocks;
use super::reasons::{Reasons, count};
use super::{Evidence, FinalState, Finding, Keys, Scope};
use crate::client::Key;
use crate::cluster::Member;
use crate::snapshot::Verdict;

/// Compares every node with the first.
pub fn judge(evidence: &Evidence, keys: &Keys<'_>) -> Finding {
    let mut reasons = Reasons::default();
    let mut states = evidence.finals.iter();
    let Some((first, base)) = states.next() else {
        for why in &evidence.unread {
            reasons.add(|| why.clone());
        }
        let summary = "no node's final state could be read".to_owned();
        return reasons.finding("replicas", Verdict::Unknown, summary);
    };
    let shared = matches!(evidence.scope, Scope::Shared { .. });
    // Own records stand still once the run's own writes have ended, whoever else writes.
    let judged = |state: &FinalState| shared || !(base.moving || state.moving);
    let clocks = Clocks::of(evidence);
    // Whether a node holds an acknowledged version of this back.
    let waits = |key: &Key, member: &Member, state: &FinalState| {
        keys.get(key).is_some_and(|history| {
            let mut acked = history.acked.iter();
            acked.any(|(_, version)| clocks.defer(*member, state, version))
        })
    };
    let (mut differing, mut deferred) = (0, 0);
    for (member, state) in states.filter(|(_, state)| judged(state)) {
        let found = reasons.found();
        let keys: BTreeSet<_> = base.records.keys().chain(state.records.keys()).collect();
        for key in keys.into_iter().filter(|key| evidence.scope.owns(key)) {
            let (one, other) = (base.records.get(key), state.records.get(key));
            if one != other && (waits(key, first, base) || waits(key, member, state)) {
                deferred += 1;
                continue;
            }
            let what = match (one, other) {
                (Some(_), None) => format!("only on {first}"),
                (None, Some(_)) => format!("only on {member}"),
                (Some(a), Some(b)) if a != b => format!(
                    "{} on {first} and {} on {member}",
                    a.record.text(),
                    b.record.text()
                ),
                _ => continue,
            };
            differing += 1;
            reasons.add(|| format!("{key} is {what}"));
        }
        let same_shown = reasons.found() == found && deferred == 0;
        if !shared && same_shown && base.digest != state.digest {
            let (a, b) = (short(&base.digest), short(&state.digest));
            reasons.add(|| {
                format!(
                    "{first} and {member} show the same records and their digests differ \
                     ({a} and {b}): in a tombstone, or in what a node does not show"
                )
            });
        }
    }
    for (member, state) in &evidence.finals {
        // Whose they are is not known.
        let explained = keys.keys().filter(|key| waits(key, member, state)).count();
        if state.deferred > explained as u64 && !shared {
            reasons.add(|| {
                let writes = count(state.deferred as usize - explained, "write");
                format!("{member} still holds back {writes} stamped in its future")
            });
        }
    }
    if let (Some(busy), true) = (&evidence.not_quiet, reasons.found() > 0) {
        reasons.add(|| format!("the cluster was still busy when it was judged: {busy}"));
    }
    let summary = if differing > 0 {
        format!("{} differ", count(differing, "record"))
    } else {
        let own = base.records.keys().filter(|key| evidence.scope.owns(key));
        let records = count(own.count(), "record");
        let nodes = count(evidence.finals.len(), "node");
        let digest = if shared {
            "digests are others' too".to_owned()
        } else {
            format!("digest {}", short(&base.digest))
        };
        let mut told = format!("{records} on {nodes}, {digest}");
        if deferred > 0 {
            let deferred = count(deferred, "difference");
            told.push_str(&format!("; {deferred} by writes that are not due yet"));
        }
        told
    };
    if reasons.found() > 0 {
        return reasons.finding("replicas", Verdict::Fail, summary);
    }
    // Those that could be read agree; nobody knows about the others.
    for why in &evidence.unread {
        reasons.add(|| why.clone());
    }
    let moving = evidence.finals.iter().filter(|(_, state)| state.moving);
    for (member, _) in moving.filter(|_| !shared) {
        reasons.add(|| format!("{member} went on changing while it was read"));
    }
    reasons.verdict("replicas", Verdict::Unknown, summary)
}

/// Enough of a digest for people to compare.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Run;
    use super::super::keys::by_key;
    use super::*;

    fn judge(evidence: &Evidence) -> Finding {
        super::judge(evidence, &by_key(&evidence.attempts))
    }

    #[test]
    fn what_is_not_due_yet_is_no_difference() {
        let (hour, mut run) = (3_600_000.0, Run::new());
        let ahead = run.create(1, "a", hour);
        run.on(1, "a", &ahead);
        run.final_state(2).deferred = 1;
        run.final_state(3).deferred = 1;
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Pass), "{finding:?}");
        assert!(
            finding
                .summary
                .ends_with("2 differences by writes that are not due yet")
        );
    }

    #[test]
    fn a_record_on_two_of_three_nodes_is_named() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.on(1, "a", &held);
        run.on(2, "a", &held);
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(finding.reasons, ["nodes/a is only on node-1"]);
    }

    #[test]
    fn equal_records_with_unequal_digests_differ_in_what_is_not_shown() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.everywhere("a", &held);
        run.final_state(3).digest = "feed".to_owned();
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert!(finding.reasons[0].contains("tombstone"), "{finding:?}");
    }

    #[test]
    fn a_write_held_back_is_not_agreement() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.everywhere("a", &held);
        run.final_state(2).deferred = 1;
        assert_eq!(judge(&run.evidence()).verdict, Some(Verdict::Fail));
    }

    #[test]
    fn a_node_that_changed_while_it_was_read_is_unknown_not_different() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.on(1, "a", &held);
        run.on(2, "a", &held);
        run.final_state(3).moving = true;
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Unknown));
        assert_eq!(
            finding.reasons,
            ["node-3 went on changing while it was read"]
        );
    }

    #[test]
    fn what_others_write_meanwhile_is_no_difference_of_this_run() {
        let mut run = Run::new();
        run.shared("r7-");
        let held = run.create(1, "r7-1", 10.0);
        run.everywhere("r7-1", &held);
        // Somebody else's write has reached one node only, and another is on its way.
        let theirs = run.version(1, "theirs", 20.0);
        run.on(1, "theirs", &theirs);
        run.final_state(1).moving = true;
        run.final_state(2).deferred = 1;
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Pass), "{finding:?}");

        let mut run = Run::new();
        run.shared("r7-");
        let held = run.create(1, "r7-1", 10.0);
        run.on(1, "r7-1", &held);
        let finding = judge(&run.evidence());
        assert_eq!(
            finding.verdict,
            Some(Verdict::Fail),
            "its own must be identical"
        );
    }

    #[test]
    fn a_node_that_could_not_be_read_leaves_the_run_unknown() {
        let mut evidence = Run::new().evidence();
        evidence.finals.remove(&Member::Node(3));
        evidence.unread = vec!["node-3 could not be read: no answer".to_owned()];
        let finding = judge(&evidence);
        assert_eq!(finding.verdict, Some(Verdict::Unknown));
        assert_eq!(finding.reasons, evidence.unread);
    }

    #[test]
    fn identical_replicas_pass_and_none_at_all_is_unknown() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.everywhere("a", &held);
        assert_eq!(judge(&run.evidence()).verdict, Some(Verdict::Pass));
        assert_eq!(judge(&Evidence::default()).verdict, Some(Verdict::Unknown));
    }
}
