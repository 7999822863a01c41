//! The real program in a terminal of its own: what it does to the terminal it undoes, on every
//! way out, and what is pressed reaches the cluster.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
/// Turned on and off by the dashboard: alternate screen, pasted text, focus, cursor.
const MODES: [(&str, &str); 4] = [
    (ENTER, LEAVE),
    ("\x1b[?2004h", "\x1b[?2004l"),
    ("\x1b[?1004h", "\x1b[?1004l"),
    ("\x1b[?25l", "\x1b[?25h"),
];

/// A dashboard in a pseudo terminal.
struct Dashboard {
    child: Child,
    keys: File,
    terminal: OwnedFd,
    before: Termios,
    chunks: mpsc::Receiver<Vec<u8>>,
    output: String,
    folder: tempfile::TempDir,
}

impl Dashboard {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let size = Winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let slave = File::options().read(true).write(true).open(&name).unwrap();
        let before = tcgetattr(&slave).unwrap();
        // The leader of a new session gets the first terminal it opens as its own.
        let child = Command::new("setsid")
            .args([
                "sh",
                "-c",
                r#"exec "$0" "$@" <"$TTY_NAME" >"$TTY_NAME" 2>&1"#,
            ])
            .arg(env!("CARGO_BIN_EXE_loom-tui"))
            .args(["dashboard", "--base-port", "0", "--relay-port", "0"])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .env("TTY_NAME", &name)
            .env("LOOM_CONTROL", folder.path().join("control"))
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut reader = File::from(master.try_clone().unwrap());
        let (send, chunks) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Ends with an error when the other side is closed.
            while let Ok(n) = reader.read(&mut buffer) {
                if send.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keys: File::from(master),
            terminal: slave.into(),
            before,
            chunks,
            output: String::new(),
            folder,
        }
    }

    /// Reads until `wanted` was written `times` times.
    fn wait_for(&mut self, wanted: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.output.matches(wanted).count() < times {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.chunks.recv_timeout(left) {
                Ok(bytes) => self.output.push_str(&String::from_utf8_lossy(&bytes)),
                Err(why @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => {
                    panic!("{why}: no {times}. {wanted:?} in {:?}", self.output)
                }
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    fn wait_until_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        let deadline = Instant::now() + PATIENCE;
        // The state follows the name, which is in parentheses.
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            assert!(Instant::now() < deadline, "it never stopped");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs another command against the same cluster.
    fn command(&self, args: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_loom-tui"))
            .args(args)
            .env("LOOM_CONTROL", self.folder.path().join("control"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Its last words must not fill the terminal's buffer.
            while let Ok(bytes) = self.chunks.try_recv() {
                self.output.push_str(&String::from_utf8_lossy(&bytes));
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                while let Ok(bytes) = self.chunks.recv_timeout(Duration::from_millis(50)) {
                    self.output.push_str(&String::from_utf8_lossy(&bytes));
                }
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it never ended: {:?}",
                self.output
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asserts that the terminal is as it was, and returns what was written after the dashboard.
    fn assert_restored(&self, times: usize) -> &str {
        for (on, off) in MODES {
            assert_eq!(self.output.matches(off).count(), times, "{off:?}");
            assert!(self.output.rfind(on) < self.output.rfind(off), "{off:?}");
        }
        let now = tcgetattr(self.terminal.as_fd()).unwrap();
        assert_eq!(now.local_modes, self.before.local_modes);
        assert_eq!(now.input_modes, self.before.input_modes);
        assert_eq!(now.output_modes, self.before.output_modes);
        self.output.rsplit(LEAVE).next().unwrap()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // The members die with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_key_cuts_a_real_link_and_q_leaves_the_terminal_as_it_was() {
    let mut dashboard = Dashboard::start();
    // The first thing only a cluster that is up shows.
    dashboard.wait_for("LIVE", 1);
    assert!(!dashboard.command(&["status"]).contains("cut"));
    dashboard.press("p");
    let deadline = Instant::now() + PATIENCE;
    while !dashboard.command(&["status"]).contains("cut") {
        assert!(Instant::now() < deadline, "the key never reached the link");
    }
    dashboard.press("q");
    let status = dashboard.wait();
    assert_eq!(status.code(), Some(0), "{status:?}");
    let last_words = dashboard.assert_restored(1);
    assert!(
        last_words.contains("faults made here: cut 1"),
        "{last_words:?}"
    );
    assert!(!dashboard.folder.path().join("control").exists());
}

#[test]
fn a_signal_restores_the_terminal_and_is_the_exit_code() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut dashboard = Dashboard::start();
        dashboard.wait_for("LIVE", 1);
        dashboard.signal(signal);
        let status = dashboard.wait();
        assert_eq!(status.code(), Some(code), "{status:?}");
        dashboard.assert_restored(1);
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_continuing_takes_it_again() {
    let mut dashboard = Dashboard::start();
    dashboard.wait_for("LIVE", 1);
    dashboard.press("\x1a");
    dashboard.wait_for(LEAVE, 1);
    // Raw mode ends after the last bytes are written, and before it stops.
    dashboard.wait_until_stopped();
    dashboard.assert_restored(1);
    dashboard.signal(Signal::CONT);
    dashboard.wait_for(ENTER, 2);
    // All is painted again, not only what changed.
    dashboard.wait_for("LIVE", 2);
    dashboard.press("\x03");
    assert_eq!(dashboard.wait().code(), Some(0));
    dashboard.assert_restored(2);
}

#[test]
fn ending_the_cluster_from_elsewhere_ends_the_dashboard() {
    let mut dashboard = Dashboard::start();
    dashboard.wait_for("LIVE", 1);
    dashboard.command(&["down"]);
    let status = dashboard.wait();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    dashboard.assert_restored(1);
}
