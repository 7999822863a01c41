//! What the script itself claimed: expectations, thresholds, and that it came to its end.

use std::cmp::Ordering;

use super::reasons::{Reasons, count};
use super::{Comparison, Evidence, Finding, Stopped, Threshold};
use crate::snapshot::Verdict;

/// Judges expectations and thresholds.
pub fn judge(evidence: &Evidence) -> Finding {
    let claims = &evidence.claims;
    let mut reasons = Reasons::default();
    let mut verdict = Verdict::Pass;
    for claim in claims.expectations.iter().filter(|claim| !claim.held) {
        verdict = verdict.max(Verdict::Fail);
        reasons.add(|| match &claim.place {
            Some(place) => format!("expected: {} ({place})", claim.text),
            None => format!("expected: {}", claim.text),
        });
    }
    for threshold in &claims.thresholds {
        let judged = threshold.verdict();
        verdict = verdict.max(judged);
        if judged != Verdict::Pass {
            reasons.add(|| threshold.to_string());
        }
    }
    if let Some((stop, reason)) = claims.stopped.as_ref().and_then(stopped) {
        verdict = verdict.max(stop);
        reasons.add(|| reason);
    }
    let summary = format!(
        "{}, {}",
        count(claims.expectations.len(), "expectation"),
        count(claims.thresholds.len(), "threshold")
    );
    reasons.finding("claims", verdict, summary)
}

fn stopped(stopped: &Stopped) -> Option<(Verdict, String)> {
    match stopped {
        // Counted among the expectations.
        Stopped::Claim => None,
        Stopped::Cluster(why) => Some((
            Verdict::Unknown,
            format!("the script did not come to its end: {why}"),
        )),
        Stopped::Skipped(why) => Some((Verdict::Unknown, format!("skipped: {why}"))),
        Stopped::Thrown(why) => Some((Verdict::Fail, format!("the script threw: {why}"))),
        Stopped::Mistake(why) => Some((Verdict::Unknown, format!("mistake in the script: {why}"))),
        Stopped::Cancelled => Some((
            Verdict::Unknown,
            "the script was stopped before its end".to_owned(),
        )),
    }
}

impl Threshold {
    /// Whether the number is where it must be; unknown when there is no number.
    pub fn verdict(&self) -> Verdict {
        match self.value.filter(|value| value.is_finite()) {
            None => Verdict::Unknown,
            Some(value) if self.op.holds(value, self.limit) => Verdict::Pass,
            Some(_) => Verdict::Fail,
        }
    }
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name, limit, unit, ..
        } = self;
        let op = self.op;
        match self.value.filter(|value| value.is_finite()) {
            Some(value) => write!(f, "{name} is {}", amount(value, unit))?,
            None => write!(f, "{name} was not measured")?,
        }
        write!(f, ", must be {op} {}", amount(*limit, unit))
    }
}

/// A number to the third decimal, with its unit if it has one.
fn amount(value: f64, unit: &str) -> String {
    let digits = format!("{value:.3}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits} {unit}").trim_end().to_owned()
}

impl Comparison {
    /// Reads `<`, `<=`, `>`, `>=` or `==`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<" => Self::Below,
            "<=" => Self::AtMost,
            ">" => Self::Above,
            ">=" => Self::AtLeast,
            "==" => Self::Equal,
            _ => return None,
        })
    }

    /// Which of two numbers is the worse one to compare with `limit`: greater is worse. One that
    /// breaks it is worse than none at all, and that is worse than one that keeps it.
    pub fn worse(self, limit: f64, a: f64, b: f64) -> Ordering {
        let beyond = |value: f64| match self {
            Self::Below | Self::AtMost => value - limit,
            Self::Above | Self::AtLeast => limit - value,
            Self::Equal => (value - limit).abs(),
        };
        let rank = |value: f64| match value.is_finite() {
            true if self.holds(value, limit) => 0,
            false => 1,
            true => 2,
        };
        let by_rank = rank(a).cmp(&rank(b));
        by_rank.then(beyond(a).total_cmp(&beyond(b)))
    }

    /// Whether the comparison is true of two numbers.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Equal => value == limit,
        }
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Run;
    use super::super::{Claims, Expectation};
    use super::*;

    fn threshold(value: Option<f64>) -> Threshold {
        Threshold {
            name: "p99".to_owned(),
            value,
            op: Comparison::Below,
            limit: 2_000.0,
            unit: "ms".to_owned(),
        }
    }

    fn finding(claims: Claims) -> Finding {
        let mut run = Run::new();
        *run.claims() = claims;
        judge(&run.evidence())
    }

    #[test]
    fn a_broken_expectation_fails_and_says_where() {
        let finding = finding(Claims {
            expectations: vec![Expectation {
                text: "all nodes see it".to_owned(),
                held: false,
                place: Some("a.rhai:3:1".to_owned()),
            }],
            ..Claims::default()
        });
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(finding.reasons, ["expected: all nodes see it (a.rhai:3:1)"]);
    }

    #[test]
    fn a_threshold_without_a_measurement_is_unknown_not_a_pass() {
        for (value, verdict) in [
            (Some(1.5), Verdict::Pass),
            (Some(2_000.0), Verdict::Fail),
            (Some(f64::NAN), Verdict::Unknown),
            (None, Verdict::Unknown),
        ] {
            let finding = finding(Claims {
                thresholds: vec![threshold(value)],
                ..Claims::default()
            });
            assert_eq!(finding.verdict, Some(verdict), "{value:?}");
        }
    }

    #[test]
    fn the_worst_of_several_numbers_is_the_one_that_is_judged() {
        let nan = f64::NAN;
        for (op, limit, measured, worst) in [
            (Comparison::Below, 2.0, [1.0, 50.0, 1.5], 50.0),
            (Comparison::AtMost, 2.0, [2.0, 1.0, 0.5], 2.0),
            (Comparison::AtLeast, 2.0, [9.0, 1.0, 3.0], 1.0),
            (Comparison::Above, 2.0, [9.0, 4.0, 3.0], 3.0),
            (Comparison::Equal, 2.0, [2.0, 1.5, 3.0], 3.0),
            (Comparison::Below, 2.0, [nan, 1.0, 5.0], 5.0),
        ] {
            let found = measured.into_iter().max_by(|a, b| op.worse(limit, *a, *b));
            assert_eq!(found, Some(worst), "{op} {limit}: {measured:?}");
        }
        let found = [1.0, nan]
            .into_iter()
            .max_by(|a, b| Comparison::Below.worse(2.0, *a, *b));
        assert!(
            found.unwrap().is_nan(),
            "what was not measured hides behind nothing"
        );
    }

    #[test]
    fn a_threshold_is_told_with_its_number_and_its_limit() {
        let told = threshold(Some(2_500.123_456)).to_string();
        assert_eq!(told, "p99 is 2500.123 ms, must be < 2000 ms");
        let told = threshold(None).to_string();
        assert_eq!(told, "p99 was not measured, must be < 2000 ms");
    }

    #[test]
    fn a_script_that_did_not_end_never_passes() {
        for (stopped, verdict) in [
            (
                Stopped::Cluster("node-2 did not answer".to_owned()),
                Verdict::Unknown,
            ),
            (Stopped::Skipped("no socket".to_owned()), Verdict::Unknown),
            (Stopped::Thrown("lost".to_owned()), Verdict::Fail),
            (Stopped::Mistake("a.rhai:1:1".to_owned()), Verdict::Unknown),
            (Stopped::Cancelled, Verdict::Unknown),
        ] {
            let finding = finding(Claims {
                stopped: Some(stopped),
                ..Claims::default()
            });
            assert_eq!(finding.verdict, Some(verdict), "{finding:?}");
            assert_eq!(finding.reasons.len(), 1);
        }
    }
}
