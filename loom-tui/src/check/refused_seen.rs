//! A refused write must not be there: a definite "no" that lied.

use super::keys::{made, name};
use super::reasons::{Reasons, count};
use super::version::Version;
use super::{Evidence, Finding, Keys};
use crate::snapshot::Verdict;

/// Looks for every refused write on every node.
pub fn judge(evidence: &Evidence, keys: &Keys<'_>) -> Finding {
    let mut reasons = Reasons::default();
    let mut refused = 0;
    for (key, history) in keys {
        refused += history.refused.len();
        for write in &history.refused {
            let shown: Vec<String> = evidence
                .finals
                .iter()
                .filter(|(_, state)| {
                    state.records.get(*key).is_some_and(|held| {
                        made(write, Some(&held.record))
                            && !history.was_acked(&Version::from(held))
                            && !history.may_exist(Some(&held.record))
                    })
                })
                .map(|(member, _)| member.to_string())
                .collect();
            if !shown.is_empty() {
                reasons.add(|| {
                    let nodes = shown.join(", ");
                    format!("{} was refused and is there on {nodes}", name(write))
                });
            }
        }
    }
    let summary = format!(
        "{}, {} seen",
        count(refused, "refused write"),
        reasons.found()
    );
    reasons.verdict("refused_seen", Verdict::Fail, summary)
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
    fn a_refused_write_that_is_there_fails_the_run() {
        let mut run = Run::new();
        let held = run.refused(Action::Create, 1, "a", 10.0);
        run.on(2, "a", &held);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(
            finding.reasons,
            ["create nodes/a on node-1 (op 0) was refused and is there on node-2"]
        );
    }

    #[test]
    fn a_refused_write_that_is_not_there_passes() {
        let mut run = Run::new();
        run.refused(Action::Create, 1, "a", 10.0);
        let held = run.create(1, "a", 20.0);
        run.everywhere("a", &held);
        let finding = finding(run);
        assert_eq!(finding.verdict, Some(Verdict::Pass));
        assert_eq!(finding.summary, "1 refused write, 0 seen");
    }
}
