//! Clusters of containers without a controller: processes end with whoever started them,
//! containers do not. `heal` and `down` look after these where no controller answers.

use super::CliError;
use super::folder::cluster_folder;
use super::hosts::HostsArgs;
use crate::cluster::docker::{self, DockerCluster, Found};
use crate::cluster::{ClusterBackend as _, Link, Member};
use crate::docker::Engine;

/// Heals these members, or all where none is named, of every cluster nobody looks after, or only of
/// the one of this name; says what it did.
pub(super) async fn heal(
    hosts: &HostsArgs,
    members: &[Member],
    only: Option<&str>,
) -> Result<Vec<String>, CliError> {
    let mut healed = Vec::new();
    for engine in hosts.engines().await? {
        for found in docker::clusters(&engine.docker).await? {
            if found.controlled || only.is_some_and(|only| only != found.name) {
                continue;
            }
            let here = |member: &&Member| hosts.is_empty() || found.has(**member);
            let named: Vec<Member> = members.iter().filter(here).copied().collect();
            if named.is_empty() && !members.is_empty() {
                continue;
            }
            healed.extend(heal_one(&engine, &found, &named).await?);
        }
    }
    Ok(healed)
}

async fn heal_one(
    engine: &Engine,
    found: &Found,
    members: &[Member],
) -> Result<Vec<String>, CliError> {
    let mut healed = Vec::new();
    let folder = cluster_folder();
    let cluster = DockerCluster::attach(engine, found, &folder, |_| None).await?;
    let name = &found.name;
    if members.is_empty() {
        cluster.heal().await?;
        healed.push(format!("everything healed in the containers of {name}"));
    }
    for member in members {
        if let Member::Node(_) = member {
            cluster.set_link(*member, Link::default(), None).await?;
        }
        cluster.resume(*member).await?;
        healed.push(format!("{member} healed in the containers of {name}"));
    }
    drop(cluster);
    // What was printed meanwhile is of no use to anybody.
    let _ = std::fs::remove_dir_all(folder);
    Ok(healed)
}

/// Removes the containers and networks, and the volumes if told so, of every cluster of ours that
/// nobody looks after, or only of the one of this name; says what it did.
pub(super) async fn remove(
    hosts: &HostsArgs,
    volumes: bool,
    only: Option<&str>,
) -> Result<Vec<String>, CliError> {
    let mut engines = hosts.engines().await?;
    // The first one may manage a network that can go only when nobody is on it any more.
    engines.reverse();
    let mut lines = Vec::new();
    for engine in engines {
        let removed = docker::remove_leftovers(&engine.docker, volumes, only).await?;
        lines.extend(removed.into_iter().map(|(name, objects)| {
            format!("removed what was left of the containers of {name}: {objects} objects")
        }));
    }
    Ok(lines)
}
