//! The backend `local`: real child processes of this executable on this machine.
//!
//! [`LocalCluster::open`] makes one. Nothing runs until members are started. Each node dials the
//! relay through a [`LinkProxy`] of its own, which is where its link is cut.

mod config;
pub(super) mod health;
mod meter;
mod resident;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::child::Nursery;
use super::crew::{Crew, Crewed};
use super::logs::LogBook;
use super::ports::{Port, address};
use super::proxy::LinkProxy;
use super::{Member, MemberStatus, RigError, Traffic, Usage};
use meter::Meter;
use resident::Resident;

pub use config::{BASE_PORT, Durability, LocalConfig, NODES_MAX, RELAY_PORT};

/// A cluster of child processes. Dropping it kills them; [`ClusterBackend::shutdown`](super::ClusterBackend::shutdown) asks first.
#[derive(Debug)]
pub struct LocalCluster {
    config: Arc<LocalConfig>,
    crew: Crew,
    links: BTreeMap<Member, Arc<LinkProxy>>,
    meter: Meter,
}

impl LocalCluster {
    /// Makes folders, takes ports and opens links; starts no process.
    ///
    /// # Errors
    /// When the folder cannot be written, or there are no ports or threads left.
    pub async fn open(config: LocalConfig) -> Result<Arc<Self>, RigError> {
        if config.nodes == 0 || config.nodes > NODES_MAX {
            return Err(RigError {
                doing: "open a local cluster".to_owned(),
                reason: format!("{} nodes are asked for", config.nodes),
                next_step: format!("ask for 1 to {NODES_MAX}"),
                refused: false,
            });
        }
        let folder = config.folder.clone();
        Self::build(config)
            .await
            .map(Arc::new)
            .map_err(|error| RigError {
                doing: "open a local cluster".to_owned(),
                reason: format!("{} (folder {})", error, folder.display()),
                next_step: "check that the folder can be written, or name another with --data-dir"
                    .to_owned(),
                refused: false,
            })
    }

    async fn build(config: LocalConfig) -> io::Result<Self> {
        for folder in ["logs", "data"] {
            std::fs::create_dir_all(config.folder.join(folder))?;
        }
        let config = Arc::new(config);
        let nursery = Nursery::open()?;
        let mut ports = BTreeMap::new();
        for member in config.members() {
            ports.insert(member, Port::take(config.wanted_port(member))?);
        }
        let relay = address(ports[&Member::Relay].number());
        let mut links = BTreeMap::new();
        for member in config.members().filter(|member| *member != Member::Relay) {
            links.insert(member, Arc::new(LinkProxy::open(relay).await?));
        }
        let mut crew = Crew::new();
        for (member, port) in ports {
            let link = links.get(&member).cloned();
            let links_to_it = match member {
                Member::Relay => links.values().cloned().collect(),
                Member::Node(_) => Vec::new(),
            };
            let url = format!("http://{}", address(port.number()));
            let (orders, status) = crew.desks.open(MemberStatus::stopped(member, url));
            let log = LogBook::new(config.log_path(member));
            let resident = Resident {
                config: Arc::clone(&config),
                nursery: nursery.clone(),
                log: log.clone(),
                events: crew.desks.events().clone(),
                status,
                port,
                link,
                links_to_it,
                clocks: Arc::clone(&crew.clocks),
                member,
            };
            tokio::spawn(resident.run(orders));
            crew.logs.insert(member, log);
        }
        Ok(Self {
            config,
            crew,
            links,
            meter: Meter::default(),
        })
    }
}

#[async_trait::async_trait]
impl Crewed for LocalCluster {
    fn kind(&self) -> &'static str {
        "local"
    }

    fn crew(&self) -> &Crew {
        &self.crew
    }

    fn usage(&self, status: &MemberStatus) -> Usage {
        self.meter.read(status.member, status.pid)
    }

    async fn traffic(&self, node: Member) -> Option<Traffic> {
        Some(self.links.get(&node)?.traffic())
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        self.crew.desks.close().await?;
        if self.config.temporary {
            // What cannot be deleted is left behind; nobody needs it, and nothing runs in it.
            let _ = tokio::fs::remove_dir_all(&self.config.folder).await;
        }
        Ok(())
    }
}
