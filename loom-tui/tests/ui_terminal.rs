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
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
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
        Self::start_with(&[], None)
    }

    /// With more flags, and on the Docker engine of this machine or on this one.
    fn start_with(flags: &[&str], docker_host: Option<&str>) -> Self {
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
        let mut command = Command::new("setsid");
        if let Some(host) = docker_host {
            command.env("DOCKER_HOST", host);
        }
        let child = command
            .args([
                "sh",
                "-c",
                r#"exec "$0" "$@" <"$TTY_NAME" >"$TTY_NAME" 2>&1"#,
            ])
            .arg(env!("CARGO_BIN_EXE_loom-tui"))
            .args(["dashboard", "--base-port", "0", "--relay-port", "0"])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(flags)
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

#[test]
fn a_key_takes_a_container_off_the_network_and_another_puts_it_back() {
    let docker = |args: &[&str]| {
        let said = Command::new("docker").args(args).output();
        said.ok().filter(|said| said.status.success())
    };
    if docker(&["version"]).is_none() {
        assert!(
            std::env::var_os("LOOM_REQUIRE_DOCKER").is_none(),
            "no engine answers"
        );
        println!("skipped: `docker version` fails");
        return;
    }
    let name = format!("loom-ui-{:08x}", rand::random::<u32>());
    let on_network = || {
        let network = format!("{name}-network");
        let said = docker(&["network", "inspect", "-f", "{{len .Containers}}", &network]);
        String::from_utf8(said.unwrap().stdout).unwrap()
    };
    let until = |wanted: &str| {
        let deadline = Instant::now() + PATIENCE;
        while on_network().trim() != wanted {
            assert!(Instant::now() < deadline, "never {wanted} on the network");
            thread::sleep(Duration::from_millis(50));
        }
    };
    let flags = ["--backend", "docker", "--nodes", "2", "--name", &name];
    let mut dashboard = Dashboard::start_with(&flags, None);
    dashboard.wait_for("LIVE", 1);
    until("3");
    dashboard.press("p");
    until("2");
    dashboard.press("p");
    until("3");
    dashboard.press("q");
    let status = dashboard.wait();
    assert_eq!(status.code(), Some(0), "{status:?}");
    let label = format!("label=loom.cluster={name}");
    let left = docker(&["ps", "-aq", "--filter", &label]).unwrap();
    assert!(left.stdout.is_empty(), "containers are left");
    dashboard_down(&name);
}

/// Removes the volumes, which a cluster leaves unless told otherwise.
fn dashboard_down(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let down = Command::new(env!("CARGO_BIN_EXE_loom-tui"))
        .args(["down", "--volumes", "--name", name])
        .env("LOOM_CONTROL", folder.path().join("control"))
        .output()
        .unwrap();
    assert!(down.status.success(), "{down:?}");
}

#[test]
fn without_an_engine_the_dashboard_says_what_to_do_and_r_tries_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let name = format!("loom-ui-{:08x}", rand::random::<u32>());
    let flags = ["--backend", "docker", "--nodes", "1", "--name", &name];
    let mut dashboard = Dashboard::start_with(&flags, Some(&host));
    // What starts an engine, and what needs none.
    dashboard.wait_for("systemctl", 1);
    dashboard.wait_for("local", 1);
    let engine = Path::new("/var/run/docker.sock");
    let answers = UnixStream::connect(engine).is_ok();
    if answers {
        // As if somebody had started it.
        symlink(engine, &socket).unwrap();
        dashboard.press("r");
        dashboard.wait_for("LIVE", 1);
    }
    dashboard.press("q");
    dashboard.wait();
    dashboard.assert_restored(1);
    if answers {
        dashboard_down(&name);
    }
}

#[test]
fn without_an_engine_a_key_starts_the_cluster_as_local_processes() {
    let flags = ["--backend", "docker", "--nodes", "1"];
    let nowhere = Some("unix:///nowhere/docker.sock");
    let mut dashboard = Dashboard::start_with(&flags, nowhere);
    dashboard.wait_for("instead", 1);
    dashboard.press("o");
    dashboard.wait_for("LIVE", 1);
    let status = dashboard.command(&["status"]);
    assert!(status.starts_with("local cluster"), "{status}");
    dashboard.press("q");
    assert_eq!(dashboard.wait().code(), Some(0));
    dashboard.assert_restored(1);
}
