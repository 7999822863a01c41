//! What a run came to: one struct, printed for people ([`table`]), for programs ([`json`]) and
//! for CI services ([`junit`]).

pub mod json;
pub mod junit;
pub mod staleness;
pub mod table;

#[cfg(test)]
pub(crate) mod fixture;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::check::convergence::{Convergence, Recovery};
use crate::check::{Expectation, Finding, Threshold};
use crate::client::Json;
use crate::cluster::Member;
use crate::history::{Action, Attempt, Outcome};
use crate::probe::{Class, Report as Measured, Summary};
use crate::scenario::params::{Sets, declared};
use crate::snapshot::Verdict;
use crate::stats::Quantile;

/// Everything worth knowing about one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows, in one line.
    pub about: String,
    /// What messages about its lines call it.
    pub file: String,
    /// Every declared parameter and the value it had.
    pub args: BTreeMap<String, String>,
    /// What decided all randomness.
    pub seed: u64,
    /// When it began, in UTC.
    pub started: String,
    /// How long it took, judging included.
    pub took_ms: f64,
    /// How it ended.
    pub verdict: Verdict,
    /// A mistake in the script, with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mistake: Option<String>,
    /// Why it was not played to its end: it needs a fault, and its cluster can only be watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why the rig broke; there is no verdict then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rig: Option<String>,
    /// What it ran on.
    #[serde(flatten)]
    pub setting: Setting,
    /// Every checker with its verdict and reasons.
    pub findings: Vec<Finding>,
    /// Measured numbers with their limits.
    pub thresholds: Vec<Threshold>,
    /// What the script expected.
    pub expectations: Expectations,
    /// States that had to be reached.
    pub gates: Vec<Expectation>,
    /// Numbers the script recorded.
    pub metrics: Vec<Metric>,
    /// How long the nodes took to agree after each heal and start.
    pub convergence: Agreement,
    /// Convergence latency.
    pub latency: Latency,
    /// How soon each node showed what others wrote, and what it ended with.
    pub staleness: BTreeMap<Member, staleness::Staleness>,
    /// Operations by kind.
    pub operations: BTreeMap<Action, Counts>,
    /// What was done to the cluster.
    pub faults: Vec<FaultLine>,
    /// Lines of the script for the report.
    pub notes: Vec<String>,
    /// The machine.
    pub environment: Environment,
    /// Where the evidence is.
    pub folder: PathBuf,
}

/// What a scenario ran on.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// `local`, `docker`, ….
    pub backend: String,
    /// How many nodes.
    pub nodes: usize,
    /// What an acknowledged write survives; `None` when the cluster is somebody else's.
    pub durability: Option<String>,
    /// Whether others use the cluster too: only this run's records are judged.
    pub shared: bool,
    /// The fault that was planted on purpose, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planted: Option<String>,
}

/// A number a script recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// What.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// What a script expected, in numbers; those that did not hold in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Expectations {
    /// How many held.
    pub held: usize,
    /// How many did not.
    pub broken: usize,
    /// The first [`BROKEN_LISTED_MAX`] that did not.
    pub examples: Vec<Expectation>,
}

/// Broken expectations that a report lists.
pub const BROKEN_LISTED_MAX: usize = 100;

impl Expectations {
    /// Counts them.
    pub fn of(all: &[Expectation]) -> Self {
        let broken = all.iter().filter(|expected| !expected.held);
        let examples: Vec<_> = broken.clone().take(BROKEN_LISTED_MAX).cloned().collect();
        let broken = broken.count();
        Self {
            held: all.len() - broken,
            broken,
            examples,
        }
    }
}

/// How long the nodes took to agree, and how long they may.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The longest, where they did agree.
    pub worst_ms: Option<f64>,
    /// The limit.
    pub limit_ms: f64,
    /// After each heal and start, and after the script's end.
    pub recoveries: Vec<Recovery>,
}

/// How operations of one kind ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Did happen.
    pub ok: u64,
    /// Did not.
    pub refused: u64,
    /// Nobody knows.
    pub unknown: u64,
}

/// Something done to the cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultLine {
    /// When it had taken hold, in milliseconds since the run began.
    pub at_ms: f64,
    /// What.
    pub fault: Action,
    /// To whom; the whole cluster if `None`.
    pub member: Option<Member>,
    /// Details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Why it could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Convergence latency, intended send to change event at another node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// All pairs together.
    pub all: Figures,
    /// By `origin->observer`.
    pub pairs: BTreeMap<String, Figures>,
}

/// Percentiles in milliseconds. `None` is not known: nothing was measured, or a write that has not
/// been seen could still raise it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Showings measured.
    pub count: u64,
    /// Showings still owed.
    pub unseen: u64,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile; the maximum with fewer than 100.
    pub p99_ms: Option<f64>,
    /// Largest.
    pub max_ms: Option<f64>,
}

/// The machine and the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Of this program.
    pub version: &'static str,
    /// Whether it was built for speed.
    pub optimised: bool,
    /// Operating system and architecture.
    pub platform: String,
    /// Processors this process may use.
    pub cpus: usize,
}

impl Environment {
    /// This machine and this program.
    pub fn here() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

impl Report {
    /// Why it was skipped, unless what it did until then has failed.
    pub fn is_skipped(&self) -> Option<&str> {
        let skipped = self.skipped.as_deref();
        skipped.filter(|_| self.verdict != Verdict::Fail)
    }

    /// The first reason it did not pass, or its most telling number: one short line.
    pub fn headline(&self) -> String {
        if let Some(why) = self.rig.as_ref().or(self.mistake.as_ref()) {
            return why.clone();
        }
        if let Some(why) = self.is_skipped() {
            return format!("skipped: {why}");
        }
        let worst = self
            .findings
            .iter()
            .find(|finding| finding.verdict == Some(self.verdict) && !finding.reasons.is_empty());
        if let (Some(finding), true) = (worst, self.verdict != Verdict::Pass) {
            return format!("{}: {}", finding.checker, finding.reasons[0]);
        }
        if let Some(metric) = self.metrics.last() {
            return metric.to_string();
        }
        match self.latency.all.p99_ms {
            Some(p99) => format!("p99 {}", table::millis(p99)),
            None => format!("{} expectations held", self.expectations.held),
        }
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, value, unit } = self;
        if unit == "ms" {
            write!(f, "{name} {}", table::millis(*value))
        } else {
            write!(f, "{name} {} {unit}", table::rounded(*value))
        }
    }
}

/// Every declared parameter and its value.
pub fn args_of(source: &str, sets: &Sets) -> BTreeMap<String, String> {
    let params = declared(source).into_iter();
    params
        .map(|param| {
            let set = sets.get(&param.name).cloned();
            let value = set.unwrap_or_else(|| param.default.trim_matches('"').to_owned());
            (param.name, value)
        })
        .collect()
}

/// The figures of what was measured.
pub fn latency(measured: &Measured) -> Latency {
    let pairs = measured
        .pairs
        .iter()
        .filter(|pair| pair.class == Class::User && pair.origin != pair.observer);
    Latency {
        all: figures(&measured.convergence(Class::User)),
        pairs: pairs
            .map(|pair| {
                let name = format!("{}->{}", pair.origin, pair.observer);
                (name, figures(&pair.summary()))
            })
            .collect(),
    }
}

/// How long agreement took.
pub fn convergence(measured: &Convergence) -> Agreement {
    let ms = |took: Duration| took.as_secs_f64() * 1_000.0;
    Agreement {
        worst_ms: measured.worst().map(ms),
        limit_ms: ms(measured.limit),
        recoveries: measured.recoveries.clone(),
    }
}

/// Operations by kind and outcome.
pub fn operations(attempts: &[Attempt]) -> BTreeMap<Action, Counts> {
    let mut counts: BTreeMap<Action, Counts> = BTreeMap::new();
    for attempt in attempts {
        let of = counts.entry(attempt.action).or_default();
        match attempt.outcome {
            Outcome::Ok { .. } => of.ok += 1,
            Outcome::Fail(_) => of.refused += 1,
            Outcome::Unknown(_) => of.unknown += 1,
        }
    }
    counts
}

/// A moment as `2026-11-23T08:42:27Z`.
pub fn utc(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years that begin in March put the leap day last; 400 of them have 146,097 days.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

fn figures(summary: &Summary) -> Figures {
    let ms = |quantile: Quantile| quantile.known().map(|at| at.as_secs_f64() * 1_000.0);
    Figures {
        count: summary.count,
        unseen: summary.unseen,
        p50_ms: ms(summary.p50),
        p95_ms: ms(summary.p95),
        p99_ms: ms(summary.p99),
        max_ms: ms(summary.max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_423_347, "2026-11-23T08:42:27Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
