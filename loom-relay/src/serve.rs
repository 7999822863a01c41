//! The relay as a server: websockets on `/gun`, its health and metrics beside them.
//!
//! The one door is [`serve`]; [`serve_until`] is how a node ends as well.

mod ending;
mod health;
mod http;
mod metrics;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::RelayConfig;
use crate::driver::{self, Caller};
use crate::graph::Held;
use crate::mesh::{Greeter, Mesh, MeshConfig};
use crate::relay::Relay;
use crate::startup::{self, Opened, Startup};
use crate::store::{Durability, Reading, StoreError};

pub use self::ending::{ServeError, serve_until};
use self::http::App;

/// Serves a relay until `shutdown` resolves, then closes every link and stores what is left.
///
/// Links are accepted while the store is still being read; what they say waits for it.
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
    if let Some(store) = config.store.clone() {
        let open = move |reading| startup::open(&store, reading);
        return serve_from(open, listener, config, shutdown).await;
    }
    tracing::info!("no --data-dir: the graph is in memory only");
    let nothing = std::future::ready(Ok((Held::default(), None)));
    serve_when(nothing, Arc::default(), listener, config, shutdown).await
}

/// The same from a store of the caller's: `open` is called in a thread that may block.
///
/// # Errors
///
/// As of [`serve`].
pub async fn serve_from(
    open: impl FnOnce(Arc<Reading>) -> Result<Opened, StoreError> + Send + 'static,
    listener: TcpListener,
    config: RelayConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let startup = Arc::<Startup<_>>::default();
    let opened = startup.read(open);
    serve_when(opened, startup, listener, config, shutdown).await
}

async fn serve_when(
    opened: impl Future<Output = Result<Opened, StoreError>> + Send + 'static,
    startup: Arc<Startup<Option<Durability>>>,
    listener: TcpListener,
    config: RelayConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    let mesh_config = MeshConfig {
        verifies_sea: config.verify_sea,
        ..MeshConfig::relay()
    };
    let seed = rand::random();
    let mut greeter = Greeter::new(seed);
    let coming = {
        let startup = Arc::clone(&startup);
        async move {
            let (held, store) = opened.await?;
            let relay = Relay::new(Mesh::new(mesh_config, held, seed));
            startup.over(store.as_ref().map(|store| store.durability()));
            Ok((relay, store))
        }
    };
    let (hub, driver) = driver::spawn_ahead(config.driver, move || greeter.hello(), coming);
    let dialling = Arc::clone(&startup).dial(hub.clone(), config.peers);
    let listener = hub.listen(listener, IDLE_MAX);
    let app = App {
        hub,
        startup,
        verifies_sea: config.verify_sea,
        started: Instant::now(),
    };
    let app = http::router(app).into_make_service_with_connect_info::<Caller>();
    let stopping = CancellationToken::new();
    let serving =
        axum::serve(listener, app).with_graceful_shutdown(stopping.clone().cancelled_owned());
    let serving = tokio::spawn(serving.into_future());
    tracing::info!(%address, "relay listening");

    serve_until(shutdown, dialling, driver, serving, || stopping.cancel()).await
}

/// Nobody needs longer than this to ask for a websocket, or for a page.
const IDLE_MAX: Duration = Duration::from_secs(30);
