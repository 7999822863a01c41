//! Which engines: the one the `docker` command would use, or those of several machines.

use clap::Args;
use futures_util::future::join_all;

use crate::cluster::RigError;
use crate::docker::{Endpoint, Engine, Trouble};

/// Several machines.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct HostsArgs {
    /// Docker engines of several machines, to place members on round-robin: the relay comes to the
    /// first. Engines of one Swarm share a network; others dial the first one's address
    #[arg(long, env = "LOOM_HOSTS", value_name = "URL,URL,…", value_delimiter = ',',
          value_parser = host)]
    hosts: Vec<String>,
}

impl HostsArgs {
    /// Whether none is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// As on the command line; nothing if none is named.
    pub(crate) fn to_flag(&self) -> Option<String> {
        (!self.hosts.is_empty()).then(|| self.hosts.join(","))
    }

    /// Connects to all of them, or else to the one the `docker` command would use.
    ///
    /// # Errors
    /// The first that cannot be used, or that is named twice.
    pub(crate) async fn engines(&self) -> Result<Vec<Engine>, RigError> {
        self.check_distinct()?;
        let connected = self.each().await.into_iter();
        Ok(connected.collect::<Result<_, _>>()?)
    }

    /// # Errors
    /// The first that is named twice.
    pub(crate) fn check_distinct(&self) -> Result<(), RigError> {
        for (index, url) in self.hosts.iter().enumerate() {
            if self.hosts[..index].contains(url) {
                return Err(RigError {
                    doing: "use the engines of --hosts".to_owned(),
                    reason: format!("{url} is named twice"),
                    next_step: "name each machine once".to_owned(),
                    refused: false,
                });
            }
        }
        Ok(())
    }

    /// What became of the way to each of them.
    pub(crate) async fn each(&self) -> Vec<Result<Engine, Trouble>> {
        if self.hosts.is_empty() {
            return vec![Engine::connect().await];
        }
        let endpoints = self.hosts.iter().map(|url| Endpoint::new(url, "--hosts"));
        join_all(endpoints.map(Engine::connect_to)).await
    }
}

fn host(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.split_once("://") {
        Some(("ssh" | "tcp" | "unix", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err("use addresses such as ssh://user@10.0.0.1 or tcp://10.0.0.1:2375".to_owned()),
    }
}
