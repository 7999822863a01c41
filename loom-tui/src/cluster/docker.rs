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
mod fleet;
mod link;
mod logs;
mod names;
mod objects;
mod place;
mod resident;
mod usage;
mod watch;
mod wipe;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::crew::{Crew, Crewed};
use super::lifecycle::Limits;
use super::local::NODES_MAX;
use super::logs::LogBook;
use super::ports::Port;
use super::{ClusterEvent, Member, MemberStatus, RigError, Traffic, Usage};
use crate::client::http;
use crate::docker::{Engine, image};
use container::Container;
use fleet::Fleet;
use objects::Published;
use place::Place;
use resident::Resident;

pub use config::DockerConfig;
pub use find::{COMPOSE, Found, clusters};
pub use names::DEFAULT_NAME;
pub use objects::{network_taken, remove_leftovers};

/// A cluster of containers. Dropping it leaves them running; [`ClusterBackend::shutdown`](super::ClusterBackend::shutdown) ends them.
#[derive(Debug)]
pub struct DockerCluster {
    crew: Crew,
    places: BTreeMap<Member, Arc<Place>>,
    watchers: Vec<JoinHandle<()>>,
    /// `None` where somebody else made everything: then nothing is ended or removed.
    own: Option<Own>,
    /// Whether volumes go with the cluster, whatever its configuration says.
    forgets: AtomicBool,
}

/// What this cluster has made.
#[derive(Debug)]
struct Own {
    fleet: Fleet,
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
        Self::open_on(std::slice::from_ref(engine), config).await
    }

    /// The same on several machines: members are placed round-robin, the relay on the first.
    ///
    /// # Errors
    /// When an engine refuses; nothing is left behind then.
    pub async fn open_on(engines: &[Engine], config: DockerConfig) -> Result<Arc<Self>, RigError> {
        if config.nodes == 0 || config.nodes > NODES_MAX {
            return Err(RigError {
                doing: "open a cluster of containers".to_owned(),
                reason: format!("{} nodes are asked for", config.nodes),
                next_step: format!("ask for 1 to {NODES_MAX}"),
                refused: false,
            });
        }
        let fleet = Fleet::of(engines, &config).await?;
        let mut images = Vec::new();
        for site in &fleet.sites {
            images.push(match &config.image {
                Some(image) => image.clone(),
                None => image::of_this_program(&site.engine).await?,
            });
            site.objects.check_unused().await?;
        }
        fleet.remove(false).await?;
        let made = match fleet.lay(&config).await {
            Ok(()) => Self::furnish(&fleet, &config, &images).await,
            Err(error) => Err(error),
        };
        match made {
            Ok((ports, moved)) => Self::finish(fleet, config, ports, moved).await,
            Err(error) => {
                // The first error says more than a second one would.
                let _ = fleet.remove(false).await;
                Err(error)
            }
        }
    }

    /// Makes the containers. Returns the ports that are held, and those that were not to be had.
    async fn furnish(
        fleet: &Fleet,
        config: &DockerConfig,
        images: &[String],
    ) -> Result<(Vec<Port>, Vec<Moved>), RigError> {
        let (mut ports, mut moved) = (Vec::new(), Vec::new());
        let network = fleet.network();
        for (site, image) in fleet.sites.iter().zip(images) {
            for member in fleet.members_of(site, config) {
                let wanted = config.wanted_port(member);
                let taken = fleet.publish(member, wanted);
                let (port, held) = taken.map_err(|error| rig(config, &error))?;
                if wanted != 0 && wanted != port {
                    moved.push((member, wanted, port));
                }
                ports.extend(held);
                let mut published = Published {
                    port,
                    control: None,
                };
                if member != Member::Relay {
                    let taken = fleet.publish(member, 0);
                    let (control, held) = taken.map_err(|error| rig(config, &error))?;
                    published.control = Some(control);
                    ports.extend(held);
                }
                let command = config.command(member, &fleet.relay(), network.is_none());
                let making =
                    site.objects
                        .make(image, member, command, published, network.as_deref());
                making.await?;
            }
        }
        Ok((ports, moved))
    }

    /// Has what was made looked after.
    async fn finish(
        fleet: Fleet,
        config: DockerConfig,
        ports: Vec<Port>,
        moved: Vec<Moved>,
    ) -> Result<Arc<Self>, RigError> {
        let seats = config.members().map(|member| {
            let site = fleet.site(member);
            Seat {
                member,
                engine: site.engine.clone(),
                container: Container {
                    docker: site.objects.docker.clone(),
                    name: site.objects.names.container(member),
                    network: fleet.network(),
                    aliases: objects::aliases(member),
                    address: None,
                },
                url: None,
            }
        });
        let limits = Limits {
            ready_within: config.ready_within,
            grace: config.grace,
        };
        let manned = Self::man(seats.collect(), &config.folder, limits).await;
        let mut cluster = match manned {
            Ok(cluster) => cluster,
            Err(error) => {
                let _ = fleet.remove(false).await;
                return Err(rig(&config, &error));
            }
        };
        for (member, wanted, used) in moved {
            // Nobody may be listening.
            let _ = cluster.crew.desks.events().send(ClusterEvent {
                at: std::time::SystemTime::now(),
                member: Some(member),
                what: format!("port {wanted} is taken: using {used}"),
                unexpected: true,
            });
        }
        cluster.own = Some(Own {
            fleet,
            config,
            _ports: ports,
        });
        Ok(Arc::new(cluster))
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
            engine: engine.clone(),
            container,
            url: url(member),
        });
        let limits = DockerConfig::new(PathBuf::new());
        let limits = Limits {
            ready_within: limits.ready_within,
            grace: limits.grace,
        };
        let manned = Self::man(seats.collect(), folder, limits).await;
        let cluster = manned.map_err(|error| RigError {
            doing: format!("attach to the cluster {}", found.name),
            reason: format!("{error} (folder {})", folder.display()),
            next_step: "check that the folder can be written".to_owned(),
            refused: false,
        })?;
        let nowhere = cluster
            .places
            .iter()
            .find(|(_, place)| place.url().is_empty());
        if let Some((member, _)) = nowhere {
            return Err(RigError {
                doing: format!("attach to the cluster {}", found.name),
                reason: format!("{member} publishes no port, so it cannot be asked anything"),
                next_step: "publish its port in docker-compose.yml".to_owned(),
                refused: false,
            });
        }
        Ok(Arc::new(cluster))
    }

    /// Has each container looked after, with its log in `folder`, and every engine listened to.
    async fn man(seats: Vec<Seat>, folder: &Path, limits: Limits) -> io::Result<Self> {
        let folder = folder.join("logs");
        std::fs::create_dir_all(&folder)?;
        let http = http().map_err(io::Error::other)?;
        let mut crew = Crew::new();
        let mut places = BTreeMap::new();
        let mut watched: BTreeMap<String, watch::Watch> = BTreeMap::new();
        for Seat {
            member,
            engine,
            mut container,
            url,
        } in seats
        {
            let host = engine.endpoint.host().unwrap_or("127.0.0.1");
            let place = Arc::new(Place::new(http.clone(), host, url));
            if let Ok(Some(seen)) = container.look().await {
                place.learn(&seen);
            }
            let (orders, status) = crew.desks.open(MemberStatus::stopped(member, place.url()));
            let hint = Arc::new(Notify::new());
            let watch = watched
                .entry(engine.endpoint.url.clone())
                .or_insert_with(|| watch::Watch::of(&engine));
            watch.network.clone_from(&container.network);
            (watch.hints).insert(container.name.clone(), Arc::clone(&hint));
            let log = LogBook::new(folder.join(format!("{member}.log")));
            let resident = Resident {
                member,
                container,
                place: Arc::clone(&place),
                clocks: Arc::clone(&crew.clocks),
                limits,
                log: log.clone(),
                events: crew.desks.events().clone(),
                status,
                hint,
            };
            tokio::spawn(resident.run(orders));
            crew.logs.insert(member, log);
            places.insert(member, place);
        }
        let watchers = watched.into_values().map(|watch| {
            let events = crew.desks.events().clone();
            tokio::spawn(watch.follow(events))
        });
        let watchers = watchers.collect();
        Ok(Self {
            crew,
            places,
            watchers,
            own: None,
            forgets: AtomicBool::new(false),
        })
    }

    fn keeps_volumes(&self, own: &Own) -> bool {
        own.config.keep_volumes && !self.forgets.load(Ordering::Relaxed)
    }
}

/// One container to look after.
struct Seat {
    member: Member,
    engine: Engine,
    container: Container,
    /// Where it is reached, if not where its port is published.
    url: Option<String>,
}

/// A member, the port that was wished for, and the one it got.
type Moved = (Member, u16, u16);

impl Drop for DockerCluster {
    fn drop(&mut self) {
        self.watchers.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait::async_trait]
impl Crewed for DockerCluster {
    fn kind(&self) -> &'static str {
        "docker"
    }

    fn crew(&self) -> &Crew {
        &self.crew
    }

    fn usage(&self, status: &MemberStatus) -> Usage {
        let place = self.places.get(&status.member);
        place.map(|place| place.usage()).unwrap_or_default()
    }

    async fn traffic(&self, node: Member) -> Option<Traffic> {
        self.places.get(&node)?.traffic().await
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        let Some(own) = &self.own else {
            self.crew.desks.shut();
            return self.crew.heal().await;
        };
        // One member that cannot be stopped, on a machine that is gone, keeps none of the others.
        let closed = self.crew.desks.close().await;
        let removed = own.fleet.remove(!self.keeps_volumes(own)).await;
        if own.config.temporary {
            // What cannot be deleted is left behind; nobody needs it, and nothing runs in it.
            let _ = tokio::fs::remove_dir_all(&own.config.folder).await;
        }
        closed.and(removed)
    }

    fn forget(&self) {
        self.forgets.store(true, Ordering::Relaxed);
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
