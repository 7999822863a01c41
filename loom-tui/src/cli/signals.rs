//! Being asked to end from outside.

use std::fmt;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What to do after a cluster was not ended in order.
pub(super) const LEFT_BEHIND: &str = "processes end with this one; containers that are left are removed by `loom-tui down --volumes`, \
     with the same --hosts";

/// The signals that ask a program to end.
#[derive(Debug)]
pub(super) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndSignal {
    name: &'static str,
    number: u8,
}

impl EndSignal {
    /// What a shell makes of a process that it ends.
    pub(super) fn exit_code(self) -> u8 {
        128 + self.number
    }
}

impl fmt::Display for EndSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
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
/// end with it, and with them every fault; containers do not, which is said.
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
        let signal = signals.next().await;
        eprintln!("loom-tui: {signal} again: not waiting any longer; {LEFT_BEHIND}");
        std::process::exit(i32::from(signal.exit_code()));
    });
    Ok(cancel)
}

impl EndSignals {
    /// The next one.
    pub(super) async fn next(&mut self) -> EndSignal {
        let (name, number) = tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", 2),
            _ = self.terminate.recv() => ("SIGTERM", 15),
            _ = self.hangup.recv() => ("SIGHUP", 1),
        };
        EndSignal { name, number }
    }
}
