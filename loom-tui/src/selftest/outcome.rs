//! What a selftest came to, for people and for programs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::cases::Case;
use crate::check::Finding;
use crate::check::reasons::count;
use crate::report::Report;
use crate::report::table::millis;
use crate::snapshot::Verdict;

/// Characters of what a checker said that a line shows; records can be long.
const SAID_CHARS: usize = 120;

/// One planted bug.
#[derive(Clone, Debug, Serialize)]
pub struct Caught {
    /// Its name.
    pub bug: &'static str,
    /// Whether every checker that must find it did.
    pub caught: bool,
    /// Those checkers, each with what it came to.
    pub checkers: Vec<Found>,
    /// What they had to come to.
    pub expected: Verdict,
    /// Other checkers that did not pass: a bug may break more than one promise.
    pub also: Vec<&'static str>,
    /// How long it took.
    pub took_ms: f64,
    /// Where the evidence is.
    pub folder: PathBuf,
}

/// One checker and what it said of a bug.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Which.
    pub checker: &'static str,
    /// What it came to; `None` when it had nothing to look at.
    pub verdict: Option<Verdict>,
    /// Whether that is what it must come to, for the reason it must give.
    pub caught: bool,
    /// That reason, else its first one, or what it looked at.
    pub said: String,
}

/// One run in which nothing was wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Clean {
    /// What was played.
    pub script: &'static str,
    /// Why it did not pass; `None` when it did.
    pub alarm: Option<String>,
    /// How long it took.
    pub took_ms: f64,
    /// Where the evidence is.
    pub folder: PathBuf,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Selftest {
    /// Bugs that were planted.
    pub planted: usize,
    /// Those that were caught by every checker that must.
    pub caught: usize,
    /// Runs without a bug.
    pub clean_runs: usize,
    /// Those that did not pass.
    pub false_alarms: usize,
    /// How long everything took.
    pub took_ms: f64,
    /// Every bug.
    pub bugs: Vec<Caught>,
    /// Every clean run.
    pub clean: Vec<Clean>,
    /// Where the evidence is.
    pub folder: PathBuf,
}

impl Caught {
    /// Looks for the findings of the checkers that a case names.
    pub fn judge(case: Case, report: &Report, took: Duration) -> Self {
        let finding = |checker| {
            let mut findings = report.findings.iter();
            findings.find(|finding| finding.checker == checker)
        };
        let checkers = case.checkers.iter();
        let checkers: Vec<Found> = checkers
            .map(|checker| Found::judge(case, checker, finding(*checker)))
            .collect();
        let others = report.findings.iter().filter(|finding| {
            let passed = finding
                .verdict
                .is_none_or(|verdict| verdict == Verdict::Pass);
            !passed && !case.checkers.contains(&finding.checker)
        });
        Self {
            bug: case.name,
            caught: checkers.iter().all(|found| found.caught),
            checkers,
            expected: case.verdict,
            also: others.map(|finding| finding.checker).collect(),
            took_ms: took.as_secs_f64() * 1_000.0,
            folder: report.folder.clone(),
        }
    }
}

impl Found {
    fn judge(case: Case, checker: &'static str, finding: Option<&Finding>) -> Self {
        let Some(finding) = finding else {
            return Self {
                checker,
                verdict: None,
                caught: false,
                said: String::new(),
            };
        };
        let says = |reason: &&String| case.saying.is_none_or(|words| reason.contains(words));
        let wanted = finding.reasons.iter().find(says);
        let said = wanted.or(finding.reasons.first());
        let said = said.unwrap_or(&finding.summary).lines().next();
        Self {
            checker,
            verdict: finding.verdict,
            caught: finding.verdict == Some(case.verdict)
                && (case.saying.is_none() || wanted.is_some()),
            said: said.unwrap_or_default().to_owned(),
        }
    }
}

impl Selftest {
    /// Counts.
    pub fn of(bugs: Vec<Caught>, clean: Vec<Clean>, took: Duration, folder: PathBuf) -> Self {
        Self {
            planted: bugs.len(),
            caught: bugs.iter().filter(|bug| bug.caught).count(),
            clean_runs: clean.len(),
            false_alarms: clean.iter().filter(|run| run.alarm.is_some()).count(),
            took_ms: took.as_secs_f64() * 1_000.0,
            bugs,
            clean,
            folder,
        }
    }

    /// Whether everything planted was caught and nothing else.
    pub fn passed(&self) -> bool {
        self.caught == self.planted && self.false_alarms == 0
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for bug in &self.bugs {
            text.push_str(&bug.line());
        }
        for run in self.clean.iter().filter(|run| run.alarm.is_some()) {
            text.push_str(&run.line());
        }
        let Self {
            planted,
            caught,
            clean_runs,
            false_alarms,
            ..
        } = self;
        let took = millis(self.took_ms);
        let _ = writeln!(
            text,
            "{caught} of {planted} planted bugs caught, each by the checker that must"
        );
        let alarms = count(*false_alarms, "false alarm");
        let runs = count(*clean_runs, "clean run");
        let _ = writeln!(text, "{alarms} in {runs}");
        let _ = writeln!(text, "  evidence: {}", self.folder.display());
        let verdict = match self.passed() {
            true => "PASS selftest",
            false => "FAIL selftest",
        };
        let _ = writeln!(text, "{verdict} in {took}");
        text
    }
}

impl Caught {
    /// One line per checker.
    pub fn line(&self) -> String {
        let mut text = String::new();
        for (number, found) in self.checkers.iter().enumerate() {
            let bug = if number == 0 { self.bug } else { "" };
            let word = if found.caught { "caught" } else { "MISSED" };
            let _ = writeln!(
                text,
                "{word}  {bug:<18} {:<16} {}",
                found.checker,
                shortened(&found.said)
            );
        }
        if !self.caught {
            let _ = writeln!(text, "        evidence: {}", self.folder.display());
        }
        text
    }
}

impl Clean {
    /// One line.
    pub fn line(&self) -> String {
        let folder = self.folder.display();
        match &self.alarm {
            None => format!("clean   {:<18} passed\n", self.script),
            Some(why) => format!(
                "ALARM   {:<18} {why}\n        evidence: {folder}\n",
                self.script
            ),
        }
    }
}

fn shortened(said: &str) -> String {
    match said.char_indices().nth(SAID_CHARS) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::report;
    use crate::selftest::cases::CASES;

    /// What a case that `acked_lost` must find comes to when that checker says this.
    fn judged(said: Verdict) -> Caught {
        let case = CASES.iter().find(|case| case.checkers == ["acked_lost"]);
        let case = *case.expect("one of the first cases");
        let mut report = report(case.name, said, &["nodes/a is missing", "and more"]);
        let mut other = report.findings[0].clone();
        other.checker = "winner";
        other.verdict = Some(Verdict::Fail);
        report.findings.push(other);
        Caught::judge(case, &report, Duration::from_secs(1))
    }

    fn clean(alarm: Option<&str>) -> Clean {
        Clean {
            script: "writes",
            alarm: alarm.map(str::to_owned),
            took_ms: 1.0,
            folder: PathBuf::new(),
        }
    }

    fn passed(bug: Verdict, alarm: Option<&str>) -> (bool, String) {
        let all = Selftest::of(
            vec![judged(bug)],
            vec![clean(alarm)],
            Duration::from_secs(1),
            PathBuf::new(),
        );
        (all.passed(), all.table())
    }

    #[test]
    fn a_bug_that_only_another_checker_found_is_missed() {
        for verdict in [Verdict::Pass, Verdict::Unknown] {
            let missed = judged(verdict);
            assert!(!missed.caught);
            assert_eq!(missed.also, ["winner"]);
            assert!(missed.line().starts_with("MISSED  lose-acked"));
            assert!(!passed(verdict, None).0);
        }
        let caught = judged(Verdict::Fail);
        assert!(caught.caught);
        assert_eq!(caught.checkers[0].said, "nodes/a is missing");
    }

    #[test]
    fn a_bug_that_was_taken_for_another_kind_is_missed() {
        let late = CASES.iter().find(|case| case.name == "deliver-late");
        let late = *late.expect("one of the cases");
        let judged = |reasons: &[&str]| {
            let mut report = report(late.name, Verdict::Fail, reasons);
            report.findings[0].checker = "convergence";
            Caught::judge(late, &report, Duration::from_secs(1))
        };
        let stuck = "nodes/a on node-2 arrived only after another write: stuck until nudged";
        let missed = judged(&["agreement took 6 s", stuck]);
        assert!(!missed.caught && missed.line().starts_with("MISSED  deliver-late"));
        let slow = "nodes/a on node-2 arrived by itself, but late: slow";
        let caught = judged(&["agreement took 6 s", slow]);
        assert!(caught.caught && caught.checkers[0].said == slow);
    }

    #[test]
    fn one_false_alarm_fails_it_all() {
        let (is_passed, table) = passed(Verdict::Fail, None);
        assert!(is_passed && table.contains("0 false alarms in 1 clean run\n"));
        assert!(table.contains("1 of 1 planted bugs caught"), "{table}");
        let (is_passed, table) = passed(Verdict::Fail, Some("replicas: differ"));
        assert!(!is_passed && table.contains("1 false alarm in 1 clean run\n"));
        assert!(table.contains("ALARM   writes             replicas: differ"));
    }
}
