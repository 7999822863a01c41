//! Finding clusters of containers that are there already, whoever made them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};

use super::container::Container;
use super::names::{CLUSTER, CONTROLLER, CUT_BY, MEMBER, OWNER, RELAY_ALIAS, US};
use super::objects::aliases;
use crate::cluster::{Member, RigError};
use crate::docker::engine::innermost;

/// What docker-compose.yml says of the cluster it makes.
pub const COMPOSE: &str = "compose";
/// The network of docker-compose.yml that a partition disconnects.
const NETWORK: &str = "loom-network";
/// What compose calls a container on its networks, beside the container's own name.
const SERVICE: &str = "com.docker.compose.service";

/// A cluster that somebody has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value of its label; [`COMPOSE`] for one that is known by its names only.
    pub name: String,
    /// Whether this program made it.
    pub ours: bool,
    /// Whether a controller on this machine is looking after it now.
    pub controlled: bool,
    /// The containers of its members.
    pub(super) containers: BTreeMap<Member, String>,
}

/// All clusters on an engine.
///
/// # Errors
///
/// When the engine refuses.
pub async fn clusters(docker: &Docker) -> Result<Vec<Found>, RigError> {
    let options = ListContainersOptionsBuilder::new().all(true).build();
    let listed = docker.list_containers(Some(options)).await;
    let listed = listed.map_err(|error| cannot(&innermost(&error)))?;
    Ok(sort(listed))
}

/// The containers of each cluster, told apart by labels, and by names where there are none.
fn sort(listed: Vec<ContainerSummary>) -> Vec<Found> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for container in listed {
        let labels = container.labels.unwrap_or_default();
        let names = container.names.unwrap_or_default();
        let names = names.iter().map(|name| name.trim_start_matches('/'));
        // Names of links have a slash in them.
        let Some(name) = names.into_iter().find(|name| !name.contains('/')) else {
            continue;
        };
        let by_name = name == RELAY_ALIAS || name.starts_with("loom-node-");
        let (cluster, member) = match (labels.get(CLUSTER), labels.get(MEMBER)) {
            (Some(cluster), Some(member)) => (cluster.as_str(), member.as_str()),
            (None, None) if by_name => (COMPOSE, name),
            _ => continue,
        };
        let Ok(member) = member.parse::<Member>() else {
            continue;
        };
        let entry = found.entry(cluster.to_owned()).or_insert_with(|| Found {
            name: cluster.to_owned(),
            ours: true,
            controlled: false,
            containers: BTreeMap::new(),
        });
        entry.ours &= labels.get(OWNER).is_some_and(|owner| owner == US);
        entry.controlled |= labels
            .get(CONTROLLER)
            .is_some_and(|text| super::names::lives(text));
        entry.containers.insert(member, name.to_owned());
    }
    found.into_values().collect()
}

impl Found {
    /// Whether this member's container is among what was found.
    pub fn has(&self, member: Member) -> bool {
        self.containers.contains_key(&member)
    }

    /// Its containers, ready to be looked after.
    ///
    /// # Errors
    ///
    /// When there is no relay or node among them, or no network they share.
    pub(super) async fn seats(
        &self,
        docker: &Docker,
    ) -> Result<Vec<(Member, Container)>, RigError> {
        // Of ours the rest may be on other machines.
        let whole = self.has(Member::Relay) && self.containers.len() > 1;
        if !self.ours && !whole {
            let there: Vec<_> = self.containers.values().map(String::as_str).collect();
            return Err(cannot(&format!(
                "it has no relay, or no node: there is {}",
                there.join(", ")
            )));
        }
        let mut networks: BTreeMap<Member, BTreeSet<String>> = BTreeMap::new();
        let mut seats = Vec::new();
        for (member, name) in &self.containers {
            let options = None::<InspectContainerOptions>;
            let seen = docker.inspect_container(name, options).await;
            let seen = seen.map_err(|error| cannot(&innermost(&error)))?;
            let settings = seen.network_settings.unwrap_or_default();
            let on = settings.networks.unwrap_or_default().into_keys().collect();
            networks.insert(*member, on);
            let labels = seen.config.and_then(|config| config.labels);
            let labels: HashMap<String, String> = labels.unwrap_or_default();
            let cut_by = labels.get(CUT_BY).filter(|network| !network.is_empty());
            let mut known_as = aliases(*member);
            known_as.extend(labels.get(SERVICE).cloned());
            known_as.dedup();
            seats.push((
                *member,
                Container {
                    docker: docker.clone(),
                    name: name.clone(),
                    network: cut_by.cloned(),
                    aliases: known_as,
                    address: None,
                },
            ));
        }
        if self.ours {
            return Ok(seats);
        }
        let network = shared(&networks).ok_or_else(|| {
            cannot("its relay shares no network with a node, so it cannot be told which to cut")
        })?;
        for (_, container) in &mut seats {
            container.network = Some(network.clone());
        }
        Ok(seats)
    }
}

/// The network that the relay is reached through.
fn shared(networks: &BTreeMap<Member, BTreeSet<String>>) -> Option<String> {
    let relay = networks.get(&Member::Relay)?;
    // All nodes may be cut off it at the moment.
    if relay.contains(NETWORK) {
        return Some(NETWORK.to_owned());
    }
    let mut nodes = networks
        .iter()
        .filter(|(member, _)| **member != Member::Relay);
    nodes.find_map(|(_, node)| relay.intersection(node).next().cloned())
}

fn cannot(reason: &str) -> RigError {
    RigError {
        doing: "attach to the cluster of containers".to_owned(),
        reason: reason.to_owned(),
        next_step: "see what `docker ps -a` says; `docker-compose up -d` starts what is missing"
            .to_owned(),
        refused: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, labels: &[(&str, &str)]) -> ContainerSummary {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ContainerSummary {
            names: Some(vec![format!("/{name}")]),
            labels: Some(labels.collect()),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn clusters_are_told_apart_by_labels_and_by_names_where_there_are_none() {
        let ours = |member| [(CLUSTER, "loom-1"), (MEMBER, member), (OWNER, US)];
        let listed = vec![
            container("gun-relay", &[]),
            container("loom-node-2", &[]),
            container("loom-1-relay", &ours("relay")),
            container("loom-1-node-1", &ours("node-1")),
            container("postgres", &[]),
            container("loom-node-x", &[]),
            container("odd", &[(CLUSTER, "compose"), (MEMBER, "prometheus")]),
        ];
        let found = sort(listed);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].name.as_str(), found[0].ours), (COMPOSE, false));
        let members: Vec<_> = found[0].containers.keys().copied().collect();
        assert_eq!(members, [Member::Relay, Member::Node(2)]);
        assert_eq!((found[1].name.as_str(), found[1].ours), ("loom-1", true));
        assert!(!found[1].controlled);
    }

    #[test]
    fn the_network_to_cut_is_found_also_while_every_node_is_cut() {
        let on = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut networks = BTreeMap::from([
            (Member::Relay, on(&["a-control", "x_default"])),
            (Member::Node(1), on(&["b-control"])),
            (Member::Node(2), on(&["b-control", "x_default"])),
        ]);
        assert_eq!(shared(&networks).as_deref(), Some("x_default"));
        networks.insert(Member::Relay, on(&["a-control", NETWORK]));
        assert_eq!(shared(&networks).as_deref(), Some(NETWORK));
        networks.insert(Member::Relay, on(&["a-control"]));
        assert_eq!(shared(&networks), None);
    }
}
