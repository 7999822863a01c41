//! Collects why a checker did not pass: bounded in length, honest about what it left out.

use super::Finding;
use crate::snapshot::Verdict;

/// Reasons listed per checker; the rest is counted.
pub const SHOWN_MAX: usize = 10;

/// Reasons found so far.
#[derive(Debug, Default)]
pub struct Reasons {
    shown: Vec<String>,
    found: usize,
}

impl Reasons {
    /// Counts one reason; its text is only made when it will be shown.
    pub fn add(&mut self, reason: impl FnOnce() -> String) {
        self.found += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(reason());
        }
    }

    /// How many there are.
    pub fn found(&self) -> usize {
        self.found
    }

    /// Passes when there is no reason not to, and is `otherwise` when there is.
    pub fn verdict(self, checker: &'static str, otherwise: Verdict, summary: String) -> Finding {
        let verdict = if self.found == 0 {
            Verdict::Pass
        } else {
            otherwise
        };
        self.finding(checker, verdict, summary)
    }

    /// The finding, with what was left out said in its last line.
    pub fn finding(mut self, checker: &'static str, verdict: Verdict, summary: String) -> Finding {
        if self.found > self.shown.len() {
            self.shown
                .push(format!("showing {SHOWN_MAX} of {}", self.found));
        }
        Finding {
            checker,
            verdict: Some(verdict),
            summary,
            reasons: self.shown,
        }
    }
}

/// A checker that had nothing to look at.
pub fn nothing(checker: &'static str, summary: String) -> Finding {
    Finding {
        checker,
        verdict: None,
        summary,
        reasons: Vec::new(),
    }
}

/// `1 write`, `2 writes`: a count with its noun.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said() {
        let mut reasons = Reasons::default();
        for number in 0..50 {
            reasons.add(|| number.to_string());
        }
        let finding = reasons.verdict("x", Verdict::Fail, String::new());
        assert_eq!(finding.verdict, Some(Verdict::Fail));
        assert_eq!(finding.reasons.len(), SHOWN_MAX + 1);
        assert_eq!(finding.reasons.last().unwrap(), "showing 10 of 50");
    }
}
