//! A node as a program: [`serve`] is all of it on a listener of the caller's, [`run`] adds what
//! the command line needs.

use std::future::IntoFuture as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use loom_relay::driver::{self, DriverError, parent};
use loom_relay::graph::Graph;
use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Durability, Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::config::{InvalidConfig, NodeArgs, NodeConfig};
use crate::replica::{Replica, ReplicaConfig};
use crate::rest::{self, App, AppConfig};

/// How long requests in flight may take once the node is to stop.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(2);

/// Why a node did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The arguments make no node.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The log filter cannot be read.
    #[error("--log: {0}; write a level such as info, or targets such as loom_relay=debug,info")]
    Log(String),
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {address}: {cause}; choose another with --port and --bind")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// What was kept cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node could not go on.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Accepting connections failed for good.
    #[error("the HTTP server failed: {0}")]
    Http(#[source] io::Error),
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
    let (graph, store) = match &config.data_dir {
        Some(path) => load(path, config.durability).await?,
        None => (Graph::default(), None),
    };
    let replica = Replica::new(
        ReplicaConfig {
            node_id: config.node_id.as_str().into(),
            legacy_index: config.legacy_index,
            feed: config.feed,
            plant: config.plant,
            seed: rand::random(),
        },
        graph,
    );
    let follow = replica.follow();
    let (hub, mut driver) = driver::spawn(replica, config.driver(), store);
    for peer in &config.peers {
        hub.dial(peer.clone());
    }

    let stop = watch::Sender::new(false);
    let app = App::new(AppConfig {
        hub,
        follow,
        node_id: config.node_id.as_str().into(),
        peers: config.peers.iter().map(ToString::to_string).collect(),
        ping_timeout: config.ping_timeout,
        durability: config.effective_durability(),
        stop: stop.clone(),
    });
    // axum leaves Nagle's algorithm on: a small answer would wait for the last one to be confirmed.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    let mut stopped = stop.subscribe();
    let server = axum::serve(listener, rest::router(app)).with_graceful_shutdown(stopping(&stop));
    let mut server = tokio::spawn(server.into_future());

    tokio::select! {
        () = shutdown => {}
        // The sender lives as long as this function.
        _ = stopped.wait_for(|stop| *stop) => {}
        failure = driver.failed() => {
            tracing::error!(%failure, "the node cannot go on");
            server.abort();
            return Err(failure.into());
        }
        ended = &mut server => return Err(http_failure(ended)),
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    if tokio::time::timeout(REQUESTS_END_WITHIN, &mut server)
        .await
        .is_err()
    {
        tracing::warn!("requests still open are cut off");
        server.abort();
    }
    driver.shutdown().await?;
    Ok(())
}

fn stopping(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stop = stop.subscribe();
    async move {
        // An error means that the node is gone already.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

fn http_failure(ended: Result<io::Result<()>, tokio::task::JoinError>) -> ServeError {
    ServeError::Http(match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => io::Error::other("it ended without being asked to"),
        Err(join) => io::Error::other(join),
    })
}

/// Reads what a directory holds; disks block, so not on a thread that serves.
async fn load(
    path: &Path,
    durability: Durability,
) -> Result<(Graph, Option<Box<dyn Store>>), ServeError> {
    let path = path.to_owned();
    let loading = tokio::task::spawn_blocking(move || {
        let mut store = DiskStore::open(&path, durability)?;
        let mut graph = Graph::default();
        store.load(&mut |write| graph.load(write))?;
        tracing::info!(path = %path.display(), fields = graph.len(), "loaded");
        Ok::<_, StoreError>((graph, Box::new(store) as Box<dyn Store>))
    });
    let (graph, store) = loading.await.expect("loading a store does not panic")?;
    Ok((graph, Some(store)))
}

/// Runs a node as its command line says: logs to standard error, listens, and stops on Ctrl-C,
/// SIGTERM or `POST /shutdown`.
///
/// # Errors
///
/// [`ServeError`] when it cannot start or go on.
pub async fn run(args: NodeArgs) -> Result<(), ServeError> {
    let filter = EnvFilter::try_new(&args.log).map_err(|why| ServeError::Log(why.to_string()))?;
    // Another part of the program may have set one up.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .try_init();
    let die_with_parent = args.die_with_parent;
    let address = args.address();
    let config = args.into_config()?;
    run_config(address, config, die_with_parent).await
}

/// [`run`] for programs that set what the command line cannot: a [`crate::Plant`].
///
/// # Errors
///
/// As [`run`].
pub async fn run_config(
    address: SocketAddr,
    config: NodeConfig,
    die_with_parent: bool,
) -> Result<(), ServeError> {
    let failed = |cause| ServeError::Listen { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let durability = config.effective_durability();
    tracing::info!(node = %config.node_id, %address, %durability, "LoomDB node is up");
    if let Some(plant) = config.plant {
        tracing::warn!(?plant, "this node is wrong on purpose");
    }
    serve(listener, config, asked_to_stop(die_with_parent)).await
}

async fn asked_to_stop(die_with_parent: bool) {
    let orphaned = async {
        match die_with_parent {
            true => parent::gone().await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        () = interrupted() => {}
        () = terminated() => {}
        () = orphaned => tracing::info!("the parent process is gone"),
    }
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "Ctrl-C cannot be caught");
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be caught");
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
