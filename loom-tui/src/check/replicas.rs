//! In the end all replicas are identical: equal digests and equal records.

use std::collections::BTreeSet;

use super::reasons::{Reasons, count};
use super::{Evidence, Finding};
use crate::snapshot::Verdict;

/// Compares every node with the first.
pub fn judge(evidence: &Evidence) -> Finding {
    let mut reasons = Reasons::default();
    let mut states = evidence.finals.iter();
    let Some((first, base)) = states.next() else {
        for why in &evidence.unread {
            reasons.add(|| why.clone());
        }
        let summary = "no node's final state could be read".to_owned();
        return reasons.finding("replicas", Verdict::Unknown, summary);
    };
    let mut differing = 0;
    for (member, state) in states {
        let found = reasons.found();
        let keys: BTreeSet<_> = base.records.keys().chain(state.records.keys()).collect();
        for key in keys {
            let what = match (base.records.get(key), state.records.get(key)) {
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
        if reasons.found() == found && base.digest != state.digest {
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
        if state.deferred > 0 {
            reasons.add(|| {
                let writes = count(state.deferred as usize, "write");
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
        let records = count(base.records.len(), "record");
        let nodes = count(evidence.finals.len(), "node");
        format!("{records} on {nodes}, digest {}", short(&base.digest))
    };
    if reasons.found() > 0 || evidence.unread.is_empty() {
        return reasons.verdict("replicas", Verdict::Fail, summary);
    }
    // Those that were read agree; nobody knows about the others.
    for why in &evidence.unread {
        reasons.add(|| why.clone());
    }
    reasons.finding("replicas", Verdict::Unknown, summary)
}

/// Enough of a digest for people to compare.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Run;
    use super::*;

    #[test]
    fn a_record_on_two_of_three_nodes_is_named() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.on(1, "a", &held);
        run.on(2, "a", &held);
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.reasons, ["nodes/a is only on node-1"]);
    }

    #[test]
    fn equal_records_with_unequal_digests_differ_in_what_is_not_shown() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.everywhere("a", &held);
        run.final_state(3).digest = "feed".to_owned();
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.reasons[0].contains("tombstone"), "{finding:?}");
    }

    #[test]
    fn a_write_held_back_is_not_agreement() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.everywhere("a", &held);
        run.final_state(2).deferred = 1;
        assert_eq!(judge(&run.evidence()).verdict, Verdict::Fail);
    }

    #[test]
    fn a_node_that_could_not_be_read_leaves_the_run_unknown() {
        let mut evidence = Run::new().evidence();
        evidence.finals.remove(&crate::cluster::Member::Node(3));
        evidence.unread = vec!["node-3 could not be read: no answer".to_owned()];
        let finding = judge(&evidence);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!(finding.reasons, evidence.unread);
    }

    #[test]
    fn identical_replicas_pass_and_none_at_all_is_unknown() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.everywhere("a", &held);
        assert_eq!(judge(&run.evidence()).verdict, Verdict::Pass);
        assert_eq!(judge(&Evidence::default()).verdict, Verdict::Unknown);
    }
}
