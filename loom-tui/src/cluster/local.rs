//! The backend `local`: real child processes of this executable on this machine.
//!
//! [`LocalCluster::open`] makes one. Nothing runs until members are started. Each node dials the
//! relay through a [`LinkProxy`] of its own, which is where its link is cut.

mod config;
mod health;
mod resident;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::child::Nursery;
use super::lifecycle::Wish;
use super::logs::LogBook;
use super::ports::{Port, address};
use super::proxy::LinkProxy;
use super::{ClusterBackend, ClusterEvent, Life, Link, Member, MemberStatus, RigError, Traffic};
use resident::{Order, Resident, Waiting};

pub use config::{BASE_PORT, Durability, LocalConfig, NODES_MAX, RELAY_PORT};

/// Events a slow reader may be behind before it loses the oldest and is told so.
const EVENTS_MAX: usize = 1_024;
/// Orders waiting for one member; whoever gives one more waits too.
const ORDERS_MAX: usize = 64;

/// A cluster of child processes. Dropping it kills them; [`ClusterBackend::shutdown`] asks first.
#[derive(Debug)]
pub struct LocalCluster {
    config: Arc<LocalConfig>,
    members: BTreeMap<Member, Handle>,
    events: broadcast::Sender<ClusterEvent>,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Handle {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<MemberStatus>,
    log: LogBook,
    link: Option<Arc<LinkProxy>>,
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
        let events = broadcast::Sender::new(EVENTS_MAX);
        let mut ports = BTreeMap::new();
        for member in config.members() {
            ports.insert(member, Port::take(config.wanted_port(member))?);
        }
        let relay = address(ports[&Member::Relay].number());
        let mut links = BTreeMap::new();
        for member in config.members().filter(|member| *member != Member::Relay) {
            links.insert(member, Arc::new(LinkProxy::open(relay).await?));
        }
        let mut members = BTreeMap::new();
        for (member, port) in ports {
            let link = links.get(&member).cloned();
            let links_to_it = match member {
                Member::Relay => links.values().cloned().collect(),
                Member::Node(_) => Vec::new(),
            };
            let (orders, received) = mpsc::channel(ORDERS_MAX);
            let (status, seen) = watch::channel(first_status(member, port.number()));
            let log = LogBook::new(config.log_path(member));
            let resident = Resident {
                config: Arc::clone(&config),
                nursery: nursery.clone(),
                log: log.clone(),
                events: events.clone(),
                status,
                port,
                link: link.clone(),
                links_to_it,
                member,
            };
            tokio::spawn(resident.run(received));
            let handle = Handle {
                orders,
                status: seen,
                log,
                link,
            };
            members.insert(member, handle);
        }
        Ok(Self {
            config,
            members,
            events,
            closed: AtomicBool::new(false),
        })
    }

    /// Starts the relay, then all nodes at once, and waits until each of them answers.
    ///
    /// # Errors
    /// The first that could not be started; the others are left as they are.
    pub async fn start_all(&self) -> Result<(), RigError> {
        self.start(Member::Relay).await?;
        let nodes = self
            .members
            .keys()
            .filter(|member| **member != Member::Relay);
        let started = join_all(nodes.map(|member| self.start(*member))).await;
        started.into_iter().collect::<Result<(), RigError>>()?;
        self.announce(None, "all members answer".to_owned(), false);
        Ok(())
    }

    fn handle(&self, doing: &str, member: Member) -> Result<&Handle, RigError> {
        self.members.get(&member).ok_or_else(|| RigError {
            doing: format!("{doing} {member}"),
            reason: format!("this cluster has the relay and {} nodes", self.config.nodes),
            next_step: "name one of them, or start a cluster with more --nodes".to_owned(),
            refused: true,
        })
    }

    async fn wish(&self, wish: Wish, doing: &str, member: Member) -> Result<(), RigError> {
        let handle = self.handle(doing, member)?;
        let doing = format!("{doing} {member}");
        if wish == Wish::Start && self.closed.load(Ordering::Acquire) {
            return Err(RigError {
                doing,
                reason: "the cluster was shut down".to_owned(),
                next_step: "start a new one".to_owned(),
                refused: false,
            });
        }
        let (reply, settled) = oneshot::channel();
        let lost = gone(&doing);
        let waiting = Waiting { doing, reply };
        if handle
            .orders
            .send(Order::Wish(wish, waiting))
            .await
            .is_err()
        {
            return Err(lost);
        }
        settled.await.unwrap_or(Err(lost))
    }

    fn announce(&self, member: Option<Member>, what: String, unexpected: bool) {
        // Nobody may be listening.
        let _ = self.events.send(ClusterEvent {
            at: SystemTime::now(),
            member,
            what,
            unexpected,
        });
    }
}

#[async_trait::async_trait]
impl ClusterBackend for LocalCluster {
    fn kind(&self) -> &'static str {
        "local"
    }

    async fn members(&self) -> Vec<MemberStatus> {
        let statuses = self.members.values().map(|handle| {
            let mut status = handle.status.borrow().clone();
            status.memory = status.pid.and_then(resident_bytes);
            status
        });
        statuses.collect()
    }

    fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.events.subscribe()
    }

    async fn log_tail(&self, member: Member, lines: usize) -> Vec<String> {
        let handle = self.members.get(&member);
        handle.map_or_else(Vec::new, |handle| handle.log.tail(lines))
    }

    fn log_file(&self, member: Member) -> Option<PathBuf> {
        Some(self.members.get(&member)?.log.path().to_owned())
    }

    async fn start(&self, member: Member) -> Result<(), RigError> {
        self.wish(Wish::Start, "start", member).await
    }

    async fn stop(&self, member: Member) -> Result<(), RigError> {
        self.wish(Wish::Stop, "stop", member).await
    }

    async fn kill(&self, member: Member) -> Result<(), RigError> {
        self.wish(Wish::Kill, "kill", member).await
    }

    async fn suspend(&self, member: Member) -> Result<(), RigError> {
        self.wish(Wish::Suspend, "suspend", member).await
    }

    async fn resume(&self, member: Member) -> Result<(), RigError> {
        self.wish(Wish::Resume, "resume", member).await
    }

    async fn wipe(&self, member: Member) -> Result<(), RigError> {
        self.wish(Wish::Wipe, "wipe", member).await
    }

    async fn set_link(
        &self,
        node: Member,
        link: Link,
        lease: Option<Duration>,
    ) -> Result<(), RigError> {
        let handle = self.handle("set the link of", node)?;
        if handle.link.is_none() {
            return Err(RigError {
                doing: "set the link of the relay".to_owned(),
                reason: "links belong to nodes, each has one to the relay".to_owned(),
                next_step: "cut the nodes you want, or suspend the relay".to_owned(),
                refused: true,
            });
        }
        let (reply, set) = oneshot::channel();
        let order = Order::SetLink(link, lease, reply);
        // The reply is dropped if the order could not be given.
        let _ = handle.orders.send(order).await;
        set.await
            .map_err(|_| gone(&format!("set the link of {node}")))
    }

    async fn traffic(&self, node: Member) -> Option<Traffic> {
        Some(self.members.get(&node)?.link.as_ref()?.traffic())
    }

    async fn heal(&self) -> Result<(), RigError> {
        for (member, handle) in &self.members {
            if handle.link.is_some() {
                self.set_link(*member, Link::default(), None).await?;
            }
            self.resume(*member).await?;
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        self.closed.store(true, Ordering::Release);
        let stopped = join_all(self.members.keys().map(|member| self.stop(*member))).await;
        stopped.into_iter().collect::<Result<(), RigError>>()?;
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
    }
}

fn gone(doing: &str) -> RigError {
    RigError {
        doing: doing.to_owned(),
        reason: "the cluster is being dropped".to_owned(),
        next_step: "start a new one".to_owned(),
        refused: false,
    }
}

/// Resident memory of a process, where there is a `/proc`.
fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
