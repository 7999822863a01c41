//! A place where a cluster runs, and what can be done to it.
//!
//! [`ClusterBackend`] is the only door to processes, containers and links. The dashboard, the
//! scenarios and the command line all speak to it; none of them knows which kind it is.
//! `tests/backend_contract.rs` holds every backend to the promises written here.

pub mod attached;
mod child;
mod clocks;
mod crew;
mod desk;
pub mod docker;
mod lifecycle;
mod link;
pub mod link_control;
pub mod local;
mod logs;
mod ports;
pub mod proxy;
pub mod remote;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub use child::die_with_parent;
pub use link::{Direction, Flow, Link, Traffic};

/// One process of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Member {
    /// The relay every node dials.
    Relay,
    /// A node, counted from 1.
    Node(u8),
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay => f.pad("relay"),
            Self::Node(number) => f.pad(&format!("node-{number}")),
        }
    }
}

/// Text that names no member.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} names no member of a cluster: use relay, node-1, node-2, … (n1 and 1 work too)")]
pub struct UnknownMember(String);

impl FromStr for Member {
    type Err = UnknownMember;

    /// Accepts `relay`, `gun-relay`, `node-2`, `loom-node-2`, `n2` and `2`.
    fn from_str(text: &str) -> Result<Self, UnknownMember> {
        if matches!(text, "relay" | "gun-relay" | "loom-relay") {
            return Ok(Self::Relay);
        }
        let number = ["loom-node-", "node-", "n", ""]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix)?.parse().ok())
            .filter(|number| *number > 0);
        number
            .map(Self::Node)
            .ok_or_else(|| UnknownMember(text.to_owned()))
    }
}

impl TryFrom<String> for Member {
    type Error = UnknownMember;

    fn try_from(text: String) -> Result<Self, UnknownMember> {
        text.parse()
    }
}

impl From<Member> for String {
    fn from(member: Member) -> Self {
        member.to_string()
    }
}

/// What a member's process is doing, as the backend sees it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Started, not yet answering.
    Starting,
    /// Answering.
    Up,
    /// Frozen by SIGSTOP (or a container pause).
    Suspended,
    /// Ended on request.
    Stopped,
    /// Ended by SIGKILL from here, or by itself, with its exit status.
    Dead,
}

/// What a backend knows about one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Who.
    pub member: Member,
    /// What its process is doing.
    pub life: Life,
    /// Base URL of its HTTP side, for example `http://127.0.0.1:3001`.
    pub url: String,
    /// Process id, when it runs on this machine.
    pub pid: Option<u32>,
    /// How often it was started, from 1.
    pub generation: u32,
    /// How the last process ended, such as `exit status 1` or `signal 9 (SIGKILL)`.
    pub last_exit: Option<String>,
    /// Its link to the relay; clear for the relay itself.
    pub link: Link,
    /// What its process costs.
    #[serde(default, flatten)]
    pub usage: Usage,
    /// By how many milliseconds its clock was set ahead on purpose; behind if negative.
    #[serde(default)]
    pub clock_ms: i64,
}

/// What a process costs, as far as it can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Percent of one core over the last second.
    #[serde(default)]
    pub cpu: Option<u32>,
    /// Bytes of memory: resident in a process; in a container as `docker stats` counts them.
    #[serde(default)]
    pub memory: Option<u64>,
}

impl MemberStatus {
    /// A member that was never started, to be reached at `url`.
    pub(crate) fn stopped(member: Member, url: String) -> Self {
        Self {
            member,
            life: Life::Stopped,
            url,
            pid: None,
            generation: 0,
            last_exit: None,
            link: Link::default(),
            usage: Usage::default(),
            clock_ms: 0,
        }
    }

    /// Whether anything was done to it that [`ClusterBackend::heal`] ends.
    pub fn is_at_fault(&self) -> bool {
        !self.link.is_clear() || self.life == Life::Suspended || self.clock_ms != 0
    }
}

/// How wrong a clock is: `300s ahead`, `1.5s behind`.
pub fn clock_text(ahead_ms: i64) -> String {
    let off = Duration::from_millis(ahead_ms.unsigned_abs());
    match ahead_ms {
        0 => "right".to_owned(),
        1.. => format!("{off:?} ahead"),
        _ => format!("{off:?} behind"),
    }
}

/// Something that happened to the cluster, wished for or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterEvent {
    /// When, by the wall clock, for people.
    pub at: SystemTime,
    /// To whom; `None` for the cluster as a whole.
    pub member: Option<Member>,
    /// What happened, as one short phrase: `killed (SIGKILL)`, `link cut`, `exited: …`.
    pub what: String,
    /// Whether nobody asked for it.
    pub unexpected: bool,
}

/// The backend could not do what was asked: the rig's failure, never the cluster's.
///
/// A run that ends in one of these exits with 255, not with "failed", unless it was a refusal:
/// then the script asked for something that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{doing}: {reason}; {next_step}")]
pub struct RigError {
    /// What was being done to whom.
    pub doing: String,
    /// Why it failed, with the last lines the process printed where there are any.
    pub reason: String,
    /// What a person can do about it.
    pub next_step: String,
    /// Whether nothing is broken: what was asked makes no sense as things are, such as suspending
    /// a dead member, and nothing was done.
    #[serde(default)]
    pub refused: bool,
}

/// A place where clusters run.
///
/// Faults compose as a set and belong to a member, not to a process: a cut link stays cut when
/// its node restarts. All calls are idempotent, bounded in time, and safe to make in any order.
#[async_trait::async_trait]
pub trait ClusterBackend: Send + Sync + fmt::Debug {
    /// `local`, `docker`, …
    fn kind(&self) -> &'static str;

    /// What it would take to break this cluster, where it can only be watched: then every fault is
    /// refused, and what needs one is skipped. As in "needs the engine's socket".
    fn without_faults(&self) -> Option<&str> {
        None
    }

    /// All members, relay first, then nodes by number. Never blocks on a member.
    async fn members(&self) -> Vec<MemberStatus>;

    /// What happens from now on. A reader that falls behind is told so by `Lagged`.
    fn events(&self) -> broadcast::Receiver<ClusterEvent>;

    /// The newest `lines` log lines of a member, oldest first.
    async fn log_tail(&self, member: Member, lines: usize) -> Vec<String>;

    /// Where the member's log file is, if there is one on this machine.
    fn log_file(&self, member: Member) -> Option<std::path::PathBuf>;

    /// Starts a member and returns when it answers `/health`. Starting a running one succeeds.
    async fn start(&self, member: Member) -> Result<(), RigError>;

    /// Starts the relay, then all nodes at once, and returns when each of them answers. Of those
    /// that cannot be started the first is told; the others are left as they are.
    async fn start_all(&self) -> Result<(), RigError> {
        let members = self.members().await;
        let (relays, nodes): (Vec<_>, Vec<_>) =
            (members.iter().map(|status| status.member)).partition(|m| *m == Member::Relay);
        for group in [relays, nodes] {
            let started = join_all(group.into_iter().map(|member| self.start(member))).await;
            started.into_iter().collect::<Result<(), RigError>>()?;
        }
        Ok(())
    }

    /// Asks a member to end (SIGTERM), then insists (SIGKILL) after a grace period.
    async fn stop(&self, member: Member) -> Result<(), RigError>;

    /// Ends a member as a power cut would (SIGKILL). Killing a dead one succeeds.
    async fn kill(&self, member: Member) -> Result<(), RigError>;

    /// Freezes a running member (SIGSTOP); its sockets stay open and silent.
    async fn suspend(&self, member: Member) -> Result<(), RigError>;

    /// Thaws a suspended member (SIGCONT). Resuming a running one succeeds.
    async fn resume(&self, member: Member) -> Result<(), RigError>;

    /// Deletes what a stopped or dead member has stored.
    async fn wipe(&self, member: Member) -> Result<(), RigError>;

    /// Makes the link between `node` and the relay look exactly like this, whatever it was.
    /// With `lease`, it heals by itself when the lease is not renewed by another call in time.
    async fn set_link(
        &self,
        node: Member,
        link: Link,
        lease: Option<Duration>,
    ) -> Result<(), RigError>;

    /// Sets a node's wall clock this many milliseconds ahead of the computer's, 0 to set it right. It
    /// stays so when the node restarts.
    async fn set_clock(&self, node: Member, ahead_ms: i64) -> Result<(), RigError> {
        if ahead_ms == 0 {
            return Ok(());
        }
        Err(RigError {
            doing: format!("set the clock of {node}"),
            reason: format!("a cluster of kind {} has no clocks of its own", self.kind()),
            next_step: "use a local cluster".to_owned(),
            refused: true,
        })
    }

    /// What the node's link has carried; `None` for the relay and where nobody counts.
    async fn traffic(&self, node: Member) -> Option<Traffic> {
        let _ = node;
        None
    }

    /// Ends every fault: links cleared, suspended members resumed, clocks set right. Dead members stay dead.
    async fn heal(&self) -> Result<(), RigError>;

    /// Has [`ClusterBackend::shutdown`] also delete what members have stored, where that would outlive
    /// the cluster. What somebody else made stays.
    fn forget(&self) {}

    /// Ends everything this backend started. Nothing is left running afterwards.
    async fn shutdown(&self) -> Result<(), RigError>;
}
