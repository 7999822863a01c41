//! The relay as a server: websockets on `/gun`, its health and metrics beside them.
//!
//! The one door is [`serve`].

mod health;
mod http;
mod metrics;

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{RelayConfig, StoreConfig};
use crate::driver::{self, Caller, DriverError};
use crate::graph::Held;
use crate::mesh::{Mesh, MeshConfig};
use crate::relay::Relay;
use crate::store::disk::DiskStore;
use crate::store::{Store, StoreError};

use self::http::App;

/// Why a relay could not serve, or stopped serving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What is stored cannot be read, or not be written to.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It ended on its own.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A task of this process broke.
    #[error("the relay broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
    /// The listener is not usable.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// Serves a relay until `shutdown` resolves, then closes every link and stores what is left.
///
/// Connections that arrive while the store is still being read wait.
///
/// # Errors
///
/// [`ServeError`] when the store cannot be read, or fails later: a relay that can no longer keep
/// what it acknowledges stops.
pub async fn serve(
    listener: TcpListener,
    config: RelayConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    let durability = config.store.as_ref().map(|store| store.durability);
    let (held, store) = match config.store {
        Some(store) => tokio::task::spawn_blocking(move || open(&store)).await??,
        None => {
            tracing::info!("no --data-dir: the graph is in memory only");
            (Held::default(), None)
        }
    };
    let mesh_config = MeshConfig {
        verifies_sea: config.verify_sea,
        ..MeshConfig::relay()
    };
    let mesh = Mesh::new(mesh_config, held, rand::random());
    let (hub, mut driver) = driver::spawn(Relay::new(mesh), config.driver, store);
    for peer in config.peers {
        hub.dial(peer);
    }
    let listener = hub.listen(listener, IDLE_MAX);
    let app = App {
        hub,
        durability,
        verifies_sea: config.verify_sea,
        started: Instant::now(),
    };
    let app = http::router(app).into_make_service_with_connect_info::<Caller>();
    let stopping = CancellationToken::new();
    let serving =
        axum::serve(listener, app).with_graceful_shutdown(stopping.clone().cancelled_owned());
    let serving = tokio::spawn(serving.into_future());
    tracing::info!(%address, "relay listening");

    let failure = tokio::select! {
        () = shutdown => None,
        error = driver.failed() => Some(error),
    };
    tracing::info!("stopping");
    stopping.cancel();
    // Requests under way may still ask the machine something, so they come first; a caller that
    // sends half a request and waits does not keep the process.
    let abort = serving.abort_handle();
    match tokio::time::timeout(REQUESTS_WAIT, serving).await {
        Ok(served) => served??,
        Err(_) => abort.abort(),
    }
    driver.shutdown().await?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Opens the store and reads all of it.
fn open(config: &StoreConfig) -> Result<(Held, Option<Box<dyn Store>>), StoreError> {
    let started = Instant::now();
    let mut store = DiskStore::open(&config.directory, config.durability)?;
    let held = store.load()?;
    tracing::info!(
        directory = %config.directory.display(),
        durability = %config.durability,
        fields = held.graph.len(),
        deferred = held.deferred.len(),
        took = ?started.elapsed(),
        "store opened"
    );
    Ok((held, Some(Box::new(store))))
}

/// Nobody needs longer than this to ask for a websocket, or for a page.
const IDLE_MAX: Duration = Duration::from_secs(30);

const REQUESTS_WAIT: Duration = Duration::from_secs(2);
