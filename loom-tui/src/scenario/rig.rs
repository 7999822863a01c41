//! A cluster for one run: a fresh one of processes or containers, or one that is running already.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use futures_util::future::join_all;
use loom_node::Plant;

use crate::cli::{Backend, CliError, Platform};
use crate::cluster::attached::AttachedCluster;
use crate::cluster::docker::{COMPOSE, DockerCluster, DockerConfig, clusters};
use crate::cluster::local::{Durability, LocalCluster, LocalConfig};
use crate::cluster::remote::{RemoteCluster, Urls};
use crate::cluster::{ClusterBackend, Member, RigError};
use crate::docker::Engine;
use crate::probe::{Clock, Probe, ProbeOptions, Target};
use crate::report::Setting;

/// Who is wrong on purpose.
pub const PLANTED_IN: Member = Member::Node(2);
/// How long nodes may take to reach the relay and feeds to come up.
const CONNECTED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A cluster that is up, and a probe that watches it.
#[derive(Debug)]
pub struct Rig {
    /// The cluster.
    pub backend: Arc<dyn ClusterBackend>,
    /// Its probe.
    pub probe: Probe,
    /// What reports say of it.
    pub setting: Setting,
}

/// What fresh cluster to make.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// How many nodes.
    pub nodes: u8,
    /// Where they run.
    pub platform: Platform,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// A fault in node-2, to prove that a run finds it.
    pub plant: Option<Plant>,
}

impl Fresh {
    /// Starts it on free ports, with its logs and data in `folder`.
    ///
    /// # Errors
    ///
    /// When it cannot be started; nothing is left running then.
    pub async fn start(&self, folder: &Path) -> Result<Rig, CliError> {
        let name = self.plant.and_then(|plant| plant.to_possible_value());
        let name = name.map(|name| name.get_name().to_owned());
        let backend = self.open(folder, name.as_deref()).await?;
        let setting = Setting {
            backend: backend.kind().to_owned(),
            nodes: usize::from(self.nodes),
            durability: Some(self.durability.to_string()),
            shared: false,
            planted: name.map(|name| format!("{name} in {PLANTED_IN}")),
        };
        let started = async {
            backend.start_all().await?;
            Rig::watch(Arc::clone(&backend), setting).await
        };
        match started.await {
            Ok(rig) => Ok(rig),
            Err(error) => {
                // The first error says more than a second one would.
                let _ = backend.shutdown().await;
                Err(error.into())
            }
        }
    }

    async fn open(
        &self,
        folder: &Path,
        plant: Option<&str>,
    ) -> Result<Arc<dyn ClusterBackend>, CliError> {
        let planted = plant.map(|name| {
            let flags = vec!["--plant".to_owned(), name.to_owned()];
            (PLANTED_IN, flags)
        });
        match self.platform.backend() {
            Backend::Local => {
                let program =
                    std::env::current_exe().map_err(CliError::io("find this executable"))?;
                let mut config = LocalConfig::new(folder.to_owned(), program).on_any_ports();
                config.nodes = self.nodes;
                config.durability = self.durability;
                config.extra_args.extend(planted);
                Ok(LocalCluster::open(config).await?)
            }
            Backend::Docker => {
                let engines = self.platform.hosts.engines().await?;
                let mut config = DockerConfig::new(folder.to_owned()).on_its_own();
                config.nodes = self.nodes;
                config.durability = self.durability;
                config.extra_args.extend(planted);
                Ok(DockerCluster::open_on(&engines, config).await?)
            }
        }
    }
}

impl Rig {
    /// Uses the cluster whose controller listens on `control`.
    ///
    /// # Errors
    ///
    /// When there is none, or its nodes do not answer.
    pub async fn attach(control: &Path) -> Result<Self, CliError> {
        let cluster = AttachedCluster::connect(control).await?;
        let nodes = cluster.members().await;
        let nodes = nodes.iter().filter(|status| status.member != Member::Relay);
        let setting = others(&cluster, nodes.count());
        Ok(Self::watch(Arc::new(cluster), setting).await?)
    }

    /// Uses a cluster somebody else runs, which can be watched and not broken; `no_faults` says what
    /// it would take.
    ///
    /// # Errors
    ///
    /// When a member does not answer.
    pub async fn remote(urls: &Urls, no_faults: &str) -> Result<Self, CliError> {
        let cluster = RemoteCluster::open(urls, no_faults)?;
        cluster.await_answers().await?;
        let setting = others(&cluster, urls.nodes.len());
        Ok(Self::watch(Arc::new(cluster), setting).await?)
    }

    /// Uses the containers docker-compose has started, whose members answer at `urls`: what an
    /// orchestrator in a container of its own does. They can be broken.
    ///
    /// # Errors
    ///
    /// When there are none, or their nodes do not answer.
    pub async fn containers(engine: &Engine, urls: &Urls, folder: &Path) -> Result<Self, CliError> {
        let found = clusters(&engine.docker).await?;
        let found = found.iter().find(|it| it.name == COMPOSE);
        let found = found.ok_or_else(|| RigError {
            doing: "attach to the cluster of containers".to_owned(),
            reason: "docker-compose has started none on this engine".to_owned(),
            next_step: "start it with `docker-compose up -d`".to_owned(),
            refused: false,
        })?;
        let at = |member| match member {
            Member::Relay => urls.relay.as_ref().map(ToString::to_string),
            Member::Node(number) => {
                let url = urls.nodes.get(usize::from(number) - 1);
                url.map(ToString::to_string)
            }
        };
        let cluster = DockerCluster::attach(engine, found, folder, at).await?;
        cluster.start_all().await?;
        let setting = others(&*cluster, urls.nodes.len());
        Ok(Self::watch(cluster, setting).await?)
    }

    async fn watch(backend: Arc<dyn ClusterBackend>, setting: Setting) -> Result<Self, RigError> {
        let members = backend.members().await;
        let targets: Vec<_> = members
            .into_iter()
            .filter(|status| status.member != Member::Relay)
            .map(|status| Target {
                member: status.member,
                url: status.url,
            })
            .collect();
        let options = ProbeOptions {
            // Nobody looks at the lag of a run without a dashboard.
            canary_every: None,
            ..ProbeOptions::default()
        };
        let probe = Probe::start(Clock::start(), &targets, &options);
        let probe = probe.map_err(|error| RigError {
            doing: "watch the cluster".to_owned(),
            reason: error.to_string(),
            next_step: "start a smaller cluster".to_owned(),
            refused: false,
        })?;
        Ok(Self {
            backend,
            probe,
            setting,
        })
    }
}

/// Waits until every node has reached the relay and its feed is followed: a scenario must not
/// measure how long that takes.
///
/// # Errors
///
/// Who has not, when the time is up.
pub async fn await_ready(probe: &Probe) -> Result<(), RigError> {
    let until = Instant::now() + CONNECTED_WITHIN;
    loop {
        let waiting = not_ready(probe).await;
        if waiting.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(RigError {
                doing: "wait until every node is connected".to_owned(),
                reason: format!("after {CONNECTED_WITHIN:?}: {}", waiting.join("; ")),
                next_step: "look at the members' logs, and heal what is cut".to_owned(),
                refused: false,
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn not_ready(probe: &Probe) -> Vec<String> {
    let view = probe.view().await;
    let unwatched = view.observers.iter().filter(|observer| !observer.feed_up);
    let mut waiting: Vec<_> = unwatched
        .map(|observer| format!("{} shows no changes", observer.member))
        .collect();
    let asked = probe.members().iter().map(|member| async move {
        let health = probe.client(*member)?.health().await;
        match health.into_result() {
            Ok(health) if health.sync.connected => None,
            Ok(_) => Some(format!("{member} has not reached the relay")),
            Err(why) => Some(format!("{member}: {why}")),
        }
    });
    waiting.extend(join_all(asked).await.into_iter().flatten());
    waiting
}

/// What reports say of a cluster that somebody else runs.
fn others(cluster: &dyn ClusterBackend, nodes: usize) -> Setting {
    Setting {
        backend: cluster.kind().to_owned(),
        nodes,
        durability: None,
        shared: true,
        planted: None,
    }
}
