//! Making the networks, volumes and containers of a cluster, and removing them.
//!
//! Nothing is removed that does not carry [`OWNER`](super::names::OWNER): what a person or
//! docker-compose made stays.

use std::collections::{BTreeSet, HashMap};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Network, NetworkConnectRequest,
    NetworkCreateRequest, NetworkingConfig, PortBinding, PortMap, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use super::config::{LINK_CONTROL_PORT, port_inside};
use super::find;
use super::names::{CLUSTER, CUT_BY, DEFAULT_NAME, Names, OWNER, RELAY_ALIAS, US};
use crate::cluster::{Member, RigError};
use crate::docker::engine::innermost;
use crate::docker::image::is_missing;
use crate::docker::rootfs::DATA;

/// Where on the engine's machine a member's ports are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    /// Of its HTTP side.
    pub(super) port: u16,
    /// Of a node's link control.
    pub(super) control: Option<u16>,
}

/// The objects of one cluster on one engine.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) docker: Docker,
    pub(super) names: Names,
    /// The address ports are published on.
    pub(super) bind: String,
}

impl Objects {
    /// Refuses when another controller looks after a cluster of this name.
    pub(super) async fn check_unused(&self) -> Result<(), RigError> {
        let found = find::clusters(&self.docker).await?;
        let name = self.names.cluster();
        if found
            .iter()
            .any(|it| it.name == name && it.ours && it.controlled)
        {
            return Err(RigError {
                doing: format!("make the cluster {name}"),
                reason: "another loom-tui runs it".to_owned(),
                next_step: "end that one with `loom-tui down`, or choose another --name".to_owned(),
                refused: false,
            });
        }
        Ok(())
    }

    /// Makes a network of this machine, or one that spans a Swarm, unless it is there already.
    pub(super) async fn make_network(&self, network: &str, spans: bool) -> Result<(), RigError> {
        if let Some(there) = self.find_network(network).await? {
            let labels = there.labels.unwrap_or_default();
            if labels.get(OWNER).is_some_and(|owner| owner == US) {
                return Ok(());
            }
            return Err(RigError {
                doing: format!("make the network {network}"),
                reason: "there is one of that name, made by somebody else".to_owned(),
                next_step: format!(
                    "`docker network rm {network}` removes it if nobody uses it; a \
                     docker-compose cluster is ended by `docker-compose down`"
                ),
                refused: false,
            });
        }
        let request = NetworkCreateRequest {
            name: network.to_owned(),
            driver: spans.then(|| "overlay".to_owned()),
            attachable: spans.then_some(true),
            labels: Some(self.names.labels()),
            ..NetworkCreateRequest::default()
        };
        let made = self.docker.create_network(request).await;
        made.map_err(|error| self.refused(&format!("make the network {network}"), &error))?;
        Ok(())
    }

    /// Makes the volume of a member, unless it is there already.
    pub(super) async fn make_volume(&self, member: Member) -> Result<(), RigError> {
        let volume = self.names.volume(member);
        let request = VolumeCreateRequest {
            name: Some(volume.clone()),
            labels: Some(self.names.labels_of(member)),
            ..VolumeCreateRequest::default()
        };
        let made = self.docker.create_volume(request).await;
        made.map_err(|error| self.refused(&format!("make the volume {volume}"), &error))?;
        Ok(())
    }

    async fn find_network(&self, name: &str) -> Result<Option<Network>, RigError> {
        let filters = HashMap::from([("name", vec![name])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let found = self.docker.list_networks(Some(options)).await;
        let found = found.map_err(|error| self.refused("list the networks", &error))?;
        // The filter also finds names that contain this one.
        Ok(found
            .into_iter()
            .find(|network| network.name.as_deref() == Some(name)))
    }

    /// Makes a member's container, which does not run yet.
    pub(super) async fn make(
        &self,
        image: &str,
        member: Member,
        command: Vec<String>,
        published: Published,
        network: Option<&str>,
    ) -> Result<(), RigError> {
        let name = self.names.container(member);
        let doing = format!("make the container {name}");
        let mut ports = PortMap::new();
        let mut publish = |inside: u16, outside: u16| {
            let bound = PortBinding {
                host_ip: Some(self.bind.clone()),
                host_port: Some(outside.to_string()),
            };
            ports.insert(format!("{inside}/tcp"), Some(vec![bound]));
        };
        publish(port_inside(member), published.port);
        if let Some(control) = published.control {
            publish(LINK_CONTROL_PORT, control);
        }
        let control_network = self.names.control(member);
        let mut labels = self.names.labels_of(member);
        labels.insert(CUT_BY.to_owned(), network.unwrap_or_default().to_owned());
        let endpoints = HashMap::from([(control_network.clone(), EndpointSettings::default())]);
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(command),
            labels: Some(labels),
            exposed_ports: Some(ports.keys().cloned().collect()),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{}:{DATA}", self.names.volume(member))]),
                port_bindings: Some(ports),
                network_mode: Some(control_network),
                // The relay's name is the only one ever looked up. While it is not there, no
                // server further away is to be asked for it, which would take seconds.
                dns: network.map(|_| vec!["127.0.0.1".to_owned()]),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(endpoints),
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let made = self.docker.create_container(Some(options), body).await;
        made.map_err(|error| match &error {
            Error::DockerResponseServerError {
                status_code: 409, ..
            } => RigError {
                doing: doing.clone(),
                reason: "there is one of that name, made by somebody else".to_owned(),
                next_step: format!("`docker rm -f {name}` removes it"),
                refused: false,
            },
            _ => self.refused(&doing, &error),
        })?;
        let Some(network) = network else {
            return Ok(());
        };
        // One network can be named when a container is made, by engines of API 1.41.
        let request = NetworkConnectRequest {
            container: name,
            endpoint_config: Some(EndpointSettings {
                aliases: Some(aliases(member)),
                ..EndpointSettings::default()
            }),
        };
        let joined = self.docker.connect_network(network, request).await;
        joined.map_err(|error| self.refused(&doing, &error))
    }

    /// Removes what is ours: containers and networks, and volumes if told so. Returns how many; the
    /// first refusal after everything was tried.
    pub(super) async fn remove(&self, volumes: bool) -> Result<usize, RigError> {
        let labels = vec![
            format!("{CLUSTER}={}", self.names.cluster()),
            format!("{OWNER}={US}"),
        ];
        let filters = HashMap::from([("label", labels)]);
        let mut removed = Ok(0);
        let mut count = |gone: Result<usize, RigError>| {
            removed = match (std::mem::replace(&mut removed, Ok(0)), gone) {
                (Ok(before), Ok(now)) => Ok(before + now),
                (Err(first), _) | (_, Err(first)) => Err(first),
            };
        };
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let found = self.docker.list_containers(Some(options)).await;
        let found = found.map_err(|error| self.refused("list the containers", &error))?;
        for id in found.into_iter().filter_map(|container| container.id) {
            let options = RemoveContainerOptionsBuilder::new().force(true).build();
            let gone = self.docker.remove_container(&id, Some(options)).await;
            count(self.gone("remove a container", gone));
        }
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let found = self.docker.list_networks(Some(options)).await;
        let found = found.map_err(|error| self.refused("list the networks", &error))?;
        for id in found.into_iter().filter_map(|network| network.id) {
            let gone = self.docker.remove_network(&id).await;
            count(self.gone("remove a network", gone));
        }
        if volumes {
            let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
            let found = self.docker.list_volumes(Some(options)).await;
            let found = found.map_err(|error| self.refused("list the volumes", &error))?;
            for volume in found.volumes.into_iter().flatten() {
                let options = RemoveVolumeOptionsBuilder::new().build();
                let gone = self.docker.remove_volume(&volume.name, Some(options)).await;
                count(self.gone("remove a volume", gone));
            }
        }
        removed
    }

    /// 1 if it was removed now, 0 if somebody else was faster.
    fn gone(&self, doing: &str, removed: Result<(), Error>) -> Result<usize, RigError> {
        match removed {
            Ok(()) => Ok(1),
            Err(error) if is_missing(&error) => Ok(0),
            // It is being removed already.
            Err(Error::DockerResponseServerError {
                status_code: 409,
                message,
            }) if message.contains("already in progress") => Ok(0),
            // A network of a Swarm shows here for a moment longer; its manager is asked last.
            Err(Error::DockerResponseServerError {
                status_code: 503,
                message,
            }) if message.contains("not a swarm manager") => Ok(0),
            Err(error) => Err(self.refused(doing, &error)),
        }
    }

    fn refused(&self, doing: &str, error: &Error) -> RigError {
        let reason = innermost(error);
        let next_step = if reason.contains("address pools") {
            "remove networks nobody uses: `docker network prune`"
        } else {
            "see what `docker info` says; the local backend needs no engine"
        };
        RigError {
            doing: format!("{doing} of the cluster {}", self.names.cluster()),
            reason,
            next_step: next_step.to_owned(),
            refused: false,
        }
    }
}

/// The name of the network that the default cluster needs, if somebody else has one of that name.
///
/// # Errors
///
/// When the engine refuses.
pub async fn network_taken(docker: &Docker) -> Result<Option<String>, RigError> {
    let objects = Objects {
        docker: docker.clone(),
        names: Names::new(DEFAULT_NAME),
        bind: String::new(),
    };
    let name = objects.names.network();
    let there = objects.find_network(&name).await?;
    let labels = there.map(|network| network.labels.unwrap_or_default());
    let foreign = labels.is_some_and(|labels| labels.get(OWNER).is_none_or(|owner| owner != US));
    Ok(foreign.then_some(name))
}

/// Removes everything of ours that no controller looks after, volumes if told so; or only what
/// belongs to the cluster of this name. Returns the names of the clusters, and how many objects each
/// had.
///
/// # Errors
///
/// When the engine refuses.
pub async fn remove_leftovers(
    docker: &Docker,
    volumes: bool,
    only: Option<&str>,
) -> Result<Vec<(String, usize)>, RigError> {
    let found = find::clusters(docker).await?;
    let controlled = |name: &str| found.iter().any(|it| it.name == name && it.controlled);
    let mut removed = Vec::new();
    for name in names_of_ours(docker).await? {
        if controlled(&name) || only.is_some_and(|only| only != name) {
            continue;
        }
        let objects = Objects {
            docker: docker.clone(),
            names: Names::new(&name),
            bind: String::new(),
        };
        match objects.remove(volumes).await? {
            0 => {}
            count => removed.push((name, count)),
        }
    }
    Ok(removed)
}

/// Of every cluster that something of ours belongs to.
async fn names_of_ours(docker: &Docker) -> Result<BTreeSet<String>, RigError> {
    let filters = HashMap::from([("label", vec![format!("{OWNER}={US}")])]);
    let refused = |error: Error| RigError {
        doing: "list what is left of clusters".to_owned(),
        reason: innermost(&error),
        next_step: "see what `docker info` says".to_owned(),
        refused: false,
    };
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let containers = docker
        .list_containers(Some(options))
        .await
        .map_err(refused)?;
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.map_err(refused)?;
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = docker.list_volumes(Some(options)).await.map_err(refused)?;
    let labels = (containers.into_iter().filter_map(|it| it.labels))
        .chain(networks.into_iter().filter_map(|it| it.labels))
        .chain(volumes.volumes.into_iter().flatten().map(|it| it.labels));
    Ok(labels
        .filter_map(|mut labels| labels.remove(CLUSTER))
        .collect())
}

/// What a member is called on the network of the cluster, beside the name of its container.
pub(super) fn aliases(member: Member) -> Vec<String> {
    match member {
        Member::Relay => vec![RELAY_ALIAS.to_owned()],
        Member::Node(_) => Vec::new(),
    }
}
