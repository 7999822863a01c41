//! A member may only end when somebody ends it. Events nobody heard may have been such ends.

use super::reasons::{Reasons, count};
use super::{Evidence, Finding};
use crate::snapshot::Verdict;

/// Lists members that ended by themselves.
pub fn judge(evidence: &Evidence) -> Finding {
    let mut reasons = Reasons::default();
    for crash in &evidence.crashes {
        reasons.add(|| crash.clone());
    }
    let summary = format!("{} nobody asked for", count(evidence.crashes.len(), "exit"));
    let verdict = match (evidence.crashes.len(), evidence.events_missed) {
        (0, 0) => Verdict::Pass,
        (0, _) => Verdict::Unknown,
        _ => Verdict::Fail,
    };
    if evidence.events_missed > 0 {
        reasons.add(|| {
            let missed = evidence.events_missed;
            format!("{missed} events of the cluster came too fast to be heard: one may be a crash")
        });
    }
    reasons.finding("crashes", verdict, summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_ended_by_itself_fails_the_run() {
        let evidence = Evidence {
            crashes: vec!["node-2 exited: signal 11 (SIGSEGV)".to_owned()],
            ..Evidence::default()
        };
        let finding = judge(&evidence);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(finding.reasons, evidence.crashes);
        assert_eq!(judge(&Evidence::default()).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn events_nobody_heard_leave_the_run_unknown() {
        let mut evidence = Evidence {
            events_missed: 3,
            ..Evidence::default()
        };
        assert_eq!(judge(&evidence).verdict, Some(Verdict::Unknown));
        evidence.crashes.push("node-2 exited".to_owned());
        assert_eq!(judge(&evidence).verdict, Some(Verdict::Fail));
    }
}
