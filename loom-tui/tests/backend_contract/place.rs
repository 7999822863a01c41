//! A running cluster to try promises on, and what is watched while trying.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loom_tui::client::{NewVertex, NodeClient, WriteOp, http};
use loom_tui::cluster::attached::AttachedCluster;
use loom_tui::cluster::docker::{DockerCluster, DockerConfig};
use loom_tui::cluster::local::{Durability, LocalCluster, LocalConfig};
use loom_tui::cluster::{ClusterBackend, ClusterEvent, Member, MemberStatus};
use loom_tui::control::{Claim, Server};
use loom_tui::docker::Engine;
use tempfile::TempDir;
use tokio::sync::broadcast;

use crate::engine::{engine, left};

/// By when anything that must happen has happened, on a machine that is busy with other things.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How long it is watched that something does not happen. A write takes a few milliseconds.
pub(crate) const QUIET: Duration = Duration::from_millis(700);

pub(crate) const RELAY: Member = Member::Relay;
pub(crate) const ONE: Member = Member::Node(1);
pub(crate) const TWO: Member = Member::Node(2);

/// A relay and two nodes, all up.
pub(crate) struct Place {
    pub(crate) backend: Arc<dyn ClusterBackend>,
    /// What `backend` is in the end.
    own: Arc<dyn ClusterBackend>,
    /// Where to look for what is left of which cluster.
    pub(crate) engine: Option<(Engine, String)>,
    /// Only where the backend asks it.
    pub(crate) server: Option<Server>,
    pub(crate) folder: TempDir,
    http: reqwest::Client,
}

impl Place {
    pub(crate) async fn local() -> Self {
        Self::open(0, 0).await
    }

    /// One that would like the ports of these, relay and first node first.
    pub(crate) async fn local_on(urls: &[String]) -> Self {
        let port = |url: &String| url.rsplit(':').next().unwrap().parse().unwrap();
        Self::open(port(&urls[0]), port(&urls[1])).await
    }

    async fn open(relay_port: u16, base_port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_loom-tui"));
        let config = LocalConfig {
            nodes: 2,
            relay_port,
            base_port,
            durability: Durability::Os,
            ..LocalConfig::new(folder.path().join("cluster"), program.to_owned())
        };
        let local = LocalCluster::open(config).await.unwrap();
        local.start_all().await.unwrap();
        Self::of(local, folder)
    }

    fn of(own: Arc<dyn ClusterBackend>, folder: TempDir) -> Self {
        Self {
            backend: own.clone(),
            own,
            engine: None,
            server: None,
            folder,
            http: http().unwrap(),
        }
    }

    /// In containers; `None` without an engine.
    pub(crate) async fn docker() -> Option<Self> {
        let (engine, image) = engine().await?;
        let folder = tempfile::tempdir().unwrap();
        let config = DockerConfig {
            nodes: 2,
            image: Some(image),
            durability: Durability::Os,
            ..DockerConfig::new(folder.path().join("cluster")).on_its_own()
        };
        let name = config.name.clone();
        let cluster = DockerCluster::open(&engine, config).await.unwrap();
        cluster.start_all().await.unwrap();
        let mut place = Self::of(cluster, folder);
        place.engine = Some((engine, name));
        Some(place)
    }

    pub(crate) async fn attached() -> Self {
        let mut place = Self::local().await;
        let socket = place.socket();
        let claim = Claim::take(&socket, "test").unwrap();
        place.server = Some(Server::open(claim, "test", place.own.clone()).unwrap());
        place.backend = Arc::new(AttachedCluster::connect(&socket).await.unwrap());
        place
    }

    pub(crate) fn in_containers(&self) -> bool {
        self.engine.is_some()
    }

    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Ends everything and looks that it has ended.
    pub(crate) async fn end(self) {
        let pids: Vec<u32> = (self.own.members().await.iter())
            .filter_map(|status| status.pid)
            .collect();
        self.backend.shutdown().await.unwrap();
        self.own.shutdown().await.unwrap();
        for pid in pids {
            assert!(
                !Path::new(&format!("/proc/{pid}")).exists(),
                "{pid} is left"
            );
        }
        if let Some((engine, name)) = &self.engine {
            assert_eq!(left(engine, name).await, [""; 0]);
        }
        self.own.shutdown().await.expect("once more is no error");
        let error = self.own.start(RELAY).await.unwrap_err();
        assert!(error.reason.contains("shut down"), "{error}");
    }

    pub(crate) async fn status(&self, member: Member) -> MemberStatus {
        let members = self.backend.members().await;
        let found = members.into_iter().find(|status| status.member == member);
        found.unwrap()
    }

    pub(crate) async fn client(&self, node: Member) -> NodeClient {
        let status = self.status(node).await;
        NodeClient::new(self.http.clone(), &status.url).with_timeout(Duration::from_secs(2))
    }

    /// Writes a vertex at `node`.
    pub(crate) async fn write(&self, node: Member, id: &str) {
        let vertex = NewVertex {
            id: Some(id.to_owned()),
            kind: Some("task".to_owned()),
            properties: None,
        };
        let client = self.client(node).await;
        let written = client.write(&WriteOp::CreateVertex(vertex)).await;
        assert!(written.is_ok(), "{node} does not take {id}: {written:?}");
    }

    pub(crate) async fn has(&self, node: Member, id: &str) -> bool {
        self.client(node).await.vertex(id).await.is_ok()
    }

    pub(crate) async fn arrives(&self, node: Member, id: &str) {
        until(&format!("{id} arrives at {node}"), async || {
            self.has(node, id).await
        })
        .await;
    }

    /// Watches that it does not arrive.
    pub(crate) async fn stays_away(&self, node: Member, id: &str) {
        let watched = Instant::now();
        while watched.elapsed() < QUIET {
            assert!(!self.has(node, id).await, "{id} reached {node} over a cut");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether both nodes hear from the relay, by their own account.
    pub(crate) async fn connected(&self) {
        for node in [ONE, TWO] {
            until(&format!("{node} is connected"), async || {
                let health = self.client(node).await.health().await.ok();
                health.is_some_and(|health| health.sync.connected)
            })
            .await;
        }
    }
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < SOON, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The next event of `member` that contains `what`.
pub(crate) async fn event(
    events: &mut broadcast::Receiver<ClusterEvent>,
    member: Member,
    what: &str,
) -> ClusterEvent {
    let looking = async {
        loop {
            let event = events.recv().await.unwrap();
            if event.member == Some(member) && event.what.contains(what) {
                return event;
            }
        }
    };
    let found = tokio::time::timeout(SOON, looking).await;
    found.unwrap_or_else(|_| panic!("no event {what:?} of {member}"))
}
