//! How a server ends, a relay as well as a node: the one door is [`serve_until`].

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::driver::{Driver, DriverError};

/// How long requests under way may take once the server is to stop.
const REQUESTS_WAIT: Duration = Duration::from_secs(2);

/// Why a server could not serve, or stopped serving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It ended on its own.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A task of this process broke.
    #[error("the server broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
    /// The listener is not usable.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// Serves until `shutdown` resolves or the driver fails. Then `stop` tells `serving`, requests under
/// way are answered, everything is stored, and links are closed, whatever became of the requests.
///
/// # Errors
///
/// [`ServeError`]: of all that went wrong, what was the cause of the rest.
pub async fn serve_until(
    shutdown: impl Future<Output = ()>,
    dialling: impl Future<Output = Infallible>,
    mut driver: Driver,
    serving: JoinHandle<io::Result<()>>,
    stop: impl FnOnce(),
) -> Result<(), ServeError> {
    let failure = tokio::select! {
        () = shutdown => None,
        error = driver.failed() => Some(error),
        never = dialling => match never {},
    };
    tracing::info!("stopping");
    stop();
    // Requests under way may still ask the machine something, so they come first; a caller that
    // sends half a request and waits does not keep the process.
    let abort = serving.abort_handle();
    let served = match tokio::time::timeout(REQUESTS_WAIT, serving).await {
        Ok(served) => served.map_err(ServeError::from).and_then(|it| Ok(it?)),
        Err(_) => {
            abort.abort();
            Ok(())
        }
    };
    let stored = driver.shutdown().await;
    failure.map_or(Ok(()), Err).and(stored)?;
    served
}
