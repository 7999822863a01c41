//! A node as a program: logging, binding, signals, and sentences for what goes wrong.
//!
//! Shared by the `loom-node` binary and by `loom-tui node`.

use std::net::SocketAddr;

use loom_relay::ServeError;
use loom_relay::driver::parent;
use loom_relay::run::{RunError as ProcessError, asked_to_stop, start_logging};
use tokio::net::TcpListener;

use crate::config::{InvalidConfig, NodeArgs, NodeConfig};
use crate::serve::serve;

/// Why a node did not run, or stopped running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A flag.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// Logging, the address or signals.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Serving.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Runs a node until SIGTERM, SIGINT, `POST /shutdown`, or the end of the parent process if that
/// was asked for.
///
/// # Errors
///
/// [`RunError`], a sentence for the person who started it.
pub async fn run(args: NodeArgs) -> Result<(), RunError> {
    start_logging(&args.log)?;
    let address = args.address();
    let die_with_parent = args.die_with_parent;
    run_config(address, args.into_config()?, die_with_parent).await
}

/// [`run`] for programs that set what no flag of loom-node sets: a [`crate::Plant`]. They start
/// logging themselves.
///
/// # Errors
///
/// [`RunError`], a sentence for the person who started it.
pub async fn run_config(
    address: SocketAddr,
    config: NodeConfig,
    die_with_parent: bool,
) -> Result<(), RunError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|cause| ProcessError::Bind { address, cause })?;
    let asked = asked_to_stop().map_err(ProcessError::Signals)?;
    let shutdown = async move {
        tokio::select! {
            name = asked => tracing::info!("stopping on {name}"),
            () = parent::gone(), if die_with_parent => {
                tracing::info!("stopping: the process that started this one is gone");
            }
        }
    };
    Ok(serve(listener, config, shutdown).await?)
}
