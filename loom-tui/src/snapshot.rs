//! What the engine knows, as plain data: the only thing the dashboard, `status` and the headless
//! progress lines ever read. Nothing here computes, locks or waits.
//!
//! Unknown is `None`, never zero. Ages and times are since the engine started, by one monotonic
//! clock.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::client::wire::CatchUp;
use crate::cluster::{Member, MemberStatus};

/// Everything there is to show at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Age of the engine when this was taken.
    pub at: Duration,
    /// Backend kind, `local` or `docker`.
    pub backend: &'static str,
    /// Whether there is a cluster yet.
    pub phase: Phase,
    /// Whether the same cluster could run as processes of this machine, now that it failed.
    pub offers_local: bool,
    /// Relay first, then nodes by number.
    pub members: Vec<MemberRow>,
    /// Acknowledged writes per second over the last few seconds, canaries excluded.
    pub ops_per_s: f64,
    /// Convergence latency over [`LatencyWindow::span`].
    pub latency: LatencyWindow,
    /// Sync lag of each node over time.
    pub lag: Vec<LagSeries>,
    /// Faults made and healed, oldest first, for marking the lag chart; bounded.
    pub marks: VecDeque<Mark>,
    /// The catalogue with what is running and how earlier runs ended.
    pub scenarios: Vec<ScenarioRow>,
    /// Oldest first; bounded.
    pub events: VecDeque<EventLine>,
    /// What the member printed whose log is followed.
    pub log: Option<Arc<MemberLog>>,
}

/// What one member printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberLog {
    /// Who.
    pub member: Member,
    /// The newest lines, oldest first; at most [`LOG_LINES_MAX`].
    pub lines: Vec<String>,
    /// Where older lines are, on this machine.
    pub file: Option<PathBuf>,
}

/// Lines of a [`MemberLog`].
pub const LOG_LINES_MAX: usize = 1_000;

/// How far the cluster has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Members are being started; what is happening now, in a few words.
    Starting(String),
    /// All members were started.
    Ready,
    /// The rig could not start the cluster: reason and next step.
    Failed(String),
    /// Nothing is known yet.
    #[default]
    Unknown,
}

/// One member, from outside and from its own `/health`.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberRow {
    /// What the backend sees.
    pub status: MemberStatus,
    /// Whether it answers and says it is connected to the relay. `None` if it does not answer.
    pub connected: Option<bool>,
    /// For how long its link or process has been at fault; `None` when it is healthy.
    pub fault_since: Option<Duration>,
    /// Age of the newest write of another node that this node has not shown yet; zero when it
    /// has shown everything. `None` before the first canary.
    pub lag: Option<Duration>,
    /// Whether `lag` is still growing: an answer is outstanding.
    pub lag_growing: bool,
    /// Writes of other nodes it has not shown yet.
    pub behind: u64,
    /// How long it last took to say how it is, when it answered.
    pub rtt: Option<Duration>,
    /// 99th percentile of convergence latency as seen at this node, over the window.
    pub p99: Option<Duration>,
    /// Worst lag per second, newest last, at most 60; `None` where nothing was known.
    pub spark: VecDeque<Option<Duration>>,
    /// Records held, by its own count.
    pub records: Option<u64>,
    /// How far it is in making up for what it missed, while it does.
    pub catch_up: Option<CatchUp>,
}

/// Convergence latency: intended send time to the change event at another node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyWindow {
    /// How far back the window reaches.
    pub span: Duration,
    /// Samples in the window.
    pub count: u64,
    /// Median.
    pub p50: Option<Duration>,
    /// 95th percentile.
    pub p95: Option<Duration>,
    /// 99th percentile. With fewer than 100 samples this is the maximum.
    pub p99: Option<Duration>,
    /// Largest sample.
    pub max: Option<Duration>,
    /// Counts in [`LATENCY_BINS`] log-spaced bins from [`LATENCY_MIN`] to [`LATENCY_MAX`].
    pub bins: Vec<u64>,
    /// Samples above [`LATENCY_MAX`].
    pub above: u64,
    /// Writes sent and not yet seen everywhere: they are part of the truth and not in the bins.
    pub unseen: u64,
    /// Age of the oldest unseen write.
    pub oldest_unseen: Option<Duration>,
}

/// How many bins a [`LatencyWindow`] has.
pub const LATENCY_BINS: usize = 48;
/// Lower edge of the first bin.
pub const LATENCY_MIN: Duration = Duration::from_micros(100);
/// Upper edge of the last bin.
pub const LATENCY_MAX: Duration = Duration::from_secs(10);
/// Thresholds the built-in `sync-latency` scenario judges by; drawn as lines.
pub const THRESHOLD_P50: Duration = Duration::from_millis(500);
/// See [`THRESHOLD_P50`].
pub const THRESHOLD_P95: Duration = Duration::from_secs(1);
/// See [`THRESHOLD_P50`].
pub const THRESHOLD_P99: Duration = Duration::from_secs(2);

/// Lag of one node over time.
#[derive(Clone, Debug, PartialEq)]
pub struct LagSeries {
    /// Whose.
    pub member: Member,
    /// (age of the engine, worst lag in that second); `None` where nothing was known. At most 300.
    pub points: VecDeque<(Duration, Option<Duration>)>,
}

/// A fault made or ended, for the lag chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Duration,
    /// To whom.
    pub member: Option<Member>,
    /// `K` kill, `C` cut, `H` heal, `S` suspend, `R` resume or restart, `D` degrade, `X` exit.
    pub letter: char,
}

/// One scenario of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioRow {
    /// Its name, such as `partition`.
    pub name: String,
    /// One line of what it shows.
    pub about: String,
    /// Where it stands.
    pub state: ScenarioState,
}

/// Where a scenario stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ScenarioState {
    /// Not run since the engine started.
    #[default]
    Never,
    /// Waiting for the one that is running.
    Queued,
    /// Running.
    Running {
        /// When it began.
        since: Duration,
        /// The newest `step` of its script.
        step: String,
        /// Steps begun so far.
        steps: u32,
    },
    /// Ended.
    Done {
        /// How.
        verdict: Verdict,
        /// How long it took.
        took: Duration,
        /// The first reason it did not pass, or its most telling metric.
        note: String,
    },
}

/// How a run ended. Ordered from best to worst, so that the worst of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was to be shown was shown.
    Pass,
    /// Too little was measured to say.
    Unknown,
    /// Something promised was broken.
    Fail,
}

/// One line of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLine {
    /// When.
    pub at: Duration,
    /// How much it matters.
    pub level: Level,
    /// Who did it or noticed it: `you`, `scenario`, `node-2`, `rig`.
    pub source: String,
    /// What happened.
    pub text: String,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As expected.
    Info,
    /// Worth a look.
    Warn,
    /// Something is broken that nobody broke.
    Error,
}

/// What a person can ask of the engine; each has a command-line twin.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Cut the node's link to the relay in both directions.
    Cut(Member),
    /// Clear the node's link.
    HealLink(Member),
    /// End every fault.
    HealAll,
    /// SIGKILL.
    Kill(Member),
    /// SIGTERM, then SIGKILL.
    Stop(Member),
    /// Start what is not running; stop and start what is.
    Restart(Member),
    /// SIGSTOP.
    Suspend(Member),
    /// SIGCONT.
    Resume(Member),
    /// Make the link look like this.
    SetLink(Member, crate::cluster::Link),
    /// Run a scenario of the catalogue, after the one that is running.
    Run(String),
    /// Stop the running scenario and heal what it broke.
    CancelRun,
    /// Start the cluster again after [`Phase::Failed`].
    Retry,
    /// The same, as processes of this machine.
    UseLocal,
    /// Put what this member prints into snapshots, or nobody's lines.
    Follow(Option<Member>),
}

impl Request {
    /// Whom it touches; `None` for everybody, or nobody.
    pub fn member(&self) -> Option<Member> {
        match self {
            Self::Cut(member)
            | Self::HealLink(member)
            | Self::Kill(member)
            | Self::Stop(member)
            | Self::Restart(member)
            | Self::Suspend(member)
            | Self::Resume(member)
            | Self::SetLink(member, _) => Some(*member),
            Self::HealAll
            | Self::Run(_)
            | Self::CancelRun
            | Self::Retry
            | Self::UseLocal
            | Self::Follow(_) => None,
        }
    }
}
