//! Being asked to end from outside.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that ask a program to end.
#[derive(Debug)]
pub(super) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// Listens for SIGINT, SIGTERM and SIGHUP from now on.
///
/// # Errors
/// When the system refuses a handler.
pub(super) fn asked_to_end() -> io::Result<EndSignals> {
    Ok(EndSignals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        hangup: signal(SignalKind::hangup())?,
    })
}

/// A token that the next signal cancels. The one after it ends the process at once: child processes
/// end with it, and with them every fault.
///
/// # Errors
/// When the system refuses a handler.
pub fn cancelled_when_asked_to_end() -> io::Result<CancellationToken> {
    let mut signals = asked_to_end()?;
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        let signal = signals.next().await;
        eprintln!("loom-tui: {signal}: stopping; again to end at once");
        stop.cancel();
        signals.next().await;
        std::process::exit(2);
    });
    Ok(cancel)
}

impl EndSignals {
    /// The name of the next one.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
