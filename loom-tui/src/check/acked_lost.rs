//! No acknowledged write may be lost: in the end every node shows it, or a later one.
//!
//! The words are those of set-full ([`super::set_full`]): a write is *stable* when every node ends
//! with it, *lost* when it was seen somewhere and some node ends without it.
//!
//! Where others write too, they may have deleted what this run wrote under an id of theirs: only
//! records with ids of this run's own are judged there.

use std::collections::{BTreeMap, BTreeSet};

use super::deferred::Clocks;
use super::keys::{KeyHistory, name};
use super::reasons::{Reasons, count};
use super::set_full::{Missed, Reads};
use super::version::Version;
use super::{Evidence, Finding, Keys};
use crate::client::Key;
use crate::cluster::Member;
use crate::snapshot::Verdict;

/// Judges every acknowledged write.
pub fn judge(evidence: &Evidence, keys: &Keys<'_>) -> Finding {
    let reads = Reads::of(&evidence.attempts);
    let mut reasons = Reasons::default();
    let (mut stable, mut lost, mut never_read, mut stale) = (0, 0, 0, 0);
    let mut stalest: Option<Missed> = None;
    let clocks = Clocks::of(evidence);
    let mut deferred = Deferred::default();
    let owned = |key: &Key| evidence.scope.owns(key);
    if evidence.finals.is_empty() {
        // Nobody looked: nothing is known to be stable.
        for why in &evidence.unread {
            reasons.add(|| why.clone());
        }
        let acked: usize = keys.values().map(|history| history.acked.len()).sum();
        let writes = count(acked, "acknowledged write");
        let summary = format!("{writes}, and no node's final state could be read");
        return reasons.finding("acked_lost", Verdict::Unknown, summary);
    }
    for (key, history) in keys.iter().filter(|(key, _)| owned(key)) {
        for (attempt, version) in &history.acked {
            let missing: Vec<Member> = evidence
                .finals
                .iter()
                .filter(|(_, state)| {
                    let held = state.records.get(*key).map(Version::from);
                    !survives(version, held.as_ref(), history)
                })
                .map(|(member, _)| *member)
                .collect();
            let missing = deferred.take(missing, key, version, evidence, &clocks);
            if missing.is_empty() {
                stable += 1;
                let missed = reads.missed_after(key, attempt, version, history).max();
                if let Some(missed) = missed {
                    stale += 1;
                    stalest = stalest.max(Some(missed));
                }
                continue;
            }
            let seen = missing.len() < evidence.finals.len() || reads.showed(key, version);
            let word = if seen { "lost" } else { "never-read" };
            *(if seen { &mut lost } else { &mut never_read }) += 1;
            let nodes = missing.iter().map(ToString::to_string).collect::<Vec<_>>();
            reasons.add(|| {
                let (write, nodes) = (name(attempt), nodes.join(", "));
                format!("{write} was acknowledged and is missing on {nodes}: {word}")
            });
        }
    }
    let writes = count(stable + lost + never_read, "acknowledged write");
    let mut summary =
        format!("{writes}: {stable} stable, {lost} lost, {never_read} never-read, {stale} stale");
    if let Some(Missed { late_ns, on }) = stalest {
        let worst_ms = late_ns as f64 / 1e6;
        summary.push_str(&format!(" (worst by {worst_ms:.1} ms on {on})"));
    }
    if let Some(due) = deferred.last_due {
        let writes = count(deferred.writes, "write");
        let due = super::deferred::due(due);
        summary.push_str(&format!(", {writes} of them deferred until {due}"));
    }
    for (member, keys) in &deferred.by_member {
        let held_back = evidence
            .finals
            .get(member)
            .map_or(0, |state| state.deferred);
        if keys.len() as u64 > held_back {
            reasons.add(|| {
                let missing = count(keys.len(), "record");
                format!(
                    "{missing} stamped in the future are missing on {member}, and it holds back only \
                     {held_back}"
                )
            });
        }
    }
    let foreign = keys.keys().filter(|key| !owned(key)).count();
    if foreign > 0 {
        let records = count(foreign, "record");
        summary.push_str(&format!("; {records} with others' ids not judged"));
    }
    if reasons.found() > 0 {
        return reasons.finding("acked_lost", Verdict::Fail, summary);
    }
    // Stable on those that could be read; nobody knows about the others.
    for why in &evidence.unread {
        reasons.add(|| why.clone());
    }
    reasons.verdict("acked_lost", Verdict::Unknown, summary)
}

/// Whether a node that holds `held` still has the effect of a write.
pub(super) fn survives(
    written: &Version,
    held: Option<&Version>,
    history: &KeyHistory<'_>,
) -> bool {
    match held {
        Some(held) => held.contest(written).is_ge(),
        // Absence has no state to compare: some delete must explain it.
        None => {
            written.record.is_none()
                || history.may_exist(None)
                || history
                    .acked
                    .iter()
                    .any(|(_, acked)| acked.record.is_none() && acked.contest(written).is_gt())
        }
    }
}

/// Writes that some node does not show yet because they are stamped in its future.
#[derive(Default)]
struct Deferred<'a> {
    writes: usize,
    by_member: BTreeMap<Member, BTreeSet<&'a Key>>,
    last_due: Option<f64>,
}

impl<'a> Deferred<'a> {
    /// Takes those nodes out of `missing` that may hold the write back.
    fn take(
        &mut self,
        missing: Vec<Member>,
        key: &'a Key,
        version: &Version,
        evidence: &Evidence,
        clocks: &Clocks,
    ) -> Vec<Member> {
        let defers = |member: &Member| {
            let state = evidence.finals.get(member);
            state.is_some_and(|state| clocks.defer(*member, state, version))
        };
        let (waiting, missing): (Vec<_>, Vec<_>) = missing.into_iter().partition(defers);
        if !waiting.is_empty() {
            self.writes += 1;
            self.last_due = Some(self.last_due.unwrap_or(version.state).max(version.state));
        }
        for member in waiting {
            self.by_member.entry(member).or_default().insert(key);
        }
        missing
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
    fn a_write_missing_on_one_node_fails_the_run_and_is_named() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.on(1, "a", &held);
        run.on(2, "a", &held);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(
            finding.reasons,
            ["create nodes/a on node-1 (op 0) was acknowledged and is missing on node-3: lost"]
        );
    }

    #[test]
    fn a_write_nobody_ever_showed_is_never_read() {
        let mut run = Run::new();
        run.create(2, "a", 10.0);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert!(
            finding.summary.contains("1 never-read"),
            "{}",
            finding.summary
        );
    }

    #[test]
    fn an_update_that_did_not_arrive_is_lost_although_the_record_is_there() {
        let mut run = Run::new();
        let old = run.create(1, "a", 10.0);
        let new = run.update(1, "a", 20.0);
        run.everywhere("a", &new);
        run.on(3, "a", &old);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert!(finding.reasons[0].contains("update nodes/a"), "{finding:?}");
        assert!(finding.reasons[0].contains("node-3"), "{finding:?}");
    }

    #[test]
    fn a_record_that_came_back_after_its_delete_is_a_lost_delete() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.delete(2, "a", 20.0);
        run.on(3, "a", &held);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert!(finding.reasons[0].contains("delete nodes/a"), "{finding:?}");
    }

    #[test]
    fn a_later_write_or_delete_replaces_an_earlier_one() {
        let mut run = Run::new();
        run.create(1, "a", 10.0);
        let newer = run.update(2, "a", 20.0);
        run.everywhere("a", &newer);
        run.create(1, "b", 10.0);
        run.delete(3, "b", 20.0);
        run.create(1, "c", 10.0);
        run.unknown(Action::Delete, 1, "c", 20.0);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Pass), "{finding:?}");
        assert!(
            finding
                .summary
                .starts_with("5 acknowledged writes: 5 stable")
        );
    }

    #[test]
    fn a_late_arrival_is_stale_and_passes() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.get(2, "a", None);
        run.get(2, "a", Some(&held));
        run.everywhere("a", &held);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Pass));
        assert!(
            finding
                .summary
                .contains("1 stale (worst by 0.0 ms on node-2)"),
            "{}",
            finding.summary
        );
    }

    /// node-1's clock is an hour ahead; its write is on node-1 only.
    fn ahead(held_back: u64) -> Finding {
        let (hour, mut run) = (3_600_000.0, Run::new());
        let held = run.create(1, "a", hour);
        run.on(1, "a", &held);
        run.final_state(2).deferred = held_back;
        run.final_state(3).deferred = held_back;
        finding(run)
    }

    #[test]
    fn a_write_stamped_in_the_future_is_deferred_until_it_is_due_and_not_lost() {
        let finding = ahead(1);
        assert_eq!(finding.verdict, Some(Verdict::Pass), "{finding:?}");
        assert_eq!(
            finding.summary,
            "1 acknowledged write: 1 stable, 0 lost, 0 never-read, 0 stale, 1 write of them deferred \
             until 1970-01-01T01:00:00Z"
        );
    }

    #[test]
    fn a_write_stamped_in_the_future_that_nobody_holds_back_is_lost() {
        assert_eq!(ahead(0).verdict, Some(Verdict::Fail));
    }

    #[test]
    fn a_write_that_is_due_and_still_held_back_is_lost() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.on(1, "a", &held);
        run.final_state(2).deferred = 1;
        run.final_state(3).deferred = 1;
        assert_eq!(finding(run).verdict, Some(Verdict::Fail));
    }

    #[test]
    fn what_was_deleted_is_not_stale() {
        let mut run = Run::new();
        run.create(1, "a", 10.0);
        run.delete(1, "a", 20.0);
        run.get(2, "a", None);
        let finding = finding(run);
        assert!(finding.summary.contains("0 stale"), "{}", finding.summary);
    }

    #[test]
    fn what_nobody_looked_at_is_not_stable() {
        let mut run = Run::new();
        run.create(1, "a", 10.0);
        let mut evidence = run.evidence();
        evidence.finals.clear();
        evidence.unread = vec!["node-1 could not be read: no answer".to_owned()];
        let finding = judge(&evidence, &by_key(&evidence.attempts));
        assert_eq!(finding.verdict, Some(Verdict::Unknown));
        assert!(!finding.summary.contains("stable"), "{}", finding.summary);

        // Of three nodes, one could not be read.
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.everywhere("a", &held);
        let mut evidence = run.evidence();
        evidence.finals.remove(&Member::Node(3));
        evidence.unread = vec!["node-3 could not be read: no answer".to_owned()];
        let finding = judge(&evidence, &by_key(&evidence.attempts));
        assert_eq!(finding.verdict, Some(Verdict::Unknown));
        assert_eq!(finding.reasons, evidence.unread);
    }

    #[test]
    fn what_others_may_have_deleted_is_not_judged() {
        let mut run = Run::new();
        run.shared("r7-");
        run.create(1, "theirs", 10.0);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Pass));
        assert_eq!(
            finding.summary,
            "0 acknowledged writes: 0 stable, 0 lost, 0 never-read, 0 stale; \
             1 record with others' ids not judged"
        );
    }
}
