//! A member may only end when somebody ends it.

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
    reasons.verdict("crashes", Verdict::Fail, summary)
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
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.reasons, evidence.crashes);
        assert_eq!(judge(&Evidence::default()).verdict, Verdict::Pass);
    }
}
