//! Several engines, one cluster: which member is on which machine, and by which road nodes reach
//! the relay.
//!
//! Members are placed round-robin, the relay on the first machine. Engines of one Swarm share an
//! overlay network, on which everything is as on one machine: names are looked up, and a node is
//! cut by taking its container off it. Others share nothing; there nodes dial the port the relay
//! publishes, and only the proxy in front of them can cut them.

use bollard::models::{LocalNodeState, SwarmInfo};
use bollard::query_parameters::ListNodesOptions;

use super::config::{DockerConfig, port_inside};
use super::names::RELAY_ALIAS;
use super::objects::Objects;
use crate::cluster::ports::Port;
use crate::cluster::{Member, RigError};
use crate::docker::Engine;
use crate::docker::engine::innermost;

/// How nodes reach the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Road {
    /// By its name, on a network of the machine.
    Bridge,
    /// By its name, on a network of the Swarm, which this one of the engines manages.
    Overlay(usize),
    /// At the port its machine publishes.
    Port,
}

/// The engines of one cluster.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) sites: Vec<Site>,
    pub(super) road: Road,
    /// Where the relay is reached from other machines, and whether that is how it is reached.
    relay: (String, u16),
}

/// One engine's part.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) engine: Engine,
    pub(super) objects: Objects,
}

impl Fleet {
    /// # Errors
    /// When the first machine has no address that the others could dial.
    pub(super) async fn of(engines: &[Engine], config: &DockerConfig) -> Result<Self, RigError> {
        let alone = engines.len() == 1;
        let sites = engines.iter().map(|engine| {
            let reached_here = alone && engine.endpoint.host().is_none();
            Site {
                engine: engine.clone(),
                objects: Objects {
                    docker: engine.docker.clone(),
                    names: config.names(),
                    bind: if reached_here { "127.0.0.1" } else { "0.0.0.0" }.to_owned(),
                },
            }
        });
        let road = match alone {
            true => Road::Bridge,
            false => match manager(engines).await? {
                Some(manager) => Road::Overlay(manager),
                None => Road::Port,
            },
        };
        let host = engines[0].endpoint.host().unwrap_or_default().to_owned();
        if road == Road::Port && host.is_empty() {
            return Err(RigError {
                doing: "place a cluster on several machines".to_owned(),
                reason: format!(
                    "the relay comes to the first one, and {} has no address the others could dial",
                    engines[0].endpoint
                ),
                next_step: "name the first one by an address, such as ssh://user@10.0.0.1"
                    .to_owned(),
                refused: false,
            });
        }
        let port = match config.relay_port {
            0 => any_port(),
            port => port,
        };
        Ok(Self {
            sites: sites.collect(),
            road,
            relay: (host, port),
        })
    }

    /// Where a member's container is.
    pub(super) fn site(&self, member: Member) -> &Site {
        let place = match member {
            Member::Relay => 0,
            Member::Node(number) => usize::from(number) % self.sites.len(),
        };
        &self.sites[place]
    }

    /// The members of one site.
    pub(super) fn members_of(&self, site: &Site, config: &DockerConfig) -> Vec<Member> {
        let members = config.members();
        members
            .filter(|member| std::ptr::eq(self.site(*member), site))
            .collect()
    }

    /// `host:port` of the relay, for nodes.
    pub(super) fn relay(&self) -> String {
        match (&self.road, &self.relay) {
            (Road::Port, (host, port)) if host.contains(':') => format!("[{host}]:{port}"),
            (Road::Port, (host, port)) => format!("{host}:{port}"),
            _ => format!("{RELAY_ALIAS}:{}", port_inside(Member::Relay)),
        }
    }

    /// The network a partition takes a node off.
    pub(super) fn network(&self) -> Option<String> {
        let names = &self.sites[0].objects.names;
        (self.road != Road::Port).then(|| names.network())
    }

    /// The port to publish on the member's machine, and what keeps it from others there. Of another
    /// machine it cannot be known what is taken: the engine says so when the member starts.
    pub(super) fn publish(
        &self,
        member: Member,
        wanted: u16,
    ) -> std::io::Result<(u16, Option<Port>)> {
        let site = self.site(member);
        if site.engine.endpoint.host().is_none() {
            let port = Port::take(wanted)?;
            return Ok((port.number(), Some(port)));
        }
        Ok(match (member, wanted) {
            (Member::Relay, _) => (self.relay.1, None),
            (Member::Node(_), 0) => (any_port(), None),
            (Member::Node(_), wanted) => (wanted, None),
        })
    }

    /// Makes networks and volumes on every machine.
    pub(super) async fn lay(&self, config: &DockerConfig) -> Result<(), RigError> {
        for (index, site) in self.sites.iter().enumerate() {
            let objects = &site.objects;
            let shared = match self.road {
                Road::Bridge => objects.make_network(&objects.names.network(), false).await,
                Road::Overlay(manager) if manager == index => {
                    objects.make_network(&objects.names.network(), true).await
                }
                Road::Overlay(_) | Road::Port => Ok(()),
            };
            shared?;
            let members = self.members_of(site, config);
            for member in &members {
                let control = objects.names.control(*member);
                objects.make_network(&control, false).await?;
                objects.make_volume(*member).await?;
            }
        }
        Ok(())
    }

    /// Removes what is ours from every machine, volumes if told so. The first refusal is returned
    /// after all were asked.
    pub(super) async fn remove(&self, volumes: bool) -> Result<(), RigError> {
        let mut last = None;
        let mut outcome = Ok(());
        for (index, site) in self.sites.iter().enumerate() {
            // The network of a Swarm can go when nobody is on it any more, on any machine.
            if self.road == Road::Overlay(index) {
                last = Some(site);
                continue;
            }
            let removed = site.objects.remove(volumes).await;
            outcome = outcome.and(removed.map(drop));
        }
        if let Some(site) = last {
            let removed = site.objects.remove(volumes).await;
            outcome = outcome.and(removed.map(drop));
        }
        outcome
    }
}

/// The one of the engines that manages a Swarm all of them are in, if there is one.
async fn manager(engines: &[Engine]) -> Result<Option<usize>, RigError> {
    let mut nodes = Vec::new();
    for engine in engines {
        let info = engine.docker.info().await;
        let info = info.map_err(|error| cannot(engine, &innermost(&error)))?;
        nodes.push(info.swarm.unwrap_or_default());
    }
    if nodes.iter().any(|node| !is_active(node)) {
        return Ok(None);
    }
    let Some(manager) = nodes
        .iter()
        .position(|node| node.control_available == Some(true))
    else {
        return Ok(None);
    };
    let listed = engines[manager].docker.list_nodes(None::<ListNodesOptions>);
    let listed = listed.await;
    let listed = listed.map_err(|error| cannot(&engines[manager], &innermost(&error)))?;
    let known: Vec<String> = listed.into_iter().filter_map(|node| node.id).collect();
    let mut ids = nodes
        .iter()
        .map(|node| node.node_id.clone().unwrap_or_default());
    Ok(ids.all(|id| known.contains(&id)).then_some(manager))
}

fn is_active(node: &SwarmInfo) -> bool {
    node.local_node_state == Some(LocalNodeState::ACTIVE)
}

fn cannot(engine: &Engine, reason: &str) -> RigError {
    RigError {
        doing: format!("ask {} whether it is in a Swarm", engine.endpoint),
        reason: reason.to_owned(),
        next_step: "see what `docker info` says there".to_owned(),
        refused: false,
    }
}

/// A port of another machine that is probably free: below those that systems hand out by
/// themselves.
fn any_port() -> u16 {
    rand::random_range(20_000..32_000)
}
