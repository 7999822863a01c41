//! The relay as a program: logging, binding, signals, and sentences for what goes wrong.
//!
//! Shared by the `loom-relay` binary and by `loom-tui relay`.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, RelayArgs};
use crate::driver::parent;
use crate::serve::{ServeError, serve};

/// Why the relay did not run, or stopped running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A flag.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log filter.
    #[error("--log {given}: {cause}; try info, or loom_relay::driver=debug,info")]
    Log {
        /// What was given.
        given: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The address.
    #[error("cannot listen on {address}: {cause}; {}", next_step(.cause))]
    Bind {
        /// Where it should have listened.
        address: SocketAddr,
        /// Why it could not.
        cause: io::Error,
    },
    /// The signals of the operating system.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// Serving.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Runs a relay until SIGTERM, SIGINT, or the end of the parent process if that was asked for.
///
/// # Errors
///
/// [`RunError`], a sentence for the person who started it.
pub async fn run(args: RelayArgs) -> Result<(), RunError> {
    start_logging(&args.log)?;
    let address = args.address();
    let die_with_parent = args.die_with_parent;
    let config = args.into_config()?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|cause| RunError::Bind { address, cause })?;
    let asked = asked_to_stop().map_err(RunError::Signals)?;
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

/// The runtime a relay or node is made for: everything on one thread.
///
/// A frame passes several tasks on its way (reader, machine, writer). On one thread each hand-over
/// is a queue; on several it is a wake-up of a sleeping core, and a cluster on one machine has
/// fewer cores than processes. The disk has a thread of its own either way. Compared on two busy
/// cores, a put through the relay to another peer had the same median on one thread as on two, for
/// 7 % less processor time and half the context switches.
///
/// # Errors
///
/// When the operating system has no event queue to give.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Logs to standard error what `filter` lets through.
///
/// # Errors
///
/// [`RunError::Log`] when it is not a filter.
pub fn start_logging(filter: &str) -> Result<(), RunError> {
    let parsed = EnvFilter::try_new(filter).map_err(|cause| RunError::Log {
        given: filter.to_owned(),
        cause: cause.to_string(),
    })?;
    // A process that logs already goes on logging its own way.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init();
    Ok(())
}

/// Resolves with the name of the signal that asked this process to stop.
///
/// Signals count from the moment this returns, not from the first poll.
///
/// # Errors
///
/// When the signals cannot be listened for.
#[cfg(unix)]
pub fn asked_to_stop() -> io::Result<impl Future<Output = &'static str> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Resolves with the name of what asked this process to stop.
///
/// # Errors
///
/// Never on this platform; kept so that callers are the same everywhere.
#[cfg(not(unix))]
pub fn asked_to_stop() -> io::Result<impl Future<Output = &'static str> + Send> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    })
}

fn next_step(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that uses the port, or choose another one with --port \
             (0 takes a free one)"
        }
        io::ErrorKind::PermissionDenied => "choose a port above 1023 with --port",
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; choose another one with --bind"
        }
        _ => "choose another address with --bind or --port",
    }
}
