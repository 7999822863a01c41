//! Nothing may be there that nobody wrote.
//!
//! On a cluster others use too, only records with this run's prefix are judged; the rest is
//! counted and said.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::made;
use super::reasons::{Reasons, count};
use super::version::Version;
use super::{Evidence, Finding, Keys};
use crate::client::{Json, Key};
use crate::cluster::Member;
use crate::snapshot::Verdict;

/// Looks for the origin of every record on every node.
pub fn judge(evidence: &Evidence, keys: &Keys<'_>) -> Finding {
    let mut invented: BTreeMap<(&Key, &str), Vec<Member>> = BTreeMap::new();
    let mut foreign: BTreeSet<&Key> = BTreeSet::new();
    let mut judged: BTreeSet<&Key> = BTreeSet::new();
    for (member, state) in &evidence.finals {
        for (key, held) in &state.records {
            if !evidence.scope.owns(key) {
                foreign.insert(key);
                continue;
            }
            judged.insert(key);
            if !is_explained(key, &Version::from(held), &held.record, keys) {
                let nodes = invented.entry((key, held.record.text())).or_default();
                nodes.push(*member);
            }
        }
    }
    let mut reasons = Reasons::default();
    for ((key, record), nodes) in &invented {
        reasons.add(|| {
            let nodes = nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
            let what = if keys.contains_key(key) {
                "holds a value nobody wrote"
            } else {
                "was written by nobody"
            };
            format!("{key} on {} {what}: {record}", nodes.join(", "))
        });
    }
    let mut summary = format!(
        "{} judged, {} invented",
        count(judged.len(), "record"),
        invented.len()
    );
    if !foreign.is_empty() {
        summary.push_str(&format!(
            "; {} of others not judged",
            count(foreign.len(), "record")
        ));
    }
    reasons.verdict("invented", Verdict::Fail, summary)
}

fn is_explained(key: &Key, version: &Version, record: &Json, keys: &Keys<'_>) -> bool {
    keys.get(key).is_some_and(|history| {
        history.was_acked(version)
            || history.may_exist(Some(record))
            // Refused and yet there: `refused_seen` reports that.
            || history.refused.iter().any(|write| made(write, Some(record)))
    })
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
    fn a_record_nobody_wrote_fails_the_run() {
        let mut run = Run::new();
        let held = run.version(2, "ghost", 10.0);
        run.on(2, "ghost", &held);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert!(finding.reasons[0].starts_with("nodes/ghost on node-2 was written by nobody"));
    }

    #[test]
    fn a_value_nobody_wrote_fails_the_run() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        let other = run.version(1, "a", 11.0);
        run.everywhere("a", &held);
        run.on(3, "a", &other);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert!(finding.reasons[0].contains("holds a value nobody wrote"));
    }

    #[test]
    fn an_acknowledged_value_at_a_state_nobody_stamped_is_invented() {
        let mut run = Run::new();
        let mut held = run.create(1, "a", 10.0);
        held.state = 12.0;
        run.everywhere("a", &held);
        assert_eq!(finding(run).verdict, Some(Verdict::Fail));
    }

    #[test]
    fn a_write_without_an_answer_may_be_there() {
        let mut run = Run::new();
        let held = run.unknown(Action::Create, 1, "a", 10.0);
        run.everywhere("a", &held);
        assert_eq!(finding(run).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn records_of_others_are_counted_not_judged() {
        let mut run = Run::new();
        run.shared("r7-");
        let held = run.create(1, "r7-1", 10.0);
        run.everywhere("r7-1", &held);
        let theirs = run.version(1, "theirs", 10.0);
        run.everywhere("theirs", &theirs);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Pass));
        assert_eq!(
            finding.summary,
            "1 record judged, 0 invented; 1 record of others not judged"
        );
    }
}
