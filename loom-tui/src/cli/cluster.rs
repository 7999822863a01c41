//! What cluster to make, and where: the same flags wherever one is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::CliError;
use super::folder::cluster_folder;
use super::platform::{Backend, Platform};
use crate::cluster::docker::{COMPOSE, DEFAULT_NAME, DockerCluster, DockerConfig, clusters};
use crate::cluster::local::{
    BASE_PORT, Durability, LocalCluster, LocalConfig, NODES_MAX, RELAY_PORT,
};
use crate::cluster::{ClusterBackend, RigError};
use crate::docker::Engine;

/// How many nodes a cluster has that is not told.
const NODES: u8 = 3;

/// What cluster to make; the same flags wherever one is made.
#[derive(Args, Clone, Debug)]
pub struct ClusterArgs {
    /// How many nodes
    #[arg(long, default_value_t = NODES, value_name = "COUNT",
          value_parser = clap::value_parser!(u8).range(1..=i64::from(NODES_MAX)))]
    nodes: u8,

    /// Port of the first node, the others follow; where one is taken another is used. 0 is any
    #[arg(long, default_value_t = BASE_PORT, value_name = "PORT")]
    base_port: u16,

    /// Port of the relay; if it is taken another is used. 0 is any
    #[arg(long, default_value_t = RELAY_PORT, value_name = "PORT")]
    relay_port: u16,

    /// Keep data and logs here; without it they are deleted when the cluster ends
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// What an acknowledged write survives: a power cut, a killed process, or nothing
    #[arg(long, value_enum, default_value_t)]
    durability: Durability,

    #[command(flatten)]
    platform: Platform,

    /// What containers, networks and volumes are called and labelled by
    #[arg(long, default_value = DEFAULT_NAME, value_name = "NAME", value_parser = object_name)]
    name: String,
}

impl ClusterArgs {
    /// Where they say.
    pub(super) fn backend(&self) -> Backend {
        self.platform.backend()
    }

    /// The same cluster as processes of this machine.
    pub(super) fn locally(self) -> Self {
        let platform = Platform::local();
        Self { platform, ..self }
    }

    /// The same as flags, for another process.
    pub(super) fn to_flags(&self) -> Vec<std::ffi::OsString> {
        let mut flags = Vec::new();
        let mut say = |flag: &str, value: &std::ffi::OsStr| {
            flags.extend([flag.into(), value.to_owned()]);
        };
        say("--nodes", self.nodes.to_string().as_ref());
        say("--base-port", self.base_port.to_string().as_ref());
        say("--relay-port", self.relay_port.to_string().as_ref());
        say("--durability", self.durability.to_string().as_ref());
        say("--name", self.name.as_ref());
        if let Some(folder) = &self.data_dir {
            say("--data-dir", folder.as_ref());
        }
        flags.extend(self.platform.to_flags().into_iter().map(Into::into));
        flags
    }

    /// The cluster they describe; none of its members is started.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn open(self) -> Result<Arc<dyn ClusterBackend>, CliError> {
        match self.backend() {
            Backend::Local => Ok(LocalCluster::open(self.into_config()?).await?),
            Backend::Docker => Ok(self.in_containers().await?),
        }
    }

    async fn in_containers(self) -> Result<Arc<DockerCluster>, RigError> {
        let engines = self.platform.hosts.engines().await?;
        let temporary = self.data_dir.is_none();
        let folder = self.data_dir.clone().unwrap_or_else(cluster_folder);
        let engine = &engines[0];
        let found = clusters(&engine.docker).await?;
        let wanted =
            |name: &str| name == self.name || (self.name == DEFAULT_NAME && name == COMPOSE);
        if let Some(found) = found.iter().find(|it| !it.ours && wanted(&it.name)) {
            self.check_as_it_is(&engines)?;
            return DockerCluster::attach(engine, found, Path::new(&folder), |_| None).await;
        }
        let config = DockerConfig {
            name: self.name,
            nodes: self.nodes,
            base_port: self.base_port,
            relay_port: self.relay_port,
            temporary,
            durability: self.durability,
            ..DockerConfig::new(folder)
        };
        DockerCluster::open_on(&engines, config).await
    }

    /// A cluster that somebody else has made is used as it is: flags that would say what it is to be
    /// are refused, instead of being ignored.
    fn check_as_it_is(&self, engines: &[Engine]) -> Result<(), RigError> {
        let ignored = [
            ("--hosts", engines.len() > 1),
            ("--nodes", self.nodes != NODES),
            ("--durability", self.durability != Durability::default()),
        ];
        let Some((flag, _)) = ignored.into_iter().find(|(_, given)| *given) else {
            return Ok(());
        };
        Err(RigError {
            doing: "use the cluster that docker-compose has started".to_owned(),
            reason: format!("it is used as it is, so {flag} cannot be had"),
            next_step: format!("leave out {flag}, or make a cluster beside it with --name"),
            refused: true,
        })
    }

    /// The local cluster they describe, made of this executable.
    ///
    /// # Errors
    /// When this executable cannot be found.
    fn into_config(self) -> Result<LocalConfig, CliError> {
        let program = std::env::current_exe().map_err(CliError::io("find this executable"))?;
        let temporary = self.data_dir.is_none();
        let folder = self.data_dir.unwrap_or_else(cluster_folder);
        // Members may be told of it from elsewhere.
        let folder = std::path::absolute(&folder).map_err(CliError::io("find the data folder"))?;
        Ok(LocalConfig {
            nodes: self.nodes,
            base_port: self.base_port,
            relay_port: self.relay_port,
            temporary,
            durability: self.durability,
            ..LocalConfig::new(folder, program)
        })
    }
}

/// What Docker takes as the name of a container, a network and a volume.
fn object_name(text: &str) -> Result<String, String> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let starts = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && text.len() <= 40 && text.bytes().all(fine) {
        return Ok(text.to_owned());
    }
    Err(
        "use up to 40 letters, digits, dots, dashes and underscores, a letter or digit first"
            .into(),
    )
}
