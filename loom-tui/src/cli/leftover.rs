//! Clusters of containers without a controller: processes end with whoever started them,
//! containers do not. `heal` and `down` look after these where no controller answers.

use super::folder::cluster_folder;
use super::hosts::HostsArgs;
use super::{CliError, Exit, say};
use crate::cluster::docker::{self, DockerCluster, Found};
use crate::cluster::{ClusterBackend as _, Link, Member};
use crate::control::ConnectError;
use crate::docker::Engine;

/// Heals these members, or all where none is named, of every cluster nobody looks after, or only of
/// the one of this name; says what it did.
pub(super) async fn heal(
    hosts: &HostsArgs,
    members: &[Member],
    only: Option<&str>,
) -> Result<Done, CliError> {
    let mut healed = Done::default();
    for engine in hosts.engines().await? {
        let clusters = docker::clusters(&engine.docker).await;
        for found in healed.take(clusters).unwrap_or_default() {
            if found.controlled || only.is_some_and(|only| only != found.name) {
                continue;
            }
            let here = |member: &&Member| hosts.is_empty() || found.has(**member);
            let named: Vec<Member> = members.iter().filter(here).copied().collect();
            if named.is_empty() && !members.is_empty() {
                continue;
            }
            let lines = heal_one(&engine, &found, &named).await;
            let lines = healed.take(lines).unwrap_or_default();
            healed.lines.extend(lines);
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
) -> Result<Done, CliError> {
    let mut engines = hosts.engines().await?;
    // The first one may manage a network that can go only when nobody is on it any more.
    engines.reverse();
    let mut done = Done::default();
    for engine in engines {
        let removed = docker::remove_leftovers(&engine.docker, volumes, only).await;
        let removed = done.take(removed).unwrap_or_default().into_iter();
        done.lines.extend(removed.map(|(name, objects)| {
            format!("removed what was left of the containers of {name}: {objects} objects")
        }));
    }
    Ok(done)
}

/// What was done, and the first thing that could not be.
#[derive(Debug, Default)]
pub(super) struct Done {
    lines: Vec<String>,
    failed: Option<CliError>,
}

impl Done {
    /// What came of a part; if nothing did, that is kept, and the rest goes on.
    fn take<T>(&mut self, part: Result<T, impl Into<CliError>>) -> Option<T> {
        match part {
            Ok(part) => Some(part),
            Err(error) => {
                self.failed.get_or_insert(error.into());
                None
            }
        }
    }
}

/// Says what was done where `nobody` runs a cluster. An engine that nobody named and that does not
/// answer is not worth a word: nobody may want one.
pub(super) fn told(
    done: Result<Done, CliError>,
    hosts: &HostsArgs,
    nobody: ConnectError,
) -> Result<Exit, CliError> {
    let done = match done {
        Ok(done) => done,
        Err(_) if hosts.is_empty() => return Err(nobody.into()),
        Err(error) => return Err(error),
    };
    done.lines.iter().for_each(|line| say(line));
    match done.failed {
        Some(error) => Err(error),
        None if done.lines.is_empty() => Err(nobody.into()),
        None => Ok(Exit::Ok),
    }
}
