//! One member's container: looked at, started, signalled, and moved on and off the network.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, NetworkConnectRequest,
    NetworkDisconnectRequest,
};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, StartContainerOptions,
};

use crate::cluster::child::describe_code;
use crate::cluster::lifecycle::Signal;
use crate::docker::engine::innermost;
use crate::docker::image::is_missing;

/// A container, by its name: somebody may replace it by another one of the same name.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) docker: Docker,
    pub(super) name: String,
    /// The network a partition takes it off; `None` where only the proxy in its process can cut it.
    pub(super) network: Option<String>,
    /// What it is called there, for when it is put back.
    pub(super) aliases: Vec<String>,
    /// Its address there, if somebody has chosen it.
    pub(super) address: Option<EndpointIpamConfig>,
}

/// What a container looks like at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: String,
    /// Its process, if one runs.
    pub(super) process: Option<Process>,
    pub(super) paused: bool,
    /// How the last process ended, if none runs.
    pub(super) exit: String,
    pub(super) on_network: bool,
    /// Its address there, while it runs.
    pub(super) address: String,
    /// Ports inside, and where they are published.
    pub(super) ports: BTreeMap<u16, (String, u16)>,
}

/// One life of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// Tells one life from the next.
    pub(super) started_at: String,
    /// In the eyes of the engine's machine.
    pub(super) pid: u32,
}

impl Container {
    /// `None` when there is none of that name.
    pub(super) async fn look(&mut self) -> Result<Option<Seen>, String> {
        let options = None::<InspectContainerOptions>;
        match self.docker.inspect_container(&self.name, options).await {
            Ok(answer) => Ok(Some(self.read(answer))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(innermost(&error)),
        }
    }

    fn read(&mut self, answer: ContainerInspectResponse) -> Seen {
        let id = answer.id.unwrap_or_default();
        let state = answer.state.unwrap_or_default();
        let running = state.running == Some(true) && state.restarting != Some(true);
        let process = running.then(|| Process {
            started_at: state.started_at.unwrap_or_default(),
            pid: state
                .pid
                .and_then(|pid| u32::try_from(pid).ok())
                .unwrap_or(0),
        });
        let exit = match state.exit_code {
            _ if state.oom_killed == Some(true) => "killed by the kernel: out of memory".to_owned(),
            Some(code) => describe_code(code),
            None => "exit status unknown".to_owned(),
        };
        let settings = answer.network_settings.unwrap_or_default();
        let mut networks = settings.networks.unwrap_or_default();
        let here = (self.network.as_ref()).and_then(|network| networks.remove(network));
        let on_network = here.is_some() || self.network.is_none();
        let address = here.as_ref().and_then(|here| here.ip_address.clone());
        if let Some(here) = here {
            self.remember(here, &id);
        }
        let bindings = [
            settings.ports,
            answer.host_config.and_then(|config| config.port_bindings),
        ];
        let mut ports = BTreeMap::new();
        for (inside, bound) in bindings.into_iter().flatten().flatten() {
            let inside = inside.split('/').next().and_then(|port| port.parse().ok());
            let bound = bound.into_iter().flatten().find_map(|bound| {
                let port = bound.host_port?.parse().ok().filter(|port| *port != 0)?;
                Some((bound.host_ip.unwrap_or_default(), port))
            });
            if let (Some(inside), Some(bound)) = (inside, bound) {
                ports.entry(inside).or_insert(bound);
            }
        }
        Seen {
            id,
            process,
            paused: state.paused == Some(true),
            exit,
            on_network,
            address: address.unwrap_or_default(),
            ports,
        }
    }

    /// How to put it back later as it is now.
    fn remember(&mut self, here: EndpointSettings, id: &str) {
        let aliases = here.aliases.unwrap_or_default();
        // The engine adds the short id by itself, and that of a former container would be wrong.
        let aliases = aliases.into_iter().filter(|alias| !id.starts_with(alias));
        for alias in aliases {
            if !self.aliases.contains(&alias) {
                self.aliases.push(alias);
            }
        }
        self.address = here.ipam_config.filter(|config| {
            let address = config.ipv4_address.as_deref().unwrap_or_default();
            !address.is_empty()
        });
    }

    pub(super) async fn start(&self) -> Result<(), String> {
        let options = None::<StartContainerOptions>;
        settled(
            self.docker.start_container(&self.name, options).await,
            &[304],
        )
    }

    pub(super) async fn signal(&self, signal: Signal) -> Result<(), String> {
        let named = match signal {
            Signal::Term => "SIGTERM",
            Signal::Kill => "SIGKILL",
            // A container is frozen as a whole, which its processes cannot notice.
            Signal::Stop => {
                return settled(self.docker.pause_container(&self.name).await, &[]);
            }
            // Ending a paused container has thawed it already.
            Signal::Cont => {
                return settled(self.docker.unpause_container(&self.name).await, &[409, 500]);
            }
        };
        let options = KillContainerOptionsBuilder::new().signal(named).build();
        let sent = self.docker.kill_container(&self.name, Some(options)).await;
        // It has ended meanwhile, or is gone: that is seen by looking.
        settled(sent, &[404, 409])
    }

    /// Puts it on the network of the cluster, under the names and the address it had.
    pub(super) async fn join(&self) -> Result<(), String> {
        let Some(network) = &self.network else {
            return Ok(());
        };
        let request = NetworkConnectRequest {
            container: self.name.clone(),
            endpoint_config: Some(EndpointSettings {
                aliases: Some(self.aliases.clone()),
                ipam_config: self.address.clone(),
                ..EndpointSettings::default()
            }),
        };
        let joined = self.docker.connect_network(network, request).await;
        match joined {
            Err(error) if innermost(&error).contains("already exists in network") => Ok(()),
            joined => settled(joined, &[]),
        }
    }

    /// Takes it off the network of the cluster.
    pub(super) async fn leave(&self) -> Result<(), String> {
        let Some(network) = &self.network else {
            return Err("it is on no network that a cut could take it off".to_owned());
        };
        let request = NetworkDisconnectRequest {
            container: self.name.clone(),
            force: Some(false),
        };
        let left = self.docker.disconnect_network(network, request).await;
        match left {
            Err(error) if innermost(&error).contains("is not connected") => Ok(()),
            left => settled(left, &[]),
        }
    }
}

/// An answer as a sentence; some refusals mean that nothing was left to do.
fn settled(answer: Result<(), Error>, fine: &[u16]) -> Result<(), String> {
    match answer {
        Err(Error::DockerResponseServerError { status_code, .. })
            if fine.contains(&status_code) =>
        {
            Ok(())
        }
        Err(error) => Err(innermost(&error)),
        Ok(()) => Ok(()),
    }
}
