//! The backend `docker`: every member in a container of its own, through the engine's API.
//!
//! [`DockerCluster::open`] makes a cluster, [`DockerCluster::attach`] looks after one that is there,
//! such as docker-compose's. A node is cut off by taking its container off the
//! network it shares with the relay; what a network cannot do (one way only, delay, loss) is done
//! by the proxy in the node's own container. Everything is found again by labels, so that what a
//! controller that was killed has left behind can be undone.

mod config;
mod container;
mod find;
mod logs;
mod names;
mod objects;
mod place;
mod resident;
mod watch;
mod wipe;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;

use super::desk::Desks;
use super::lifecycle::{Limits, Wish};
use super::local::{NODES_MAX, resident_bytes};
use super::logs::LogBook;
use super::ports::Port;
use super::{ClusterBackend, ClusterEvent, Life, Link, Member, MemberStatus, RigError, Traffic};
use crate::client::http;
use crate::docker::{Engine, image};
use container::Container;
use objects::{Objects, Published};
use place::Place;
use resident::Resident;

pub use config::DockerConfig;
pub use find::{COMPOSE, Found, clusters};
pub use names::DEFAULT_NAME;
pub use objects::remove_leftovers;

/// A cluster of containers. Dropping it leaves them running; [`ClusterBackend::shutdown`] ends them.
#[derive(Debug)]
pub struct DockerCluster {
    desks: Desks,
    logs: BTreeMap<Member, LogBook>,
    places: BTreeMap<Member, Arc<Place>>,
    watcher: JoinHandle<()>,
    /// `None` where somebody else made everything: then nothing is ended or removed.
    own: Option<Own>,
}

/// What this cluster has made.
#[derive(Debug)]
struct Own {
    objects: Objects,
    config: DockerConfig,
    /// Held so that nobody else takes the port of a member that is down.
    _ports: Vec<Port>,
}

impl DockerCluster {
    /// Makes networks, volumes and containers; starts none of them. What an earlier cluster of
    /// that name left behind is removed first, but for its volumes.
    ///
    /// # Errors
    /// When the engine refuses; nothing is left behind then.
    pub async fn open(engine: &Engine, config: DockerConfig) -> Result<Arc<Self>, RigError> {
        if config.nodes == 0 || config.nodes > NODES_MAX {
            return Err(RigError {
                doing: "open a cluster of containers".to_owned(),
                reason: format!("{} nodes are asked for", config.nodes),
                next_step: format!("ask for 1 to {NODES_MAX}"),
                refused: false,
            });
        }
        let local = engine.endpoint.host().is_none();
        let objects = Objects {
            docker: engine.docker.clone(),
            names: config.names(),
            bind: if local { "127.0.0.1" } else { "0.0.0.0" }.to_owned(),
        };
        let image = match &config.image {
            Some(image) => image.clone(),
            None => image::of_this_program(engine).await?,
        };
        objects.check_unused().await?;
        objects.remove(false).await?;
        match Self::build(engine, &objects, config, &image).await {
            Ok(cluster) => Ok(Arc::new(cluster)),
            Err(error) => {
                // The first error says more than a second one would.
                let _ = objects.remove(false).await;
                Err(error)
            }
        }
    }

    async fn build(
        engine: &Engine,
        objects: &Objects,
        config: DockerConfig,
        image: &str,
    ) -> Result<Self, RigError> {
        objects.lay(&config).await?;
        let mut ports = Vec::new();
        let mut moved = Vec::new();
        for member in config.members() {
            let wanted = config.wanted_port(member);
            let port = Port::take(wanted).map_err(|error| rig(&config, &error))?;
            if wanted != 0 && wanted != port.number() {
                moved.push((member, wanted, port.number()));
            }
            let control = match member {
                Member::Relay => None,
                Member::Node(_) => Some(Port::take(0).map_err(|error| rig(&config, &error))?),
            };
            let published = Published {
                port: port.number(),
                control: control.as_ref().map(Port::number),
            };
            objects.make(&config, image, member, published).await?;
            ports.push(port);
            ports.extend(control);
        }
        let seats = config.members().map(|member| Seat {
            member,
            container: Container {
                docker: objects.docker.clone(),
                name: objects.names.container(member),
                network: objects.names.network(),
                aliases: objects::aliases(member),
                address: None,
            },
            url: None,
        });
        let limits = Limits {
            ready_within: config.ready_within,
            grace: config.grace,
        };
        let seats = seats.collect();
        let crew = crew(engine, seats, &config.folder.join("logs"), limits).await;
        let (desks, logs, places, watcher) = crew.map_err(|error| rig(&config, &error))?;
        for (member, wanted, used) in moved {
            // Nobody may be listening.
            let _ = desks.events().send(ClusterEvent {
                at: std::time::SystemTime::now(),
                member: Some(member),
                what: format!("port {wanted} is taken: using {used}"),
                unexpected: true,
            });
        }
        Ok(Self {
            desks,
            logs,
            places,
            watcher,
            own: Some(Own {
                objects: objects.clone(),
                config,
                _ports: ports,
            }),
        })
    }

    /// Looks after a cluster that is there, with its logs in `folder`. What a controller that is
    /// gone has done to its links is undone; what somebody did by hand stays.
    ///
    /// Members are reached where `url` says, or else where their ports are published.
    ///
    /// # Errors
    /// When its members cannot be told, or have no published port.
    pub async fn attach(
        engine: &Engine,
        found: &Found,
        folder: &Path,
        url: impl Fn(Member) -> Option<String>,
    ) -> Result<Arc<Self>, RigError> {
        let seats = found.seats(&engine.docker).await?;
        let seats = seats.into_iter().map(|(member, container)| Seat {
            member,
            container,
            url: url(member),
        });
        let limits = DockerConfig::new(PathBuf::new());
        let limits = Limits {
            ready_within: limits.ready_within,
            grace: limits.grace,
        };
        let crew = crew(engine, seats.collect(), &folder.join("logs"), limits).await;
        let (desks, logs, places, watcher) = crew.map_err(|error| RigError {
            doing: format!("attach to the cluster {}", found.name),
            reason: format!("{error} (folder {})", folder.display()),
            next_step: "check that the folder can be written".to_owned(),
            refused: false,
        })?;
        let nowhere = places.iter().find(|(_, place)| place.url().is_empty());
        if let Some((member, _)) = nowhere {
            return Err(RigError {
                doing: format!("attach to the cluster {}", found.name),
                reason: format!("{member} publishes no port, so it cannot be asked anything"),
                next_step: "publish its port in docker-compose.yml".to_owned(),
                refused: false,
            });
        }
        Ok(Arc::new(Self {
            desks,
            logs,
            places,
            watcher,
            own: None,
        }))
    }
}

/// One container to look after.
struct Seat {
    member: Member,
    container: Container,
    /// Where it is reached, if not where its port is published.
    url: Option<String>,
}

type Crew = (
    Desks,
    BTreeMap<Member, LogBook>,
    BTreeMap<Member, Arc<Place>>,
    JoinHandle<()>,
);

/// Has each container looked after, and the engine listened to.
async fn crew(
    engine: &Engine,
    seats: Vec<Seat>,
    folder: &Path,
    limits: Limits,
) -> io::Result<Crew> {
    std::fs::create_dir_all(folder)?;
    let http = http().map_err(io::Error::other)?;
    let host = engine.endpoint.host().unwrap_or("127.0.0.1");
    let mut desks = Desks::new();
    let (mut logs, mut places) = (BTreeMap::new(), BTreeMap::new());
    let mut hints = watch::Hints::new();
    let mut network = String::new();
    for Seat {
        member,
        mut container,
        url,
    } in seats
    {
        network.clone_from(&container.network);
        let place = Arc::new(Place::new(http.clone(), host, url));
        if let Ok(Some(seen)) = container.look().await {
            place.learn(&seen);
        }
        let (orders, status) = desks.open(MemberStatus {
            member,
            life: Life::Stopped,
            url: place.url(),
            pid: None,
            generation: 0,
            last_exit: None,
            link: Link::default(),
            memory: None,
            clock_ms: 0,
        });
        let hint = Arc::new(Notify::new());
        hints.insert(container.name.clone(), Arc::clone(&hint));
        let log = LogBook::new(folder.join(format!("{member}.log")));
        let resident = Resident {
            member,
            container,
            place: Arc::clone(&place),
            limits,
            log: log.clone(),
            events: desks.events().clone(),
            status,
            hint,
        };
        tokio::spawn(resident.run(orders));
        logs.insert(member, log);
        places.insert(member, place);
    }
    let events = desks.events().clone();
    let watcher = watch::follow(engine.docker.clone(), network, hints, events);
    Ok((desks, logs, places, tokio::spawn(watcher)))
}

impl Drop for DockerCluster {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

#[async_trait::async_trait]
impl ClusterBackend for DockerCluster {
    fn kind(&self) -> &'static str {
        "docker"
    }

    async fn members(&self) -> Vec<MemberStatus> {
        let statuses = self.desks.statuses().map(|mut status| {
            status.memory = status.pid.and_then(resident_bytes);
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

    async fn traffic(&self, node: Member) -> Option<Traffic> {
        self.places.get(&node)?.traffic().await
    }

    async fn start_all(&self) -> Result<(), RigError> {
        self.desks.start_all().await
    }

    async fn heal(&self) -> Result<(), RigError> {
        self.desks.heal().await
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        let Some(own) = &self.own else {
            self.desks.shut();
            return self.desks.heal().await;
        };
        self.desks.close().await?;
        own.objects.remove(!own.config.keep_volumes).await?;
        if own.config.temporary {
            // What cannot be deleted is left behind; nobody needs it, and nothing runs in it.
            let _ = tokio::fs::remove_dir_all(&own.config.folder).await;
        }
        Ok(())
    }
}

fn rig(config: &DockerConfig, error: &io::Error) -> RigError {
    RigError {
        doing: "open a cluster of containers".to_owned(),
        reason: format!("{error} (folder {})", config.folder.display()),
        next_step: "check that the folder can be written, or name another with --data-dir"
            .to_owned(),
        refused: false,
    }
}
