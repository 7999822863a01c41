//! What a cluster's objects are called, and the labels they are found by.
//!
//! The default cluster has the names docker-compose.yml gives: gun-relay, loom-node-1,
//! loom-network. Every other one puts its own name in front.

use std::collections::HashMap;

use crate::cluster::Member;

/// The name of the cluster a person gets who names none.
pub const DEFAULT_NAME: &str = "loom";
/// Which cluster an object belongs to; docker-compose.yml says `compose`.
pub(super) const CLUSTER: &str = "loom.cluster";
/// Which member a container or volume is.
pub(super) const MEMBER: &str = "loom.member";
/// Who made it. Nothing without it is ever removed.
pub(super) const OWNER: &str = "loom.owner";
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

    pub(super) fn networks(&self) -> [String; 3] {
        [
            self.network(),
            self.control(Member::Relay),
            self.control(Member::Node(1)),
        ]
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
        [(CLUSTER, self.cluster.as_str()), (OWNER, US)]
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
    fn ports_are_published_from_a_network_no_partition_touches() {
        let names = Names::new("x");
        for member in [Member::Relay, Member::Node(1)] {
            assert!(names.control(member) < names.network());
        }
    }
}
