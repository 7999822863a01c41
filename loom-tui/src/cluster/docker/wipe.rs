//! Deleting what a member has stored: a container of the same image empties its volume, so that
//! nothing has to be taken from under the member's own container.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;

use super::container::Container;
use super::names::{CLUSTER, OWNER, US};
use crate::docker::engine::innermost;
use crate::docker::rootfs::DATA;

/// A member stores little enough for this.
const WIPED_WITHIN: Duration = Duration::from_secs(60);

/// Empties the volumes of a container that does not run.
pub(super) async fn wipe(member: &Container) -> Result<(), String> {
    let docker = &member.docker;
    let options = None::<InspectContainerOptions>;
    let found = docker.inspect_container(&member.name, options).await;
    let found = found.map_err(|error| innermost(&error))?;
    let of = found.config.and_then(|config| config.labels);
    let mut labels = HashMap::from([(OWNER.to_owned(), US.to_owned())]);
    // By this `down` finds it if this process is killed meanwhile.
    if let Some(cluster) = of.and_then(|mut labels| labels.remove(CLUSTER)) {
        labels.insert(CLUSTER.to_owned(), cluster);
    }
    let name = format!("{}-wipe-{:08x}", member.name, rand::random::<u32>());
    let body = ContainerCreateBody {
        image: found.image,
        cmd: Some(vec!["wipe-data".to_owned(), DATA.to_owned()]),
        labels: Some(labels),
        host_config: Some(HostConfig {
            volumes_from: Some(vec![member.name.clone()]),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    let created = docker.create_container(Some(options), body).await;
    created.map_err(|error| innermost(&error))?;
    let wiped = timeout(WIPED_WITHIN, run(docker, &name)).await;
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    let removed = docker.remove_container(&name, Some(options)).await;
    wiped.map_err(|_| format!("not done within {WIPED_WITHIN:?}"))??;
    removed.map_err(|error| innermost(&error))
}

async fn run(docker: &Docker, name: &str) -> Result<(), String> {
    let options = None::<StartContainerOptions>;
    let started = docker.start_container(name, options).await;
    started.map_err(|error| innermost(&error))?;
    let mut ended = Box::pin(docker.wait_container(name, None::<WaitContainerOptions>));
    match ended.next().await {
        Some(Ok(ended)) if ended.status_code == 0 => return Ok(()),
        // The library makes an error of every other exit status.
        Some(_) => {}
        None => return Err("the engine does not say how it ended".to_owned()),
    }
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
    let said: Vec<_> = (docker.logs(name, Some(options)).try_collect().await).unwrap_or_default();
    let said: String = said.iter().map(ToString::to_string).collect();
    Err(format!("wipe-data failed: {}", said.trim()))
}
