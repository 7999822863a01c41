//! What a cluster's objects are called, and the labels they are found by.
//!
//! The default cluster has the names docker-compose.yml gives: gun-relay, loom-node-1,
//! loom-network. Every other one puts its own name in front.

use std::collections::HashMap;

use crate::cluster::Member;
use crate::process::ProcessName;

/// The name of the cluster a person gets who names none.
pub const DEFAULT_NAME: &str = "loom";
/// Which cluster an object belongs to; docker-compose.yml says `compose`.
pub(super) const CLUSTER: &str = "loom.cluster";
/// Which member a container or volume is.
pub(super) const MEMBER: &str = "loom.member";
/// Who made it. Nothing without it is ever removed.
pub(super) const OWNER: &str = "loom.owner";
/// The process that looks after it, as in `1234.5678@host`.
pub(super) const CONTROLLER: &str = "loom.controller";
/// The network that a member of ours is taken off by a partition; empty where none can do that.
pub(super) const CUT_BY: &str = "loom.cut-by";
/// What [`OWNER`] is here.
pub(super) const US: &str = "loom-tui";
/// What nodes dial, whatever its container is called.
pub(super) const RELAY_ALIAS: &str = "gun-relay";

/// The names of one cluster's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    cluster: String,
}

impl Names {
    pub(super) fn new(cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
        }
    }

    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Relay and nodes share this network and no other: what a partition disconnects.
    pub(super) fn network(&self) -> String {
        format!("{}-network", self.cluster)
    }

    /// The network a member is reached through from outside. Docker publishes ports from the
    /// network whose name sorts first, so it must sort before [`Self::network`].
    pub(super) fn control(&self, member: Member) -> String {
        match member {
            Member::Relay => format!("{}-control-relay", self.cluster),
            Member::Node(_) => format!("{}-control", self.cluster),
        }
    }

    pub(super) fn container(&self, member: Member) -> String {
        match (member, self.cluster == DEFAULT_NAME) {
            (Member::Relay, true) => RELAY_ALIAS.to_owned(),
            (Member::Relay, false) => format!("{}-relay", self.cluster),
            (Member::Node(_), _) => format!("{}-{member}", self.cluster),
        }
    }

    pub(super) fn volume(&self, member: Member) -> String {
        format!("{}-{member}-data", self.cluster)
    }

    /// What everything of this cluster carries.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        let controller = controller();
        [
            (CLUSTER, self.cluster.as_str()),
            (OWNER, US),
            (CONTROLLER, &controller),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// What a member's objects carry.
    pub(super) fn labels_of(&self, member: Member) -> HashMap<String, String> {
        let mut labels = self.labels();
        labels.insert(MEMBER.to_owned(), member.to_string());
        labels
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// This process, in words that another one on this machine can check.
fn controller() -> String {
    format!("{}@{}", ProcessName::this(), host())
}

/// Whether the controller a label names is another process of this machine that still runs. Of
/// other machines nothing can be said.
pub(super) fn lives(controller: &str) -> bool {
    let Some((process, at)) = controller.split_once('@') else {
        return false;
    };
    let another = controller != self::controller();
    another && at == host() && process.parse().is_ok_and(ProcessName::lives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_cluster_is_called_as_compose_calls_it() {
        let names = Names::new(DEFAULT_NAME);
        assert_eq!(names.container(Member::Relay), "gun-relay");
        assert_eq!(names.container(Member::Node(2)), "loom-node-2");
        assert_eq!(names.network(), "loom-network");
        let other = Names::new("loom-7f");
        assert_eq!(other.container(Member::Relay), "loom-7f-relay");
        assert_eq!(other.container(Member::Node(2)), "loom-7f-node-2");
    }

    #[test]
    fn a_controller_lives_while_its_process_does() {
        assert!(!lives(&controller()), "this one needs no warning of itself");
        assert!(lives(&format!("1@{}", host())));
        for gone in ["1@elsewhere", "4194304@", "", "x@y"] {
            assert!(!lives(gone), "{gone}");
        }
    }

    #[test]
    fn ports_are_published_from_a_network_no_partition_touches() {
        let names = Names::new("x");
        for member in [Member::Relay, Member::Node(1)] {
            assert!(names.control(member) < names.network());
        }
    }
}
