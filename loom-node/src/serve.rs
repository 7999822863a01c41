//! A node as a server: a replica under loom-relay's driver, and the REST API in front of it.
//!
//! The one door is [`serve`].

use std::io;
use std::time::{Duration, Instant};

use loom_relay::config::StoreConfig;
use loom_relay::driver::{self, DriverError};
use loom_relay::graph::Held;
use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinError;

use crate::config::NodeConfig;
use crate::replica::{Replica, ReplicaConfig};
use crate::rest::{self, App, AppConfig};

/// How long requests in flight may take once the node is to stop.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(2);

/// How long nothing may move on a connection: longer than the longest heartbeat that the change
/// feed can be asked for.
const IDLE_MAX: Duration = Duration::from_secs(660);

/// Why a node could not serve, or stopped serving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What is stored cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It ended on its own.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A task of this process broke.
    #[error("the node broke: {0}")]
    Broken(#[from] JoinError),
    /// The listener is not usable.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// Runs a node until `shutdown` resolves or somebody posts to `/shutdown`; then requests in flight
/// are answered, everything is stored, and links are closed.
///
/// # Errors
///
/// [`ServeError`] when the store cannot be read, or the node cannot go on.
pub async fn serve(
    listener: TcpListener,
    config: NodeConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    let durability = config.durability();
    let (held, store) = match config.store {
        Some(store) => tokio::task::spawn_blocking(move || open(&store)).await??,
        None => {
            tracing::info!("no --data-dir: the graph is in memory only");
            (Held::default(), None)
        }
    };
    let replica = Replica::new(
        ReplicaConfig {
            node_id: config.node_id.as_str().into(),
            legacy_index: config.legacy_index,
            verify_sea: config.verify_sea,
            feed: config.feed,
            plant: config.plant,
            seed: rand::random(),
        },
        held,
    );
    let follow = replica.follow();
    let ping_timeout = config.driver.ping_timeout;
    let (hub, mut driver) = driver::spawn(replica, config.driver, store);
    let peers = config.peers.iter().map(ToString::to_string).collect();
    for peer in config.peers {
        hub.dial(peer);
    }

    let listener = hub.listen(listener, IDLE_MAX);
    let stop = watch::Sender::new(false);
    let app = App::new(AppConfig {
        hub,
        follow,
        node_id: config.node_id.as_str().into(),
        peers,
        ping_timeout,
        durability,
        stop: stop.clone(),
    });
    let mut stopped = stop.subscribe();
    let server = axum::serve(listener, rest::router(app)).with_graceful_shutdown(stopping(&stop));
    let serving = tokio::spawn(server.into_future());
    tracing::info!(node = %config.node_id, %address, %durability, "node listening");
    if let Some(plant) = config.plant {
        tracing::warn!(?plant, "this node is wrong on purpose");
    }

    let failure = tokio::select! {
        () = shutdown => None,
        // The sender lives as long as this function.
        _ = stopped.wait_for(|stop| *stop) => None,
        error = driver.failed() => Some(error),
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    // Requests under way may still ask the replica something, so they come first.
    let abort = serving.abort_handle();
    match tokio::time::timeout(REQUESTS_END_WITHIN, serving).await {
        Ok(served) => served??,
        Err(_) => abort.abort(),
    }
    driver.shutdown().await?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

fn stopping(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stop = stop.subscribe();
    async move {
        // An error means that the node is gone already.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// Opens the store and reads all of it.
fn open(config: &StoreConfig) -> Result<(Held, Option<Box<dyn Store>>), StoreError> {
    let started = Instant::now();
    let mut store = DiskStore::open(&config.directory, config.durability)?;
    let held = store.load()?;
    tracing::info!(
        directory = %config.directory.display(),
        fields = held.graph.len(),
        deferred = held.deferred.len(),
        took = ?started.elapsed(),
        "store opened"
    );
    Ok((held, Some(Box::new(store))))
}
