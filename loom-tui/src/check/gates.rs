//! Was the interesting state reached? A partition in which nothing was written proves nothing
//! about partitions.
//!
//! Besides the script's own gates, every fault is one: something must have been acknowledged
//! while it lasted.

use std::collections::BTreeMap;

use super::reasons::{Reasons, count};
use super::{Evidence, Finding};
use crate::cluster::Member;
use crate::history::Action;
use crate::history::attempts::Fault;
use crate::snapshot::Verdict;

/// Judges the script's gates and the ones every fault brings.
pub fn judge(evidence: &Evidence) -> Finding {
    let mut reasons = Reasons::default();
    for gate in evidence.claims.gates.iter().filter(|gate| !gate.held) {
        reasons.add(|| format!("not reached: {}", gate.text));
    }
    for fault in evidence.faults.iter().filter(|fault| fault.error.is_some()) {
        reasons.add(|| {
            let why = fault.error.as_deref().unwrap_or_default();
            format!("{} was not done: {why}", describe(fault))
        });
    }
    // Of several faults of one kind, one that was written under is enough.
    let mut kinds: BTreeMap<Action, Vec<Span<'_>>> = BTreeMap::new();
    for span in spans(&evidence.faults) {
        kinds.entry(span.fault.action).or_default().push(span);
    }
    for spans in kinds.values() {
        if !spans.iter().any(|span| was_written_under(evidence, span)) {
            reasons.add(|| {
                let fault = describe(spans[0].fault);
                format!("nothing was acknowledged while this lasted: {fault}")
            });
        }
    }
    let gates = evidence.claims.gates.len() + kinds.len();
    let summary = format!("{}, {} not reached", count(gates, "gate"), reasons.found());
    reasons.verdict("gates", Verdict::Unknown, summary)
}

/// A lasting fault from when it took hold to when it ended.
struct Span<'a> {
    fault: &'a Fault,
    until: u64,
}

fn spans(faults: &[Fault]) -> Vec<Span<'_>> {
    let mut spans: Vec<Span<'_>> = Vec::new();
    let mut open: BTreeMap<(Option<Member>, Action), usize> = BTreeMap::new();
    for fault in faults.iter().filter(|fault| fault.error.is_none()) {
        let ended: &[Action] = match fault.action {
            Action::Heal => &[Action::Cut, Action::Degrade],
            Action::ResetClock => &[Action::BumpClock],
            Action::HealAll => &[
                Action::Cut,
                Action::Degrade,
                Action::Suspend,
                Action::BumpClock,
            ],
            Action::Start => &[Action::Kill, Action::Stop],
            // What is frozen ends with its process.
            Action::Restart => &[Action::Kill, Action::Stop, Action::Suspend],
            Action::Resume | Action::Kill | Action::Stop => &[Action::Suspend],
            _ => &[],
        };
        open.retain(|(member, action), at| {
            let ends = ended.contains(action)
                && (fault.member == *member || fault.action == Action::HealAll);
            if ends {
                spans[*at].until = fault.time;
            }
            !ends
        });
        if matches!(
            fault.action,
            Action::Cut
                | Action::Degrade
                | Action::Kill
                | Action::Stop
                | Action::Suspend
                | Action::BumpClock
        ) {
            // The same once more is a fault of its own; what ends it ends both.
            if let Some(earlier) = open.insert((fault.member, fault.action), spans.len()) {
                spans[earlier].until = fault.time;
            }
            spans.push(Span {
                fault,
                until: u64::MAX,
            });
        }
    }
    spans
}

fn was_written_under(evidence: &Evidence, span: &Span<'_>) -> bool {
    evidence.attempts.iter().any(|attempt| {
        attempt.action.is_write()
            && attempt.is_ok()
            && attempt.ended.is_some_and(|ended| ended >= span.fault.time)
            && attempt.began <= span.until
    })
}

fn describe(fault: &Fault) -> String {
    match fault.member {
        Some(member) => format!("{} {member}", fault.action),
        None => fault.action.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Expectation;
    use super::super::fixture::Run;
    use super::*;

    #[test]
    fn a_partition_in_which_nothing_was_written_is_unknown() {
        let mut run = Run::new();
        run.create(1, "before", 10.0);
        run.fault(Action::Cut, 2);
        run.fault(Action::Heal, 2);
        run.create(1, "after", 20.0);
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Unknown));
        assert_eq!(
            finding.reasons,
            ["nothing was acknowledged while this lasted: cut node-2"]
        );
    }

    #[test]
    fn a_partition_that_was_written_under_passes() {
        let mut run = Run::new();
        run.fault(Action::Cut, 2);
        run.create(1, "during", 10.0);
        run.fault(Action::Heal, 2);
        run.fault(Action::Kill, 3);
        run.create(1, "after", 20.0);
        assert_eq!(judge(&run.evidence()).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn a_fault_made_twice_ends_with_its_heal_and_what_came_after_was_not_under_it() {
        let mut run = Run::new();
        run.fault(Action::Cut, 2);
        run.fault(Action::Cut, 2);
        run.fault(Action::Heal, 2);
        run.create(1, "after", 10.0);
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Unknown));

        // Between the two is under the first.
        let mut run = Run::new();
        run.fault(Action::Cut, 2);
        run.create(1, "during", 10.0);
        run.fault(Action::Cut, 2);
        run.fault(Action::Heal, 2);
        assert_eq!(judge(&run.evidence()).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn a_frozen_member_is_frozen_until_it_is_killed_stopped_or_restarted() {
        for ended in [Action::Kill, Action::Stop, Action::Restart] {
            let mut run = Run::new();
            run.fault(Action::Suspend, 2);
            run.fault(ended, 2);
            run.create(1, "it is not frozen any more", 10.0);
            run.fault(Action::Start, 2);
            let finding = judge(&run.evidence());
            assert_eq!(finding.verdict, Some(Verdict::Unknown), "{ended}");
            assert_eq!(
                finding.reasons,
                ["nothing was acknowledged while this lasted: suspend node-2"]
            );
        }
    }

    #[test]
    fn a_fault_that_was_not_done_is_unknown() {
        let mut run = Run::new();
        run.fault(Action::Cut, 2);
        run.create(1, "during", 10.0);
        let mut evidence = run.evidence();
        evidence.faults[0].error = Some("no such link".to_owned());
        assert_eq!(judge(&evidence).verdict, Some(Verdict::Unknown));
    }

    #[test]
    fn a_closed_gate_of_the_script_is_unknown() {
        let mut run = Run::new();
        run.claims().gates.push(Expectation {
            text: "both sides conflicted".to_owned(),
            held: false,
            place: None,
        });
        let finding = judge(&run.evidence());
        assert_eq!(finding.verdict, Some(Verdict::Unknown));
        assert_eq!(finding.reasons, ["not reached: both sides conflicted"]);
    }
}
