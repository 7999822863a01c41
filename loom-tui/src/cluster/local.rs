//! The backend `local`: real child processes of this executable on this machine.
//!
//! [`LocalCluster::open`] makes one. Nothing runs until members are started. Each node dials the
//! relay through a [`LinkProxy`] of its own, which is where its link is cut.

mod config;
pub(super) mod health;
mod resident;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::child::Nursery;
use super::clocks::Clocks;
use super::desk::Desks;
use super::lifecycle::Wish;
use super::logs::LogBook;
use super::ports::{Port, address};
use super::proxy::LinkProxy;
use super::{ClusterBackend, ClusterEvent, Life, Link, Member, MemberStatus, RigError, Traffic};
use resident::Resident;

pub use config::{BASE_PORT, Durability, LocalConfig, NODES_MAX, RELAY_PORT};

/// A cluster of child processes. Dropping it kills them; [`ClusterBackend::shutdown`] asks first.
#[derive(Debug)]
pub struct LocalCluster {
    config: Arc<LocalConfig>,
    desks: Desks,
    logs: BTreeMap<Member, LogBook>,
    links: BTreeMap<Member, Arc<LinkProxy>>,
    clocks: Arc<Clocks>,
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
        let clocks = Arc::new(Clocks::default());
        let mut desks = Desks::new();
        let mut logs = BTreeMap::new();
        for (member, port) in ports {
            let link = links.get(&member).cloned();
            let links_to_it = match member {
                Member::Relay => links.values().cloned().collect(),
                Member::Node(_) => Vec::new(),
            };
            let (orders, status) = desks.open(first_status(member, port.number()));
            let log = LogBook::new(config.log_path(member));
            let resident = Resident {
                config: Arc::clone(&config),
                nursery: nursery.clone(),
                log: log.clone(),
                events: desks.events().clone(),
                status,
                port,
                link,
                links_to_it,
                clocks: Arc::clone(&clocks),
                member,
            };
            tokio::spawn(resident.run(orders));
            logs.insert(member, log);
        }
        Ok(Self {
            config,
            desks,
            logs,
            links,
            clocks,
        })
    }
}

#[async_trait::async_trait]
impl ClusterBackend for LocalCluster {
    fn kind(&self) -> &'static str {
        "local"
    }

    async fn members(&self) -> Vec<MemberStatus> {
        let statuses = self.desks.statuses().map(|mut status| {
            status.memory = status.pid.and_then(resident_bytes);
            status.clock_ms = self.clocks.get(status.member);
            status
        });
        statuses.collect()
    }

    fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.desks.events().subscribe()
    }

    async fn log_tail(&self, member: Member, lines: usize) -> Vec<String> {
        let log = self.logs.get(&member);
        log.map_or_else(Vec::new, |log| log.tail(lines))
    }

    fn log_file(&self, member: Member) -> Option<PathBuf> {
        Some(self.logs.get(&member)?.path().to_owned())
    }

    async fn start(&self, member: Member) -> Result<(), RigError> {
        self.desks.wish(Wish::Start, member).await
    }

    async fn stop(&self, member: Member) -> Result<(), RigError> {
        self.desks.wish(Wish::Stop, member).await
    }

    async fn kill(&self, member: Member) -> Result<(), RigError> {
        self.desks.wish(Wish::Kill, member).await
    }

    async fn suspend(&self, member: Member) -> Result<(), RigError> {
        self.desks.wish(Wish::Suspend, member).await
    }

    async fn resume(&self, member: Member) -> Result<(), RigError> {
        self.desks.wish(Wish::Resume, member).await
    }

    async fn wipe(&self, member: Member) -> Result<(), RigError> {
        self.desks.wish(Wish::Wipe, member).await
    }

    async fn set_link(
        &self,
        node: Member,
        link: Link,
        lease: Option<Duration>,
    ) -> Result<(), RigError> {
        self.desks.set_link(node, link, lease).await
    }

    async fn set_clock(&self, node: Member, ahead_ms: i64) -> Result<(), RigError> {
        self.clocks.change(&self.desks, node, ahead_ms).await
    }

    async fn traffic(&self, node: Member) -> Option<Traffic> {
        Some(self.links.get(&node)?.traffic())
    }

    async fn start_all(&self) -> Result<(), RigError> {
        self.desks.start_all().await
    }

    async fn heal(&self) -> Result<(), RigError> {
        let healed = self.desks.heal().await;
        healed.and(self.clocks.heal(&self.desks).await)
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        self.desks.close().await?;
        if self.config.temporary {
            // What cannot be deleted is left behind; nobody needs it, and nothing runs in it.
            let _ = tokio::fs::remove_dir_all(&self.config.folder).await;
        }
        Ok(())
    }
}

fn first_status(member: Member, port: u16) -> MemberStatus {
    MemberStatus {
        member,
        life: Life::Stopped,
        url: format!("http://{}", address(port)),
        pid: None,
        generation: 0,
        last_exit: None,
        link: Link::default(),
        memory: None,
        clock_ms: 0,
    }
}

/// Resident memory of a process, where there is a `/proc`.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
