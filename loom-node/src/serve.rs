//! A node as a server: a replica under loom-relay's driver, and the REST API in front of it.
//!
//! The doors are [`serve`], and [`serve_from`] for a store of one's own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use loom_relay::driver::{self, Driver, Hub};
use loom_relay::graph::Held;
use loom_relay::serve::{ServeError, serve_until};
use loom_relay::startup::{self, Opened, Startup};
use loom_relay::store::{Reading, StoreError};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::NodeConfig;
use crate::feed::Follow;
use crate::replica::{Command, Replica, ReplicaConfig};
use crate::rest::{self, App, AppConfig};

/// How long nothing may move on a connection: longer than the longest heartbeat that the change
/// feed can be asked for.
const IDLE_MAX: Duration = Duration::from_secs(660);

/// Runs a node until `shutdown` resolves or somebody posts to `/shutdown`; then requests in flight
/// are answered, everything is stored, and links are closed.
///
/// It answers at once; as long as the store is being read, with 503 and how far that is.
///
/// # Errors
///
/// [`ServeError`] when the store cannot be read, or the node cannot go on.
pub async fn serve(
    listener: TcpListener,
    config: NodeConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    match config.store.clone() {
        Some(store) => {
            let open = move |reading| startup::open(&store, reading);
            serve_from(open, listener, config, shutdown).await
        }
        None => {
            tracing::info!("no --data-dir: the graph is in memory only");
            let startup = Arc::<Startup<Follow>>::default();
            let replica = Replica::new(replica_config(&config), Held::default());
            startup.over(replica.follow());
            let driver = driver::spawn(replica, config.driver.clone(), None);
            serve_when(startup, driver, listener, config, shutdown).await
        }
    }
}

/// The same from a store of the caller's: `open` is called in a thread that may block.
///
/// # Errors
///
/// As of [`serve`].
pub async fn serve_from(
    open: impl FnOnce(Arc<Reading>) -> Result<Opened, StoreError> + Send + 'static,
    listener: TcpListener,
    config: NodeConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let startup = Arc::<Startup<Follow>>::default();
    let replica_config = replica_config(&config);
    let opened = startup.read(move |reading| {
        let (held, store) = open(reading)?;
        // Its indexes take a while as well.
        Ok((Replica::new(replica_config, held), store))
    });
    let coming = {
        let startup = Arc::clone(&startup);
        async move {
            let (replica, store) = opened.await?;
            startup.over(replica.follow());
            Ok((replica, store))
        }
    };
    // Nobody dials a node, so nobody is greeted.
    let driver = driver::spawn_ahead(config.driver.clone(), Bytes::new, coming);
    serve_when(startup, driver, listener, config, shutdown).await
}

fn replica_config(config: &NodeConfig) -> ReplicaConfig {
    ReplicaConfig {
        node_id: config.node_id.as_str().into(),
        legacy_index: config.legacy_index,
        verify_sea: config.verify_sea,
        feed: config.feed,
        plant: config.plant,
        seed: rand::random(),
    }
}

async fn serve_when(
    startup: Arc<Startup<Follow>>,
    (hub, driver): (Hub<Command>, Driver),
    listener: TcpListener,
    config: NodeConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    let durability = config.durability();
    let peers = config.peers.iter().map(ToString::to_string).collect();
    let dialling = Arc::clone(&startup).dial(hub.clone(), config.peers);

    let listener = hub.listen(listener, IDLE_MAX);
    let stop = watch::Sender::new(false);
    let app = App::new(AppConfig {
        hub,
        startup,
        node_id: config.node_id.as_str().into(),
        peers,
        ping_timeout: config.driver.ping_timeout,
        durability,
        faults: config.fault_api.then_some(config.driver.skew),
        stop: stop.clone(),
    });
    let mut stopped = stop.subscribe();
    let server = axum::serve(listener, rest::router(app)).with_graceful_shutdown(stopping(&stop));
    let serving = tokio::spawn(server.into_future());
    tracing::info!(node = %config.node_id, %address, %durability, "node listening");
    if config.fault_api {
        tracing::warn!("--fault-api: whoever can reach this node can set its clock wrong");
    }
    if let Some(plant) = config.plant {
        tracing::warn!(?plant, "this node is wrong on purpose");
    }

    let shutdown = async {
        tokio::select! {
            () = shutdown => {}
            // The sender lives as long as this function.
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    };
    let stop = || {
        stop.send_replace(true);
    };
    serve_until(shutdown, dialling, driver, serving, stop).await
}

fn stopping(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stop = stop.subscribe();
    async move {
        // An error means that the node is gone already.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}
