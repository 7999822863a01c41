//! Child processes that cannot outlive this one.
//!
//! [`Nursery`] is the one place they are started from. Four things keep orphans away, each for an
//! end of this process that the others do not cover:
//!
//! * an orderly end: the backend's `shutdown` stops them;
//! * a panic or a dropped runtime: `kill_on_drop`;
//! * SIGKILL: each child's standard input is a pipe whose other end only we hold, and children
//!   started with `--die-with-parent` end when it closes;
//! * SIGKILL while a child is frozen by SIGSTOP and cannot notice: its process group, which has
//!   nobody else in it, is orphaned by our end, and POSIX has the kernel send SIGHUP and SIGCONT
//!   to an orphaned group with a frozen member. That holds while we and our children are in one
//!   session, so nobody may leave it after the first start. On Linux the child has also asked
//!   to be killed when the *thread* that started it ends ([`die_with_parent`]). So they are all
//!   started by one thread that lives as long as there are children.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, kill_process};
use tokio::process::{Child, ChildStdin};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::lifecycle::Signal;

type Birth = (Command, oneshot::Sender<io::Result<Running>>);

/// Starts children. Its thread ends, and with it on Linux every child, when all clones are gone.
#[derive(Clone, Debug)]
pub(super) struct Nursery {
    births: mpsc::Sender<Birth>,
}

impl Nursery {
    /// # Errors
    /// When no thread can be started.
    pub(super) fn open() -> io::Result<Self> {
        let (births, awaited) = mpsc::channel::<Birth>();
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("nursery".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                let _entered = runtime.enter();
                for (command, reply) in awaited {
                    // When nobody waits any more the child is dropped, and killed by that.
                    let _ = reply.send(Running::start(command));
                }
            })?;
        Ok(Self { births })
    }

    /// Starts a process with a standard input that stays open and silent.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) async fn start(&self, command: Command) -> io::Result<Running> {
        let (reply, born) = oneshot::channel();
        let gone = |_| io::Error::other("the thread that starts processes is gone");
        self.births.send((command, reply)).map_err(|_| gone(()))?;
        born.await.map_err(|_| gone(()))?
    }
}

/// A process that was started and whose end has not been seen.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pid: u32,
    /// Open while we live; the child ends when it closes.
    _lifeline: ChildStdin,
}

impl Running {
    fn start(mut command: Command) -> io::Result<Self> {
        // Its own process group: Ctrl-C at our terminal is for us, and we stop it in order.
        command.stdin(Stdio::piped()).process_group(0);
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().expect("nobody has waited for it yet");
        let lifeline = child.stdin.take().expect("its standard input is piped");
        Ok(Self {
            child,
            pid,
            _lifeline: lifeline,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, described for people. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("its end could not be seen: {error}"),
        }
    }

    /// Sends a signal. The process may have ended meanwhile, which [`Self::ended`] tells.
    pub(super) fn signal(&self, signal: Signal) {
        // After it was reaped the number may belong to somebody else.
        let Some(pid) = self.child.id() else { return };
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        let signal = match signal {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Cont => rustix::process::Signal::CONT,
        };
        if let Err(error) = kill_process(pid, signal) {
            tracing::warn!(%error, ?signal, "signal not sent");
        }
    }
}

/// `exit status 1`, or `signal 9 (SIGKILL)`.
fn describe(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => describe_signal(signal),
        None => format!("exit status {}", status.code().unwrap_or(-1)),
    }
}

/// The same of a code as shells and containers give it: 128 and the signal's number.
pub(super) fn describe_code(code: i64) -> String {
    match i32::try_from(code - 128) {
        Ok(signal @ 1..=64) => describe_signal(signal),
        _ => format!("exit status {code}"),
    }
}

fn describe_signal(signal: i32) -> String {
    let name = match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    };
    format!("signal {signal}{name}")
}

/// Asks the kernel to kill this process when the thread that started it ends, frozen or not.
/// For children of a [`Nursery`], before they answer anything. Elsewhere than on Linux it does
/// nothing.
pub fn die_with_parent() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
    {
        tracing::warn!(%error, "a frozen process may outlive its controller");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn an_end_is_described_by_status_or_signal() {
        let nursery = Nursery::open().unwrap();
        let mut child = nursery.start(shell("exit 3")).await.unwrap();
        assert_eq!(child.ended().await, "exit status 3");
        let mut child = nursery.start(shell("read line")).await.unwrap();
        child.signal(Signal::Kill);
        assert_eq!(child.ended().await, "signal 9 (SIGKILL)");
        // It is reaped: a late signal goes nowhere.
        child.signal(Signal::Term);
    }

    #[tokio::test]
    async fn standard_input_stays_open_until_the_handle_is_dropped() {
        let nursery = Nursery::open().unwrap();
        let mut child = nursery.start(shell("read line; exit 4")).await.unwrap();
        let waiting = std::time::Duration::from_millis(200);
        let early = tokio::time::timeout(waiting, child.ended()).await;
        assert!(
            early.is_err(),
            "waiting closed its standard input: {early:?}"
        );
        let Running {
            mut child,
            _lifeline: lifeline,
            ..
        } = child;
        drop(lifeline);
        assert_eq!(child.wait().await.unwrap().code(), Some(4));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        let nursery = Nursery::open().unwrap();
        let error = nursery.start(Command::new("/no/such/file")).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
