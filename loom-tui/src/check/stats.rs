//! A run that did nothing proves nothing: each kind of operation must have succeeded once, and
//! something must have been measured.

use std::collections::BTreeMap;

use super::reasons::{Reasons, count};
use super::{Evidence, Finding};
use crate::history::Outcome;
use crate::snapshot::Verdict;

#[derive(Default)]
struct Tally {
    ok: usize,
    refused: usize,
    unknown: usize,
    first_error: Option<String>,
}

/// Counts outcomes by kind of operation.
pub fn judge(evidence: &Evidence) -> Finding {
    let mut tallies: BTreeMap<_, Tally> = BTreeMap::new();
    for attempt in &evidence.attempts {
        let tally = tallies.entry(attempt.action).or_default();
        let error = match &attempt.outcome {
            Outcome::Ok { .. } => {
                tally.ok += 1;
                continue;
            }
            Outcome::Fail(why) => {
                tally.refused += 1;
                why
            }
            Outcome::Unknown(why) => {
                tally.unknown += 1;
                why
            }
        };
        tally.first_error.get_or_insert_with(|| error.clone());
    }
    let mut reasons = Reasons::default();
    for (action, tally) in tallies.iter().filter(|(_, tally)| tally.ok == 0) {
        reasons.add(|| {
            let tried = count(tally.refused + tally.unknown, "try").replace("trys", "tries");
            let first = tally.first_error.as_deref().unwrap_or("no reason given");
            format!("no {action} succeeded in {tried}; the first one: {first}")
        });
    }
    if evidence.overflow {
        reasons.add(|| {
            "there were more writes than the probe can follow: latencies are incomplete".to_owned()
        });
    }
    let sum = |of: fn(&Tally) -> usize| tallies.values().map(of).sum::<usize>();
    let (ok, refused, unknown) = (
        sum(|tally| tally.ok),
        sum(|tally| tally.refused),
        sum(|tally| tally.unknown),
    );
    if !measured(evidence, ok) {
        reasons.add(|| {
            "nothing was measured: no write was acknowledged, and nothing was expected of what \
             was read"
                .to_owned()
        });
    }
    let total = count(ok + refused + unknown, "operation");
    let summary = format!("{total}: {ok} ok, {refused} refused, {unknown} unknown");
    reasons.verdict("stats", Verdict::Unknown, summary)
}

fn measured(evidence: &Evidence, ok: usize) -> bool {
    let claims = &evidence.claims;
    let wrote = evidence
        .attempts
        .iter()
        .any(|attempt| attempt.action.is_write() && attempt.is_ok());
    let claimed = !claims.expectations.is_empty() || !claims.thresholds.is_empty();
    wrote || (ok > 0 && claimed) || claims.samples > 0
}

#[cfg(test)]
mod tests {
    use super::super::Claims;
    use super::super::fixture::Run;
    use super::*;
    use crate::history::Action;

    #[test]
    fn a_run_that_measured_nothing_is_unknown() {
        assert_eq!(judge(&Evidence::default()).verdict, Some(Verdict::Unknown));
        // Reading without expecting anything measures nothing either.
        let mut run = Run::new();
        run.get(1, "a", None);
        *run.claims() = Claims::default();
        assert_eq!(judge(&run.evidence()).verdict, Some(Verdict::Unknown));
        // Nor does expecting without asking the cluster anything.
        assert_eq!(
            judge(&Run::new().evidence()).verdict,
            Some(Verdict::Unknown)
        );
    }

    #[test]
    fn a_kind_of_operation_that_never_succeeded_is_unknown() {
        let mut run = Run::new();
        run.create(1, "a", 10.0);
        run.refused(Action::Patch, 1, "a", 20.0);
        run.unknown(Action::Patch, 1, "a", 20.0);
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Unknown));
        assert_eq!(
            finding.reasons,
            ["no patch succeeded in 2 tries; the first one: 400: no"]
        );
        assert_eq!(finding.summary, "3 operations: 1 ok, 1 refused, 1 unknown");
    }

    #[test]
    fn one_success_of_each_kind_passes() {
        let mut run = Run::new();
        let held = run.create(1, "a", 10.0);
        run.refused(Action::Create, 1, "b", 20.0);
        run.get(1, "a", Some(&held));
        assert_eq!(judge(&run.evidence()).verdict, Some(Verdict::Pass));
    }
}
