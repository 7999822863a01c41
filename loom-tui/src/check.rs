//! Judges a run: pure functions over what was done and what each node holds in the end.
//!
//! [`judge`] is the one door. Every checker looks for one way in which a cluster can break its
//! word; each has a test with that very fault planted. The verdict of a run is the worst of them.

pub mod acked_lost;
pub mod claims;
pub mod convergence;
pub mod crashes;
pub mod deferred;
pub mod gates;
pub mod invented;
pub mod keys;
pub mod reasons;
pub mod refused_seen;
pub mod replicas;
pub mod sessions;
pub mod set_full;
pub mod stats;
pub mod version;
pub mod winner;

#[cfg(test)]
mod fixture;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::Key;
use crate::cluster::Member;
use crate::history::Attempt;
use crate::history::attempts::Fault;
use crate::snapshot::Verdict;
use convergence::Convergence;
use keys::KeyHistory;
use version::Held;

/// Everything a verdict is based on.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Every operation of every client, oldest first.
    pub attempts: Vec<Attempt>,
    /// Every fault, oldest first.
    pub faults: Vec<Fault>,
    /// What each node held after the cluster was healed and quiet.
    pub finals: BTreeMap<Member, FinalState>,
    /// Nodes whose final state could not be read, and why.
    pub unread: Vec<String>,
    /// Whose records these are.
    pub scope: Scope,
    /// What the script itself claimed and measured.
    pub claims: Claims,
    /// Members that ended although nobody asked for it: who, and how.
    pub crashes: Vec<String>,
    /// Events of the cluster that nobody heard: one may have been a crash.
    pub events_missed: u64,
    /// Why the cluster was still busy when the final states were read; `None` when it was quiet.
    pub not_quiet: Option<String>,
    /// Whether there were more writes than could be followed.
    pub overflow: bool,
    /// When and how the nodes came to agree.
    pub convergence: Convergence,
    /// The wall clock when the history began, in milliseconds since the Unix epoch.
    pub epoch_ms: f64,
}

/// What one node held in the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinalState {
    /// Its own hash over everything, tombstones included.
    pub digest: String,
    /// Every record it showed.
    pub records: BTreeMap<Key, Held>,
    /// Writes it holds back because they are stamped in its future.
    pub deferred: u64,
    /// Whether it went on changing however often it was read: then digest and records are not of
    /// one moment.
    pub moving: bool,
    /// The wall clock here when it was read, in milliseconds since the Unix epoch.
    pub read_at_ms: f64,
}

/// Whose records are in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Only this run's: the cluster was empty when the run began.
    #[default]
    Fresh,
    /// Others' too. This run's own ids begin with the prefix; only those are judged.
    Shared {
        /// What this run's generated ids begin with.
        prefix: String,
    },
}

impl Scope {
    /// Whether nobody but this run writes the record.
    pub fn owns(&self, key: &Key) -> bool {
        match self {
            Self::Fresh => true,
            Self::Shared { prefix } => key.id.starts_with(prefix.as_str()),
        }
    }
}

/// What the script itself claimed and measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// `expect`, `await_*` and the like: what was expected and whether it held.
    pub expectations: Vec<Expectation>,
    /// `threshold` and `expect_below`.
    pub thresholds: Vec<Threshold>,
    /// `gate`: whether the interesting state was reached.
    pub gates: Vec<Expectation>,
    /// Why the script did not come to its end.
    pub stopped: Option<Stopped>,
    /// Latency samples taken.
    pub samples: u64,
}

/// Something that should hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expectation {
    /// In the script's words.
    pub text: String,
    /// Whether it did.
    pub held: bool,
    /// `file.rhai:12:5`, where the script said so.
    #[serde(rename = "where")]
    pub place: Option<String>,
}

/// A measured number and its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// What was measured.
    pub name: String,
    /// `None` when nothing was measured: that is unknown, never a pass.
    pub value: Option<f64>,
    /// How they must compare.
    pub op: Comparison,
    /// With what.
    pub limit: f64,
    /// `ms`, `ops/s`, ….
    pub unit: String,
}

/// How a measured number must compare with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Comparison {
    /// Less than.
    #[serde(rename = "<")]
    Below,
    /// At most.
    #[serde(rename = "<=")]
    AtMost,
    /// More than.
    #[serde(rename = ">")]
    Above,
    /// At least.
    #[serde(rename = ">=")]
    AtLeast,
    /// Exactly.
    #[serde(rename = "==")]
    Equal,
}

/// Why a script did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Something it claims did not hold; the reason is among the expectations already.
    Claim,
    /// The cluster refused or did not answer, and the script did not handle it.
    Cluster(String),
    /// It needs a fault, and this cluster can only be watched: which fault, and what it would take.
    Skipped(String),
    /// It threw an error of its own: it says that the run failed.
    Thrown(String),
    /// A mistake in the script: message with its place.
    Mistake(String),
    /// Somebody stopped it.
    Cancelled,
}

/// What one checker found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which checker.
    pub checker: &'static str,
    /// Its verdict; `None` when there was nothing for it to look at, which is no pass.
    pub verdict: Option<Verdict>,
    /// What it looked at and found, in one line.
    pub summary: String,
    /// Why it did not pass: at most [`reasons::SHOWN_MAX`], naming keys, operations and nodes.
    pub reasons: Vec<String>,
}

/// Runs every checker, in the order they are worth reading.
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    let keys = keys::by_key(&evidence.attempts);
    vec![
        claims::judge(evidence),
        acked_lost::judge(evidence, &keys),
        convergence::judge(evidence, &keys),
        replicas::judge(evidence, &keys),
        winner::judge(evidence, &keys),
        sessions::read_your_writes(evidence, &keys),
        sessions::monotonic_reads(evidence, &keys),
        invented::judge(evidence, &keys),
        refused_seen::judge(evidence, &keys),
        crashes::judge(evidence),
        stats::judge(evidence),
        gates::judge(evidence),
    ]
}

/// The worst verdict of several; nothing judged proves nothing.
pub fn worst(findings: &[Finding]) -> Verdict {
    findings
        .iter()
        .filter_map(|finding| finding.verdict)
        .max()
        .unwrap_or(Verdict::Unknown)
}

/// What is known about every record somebody wrote.
pub type Keys<'a> = BTreeMap<&'a Key, KeyHistory<'a>>;

#[cfg(test)]
mod tests {
    use super::*;
    use fixture::Run;

    #[test]
    fn a_clean_run_passes_every_checker() {
        let mut run = Run::new();
        let first = run.create(1, "a", 10.0);
        run.get(1, "a", Some(&first));
        run.get(1, "a", Some(&first));
        let second = run.update(2, "a", 20.0);
        assert!(first.state < second.state);
        run.everywhere("a", &second);
        for finding in judge(&run.evidence()) {
            assert_eq!(finding.verdict, Some(Verdict::Pass), "{finding:?}");
            assert_eq!(finding.reasons, Vec::<String>::new(), "{finding:?}");
        }
    }

    #[test]
    fn the_verdict_is_the_worst_and_nothing_judged_is_unknown() {
        let finding = |verdict| Finding {
            checker: "x",
            verdict: Some(verdict),
            summary: String::new(),
            reasons: Vec::new(),
        };
        let of = |verdicts: &[Verdict]| {
            worst(&verdicts.iter().copied().map(finding).collect::<Vec<_>>())
        };
        assert_eq!(
            of(&[Verdict::Unknown, Verdict::Fail, Verdict::Pass]),
            Verdict::Fail
        );
        assert_eq!(of(&[Verdict::Pass, Verdict::Unknown]), Verdict::Unknown);
        assert_eq!(of(&[]), Verdict::Unknown);
    }
}
