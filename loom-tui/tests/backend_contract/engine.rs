//! A Docker engine to try promises on, if there is one.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use loom_tui::docker::Engine;

/// Whether a machine without an engine fails these tests, as CI does, or skips them.
const REQUIRED: &str = "LOOM_REQUIRE_DOCKER";

/// An engine, and the image of this package's own executable.
pub(crate) async fn engine() -> Option<(Engine, String)> {
    match Engine::connect().await {
        Ok(engine) => Some((engine, image())),
        Err(trouble) if std::env::var_os(REQUIRED).is_some() => panic!("{trouble}"),
        Err(trouble) => {
            println!("skipped: {trouble}");
            None
        }
    }
}

fn image() -> String {
    let made = Command::new(Path::new(env!("CARGO_BIN_EXE_loom-tui")))
        .args(["image", "ensure"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// Every container, network and volume of a cluster, by name.
pub(crate) async fn left(engine: &Engine, cluster: &str) -> Vec<String> {
    let filters = HashMap::from([("label", vec![format!("loom.cluster={cluster}")])]);
    let docker = &engine.docker;
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let containers = docker.list_containers(Some(options)).await.unwrap();
    let names = containers.into_iter().flat_map(|it| it.names.unwrap());
    let mut left: Vec<String> = names.collect();
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.unwrap();
    left.extend(networks.into_iter().map(|it| it.name.unwrap()));
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = docker.list_volumes(Some(options)).await.unwrap();
    left.extend(volumes.volumes.into_iter().flatten().map(|it| it.name));
    left
}
