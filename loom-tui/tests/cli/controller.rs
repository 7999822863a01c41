//! A controller in a process of its own, and other commands that reach it.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const LOOM: &str = env!("CARGO_BIN_EXE_loom-tui");
const SOON: Duration = Duration::from_secs(30);

/// A controller in a folder of its own, which other commands reach.
pub(crate) struct Controller {
    pub(crate) process: Child,
    pub(crate) folder: TempDir,
    pub(crate) pids: Vec<i32>,
}

impl Controller {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &[])
    }

    pub(crate) fn start_in(folder: TempDir, args: &[&str]) -> Self {
        let process = command(folder.path())
            .args(["up", "--base-port", "0", "--relay-port", "0"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut controller = Self {
            process,
            folder,
            pids: Vec::new(),
        };
        until("all members are up", || {
            let members = controller.members();
            let up = members.iter().filter(|member| member["life"] == "up");
            up.count() == 4
        });
        let members = controller.members();
        let pids = members.iter().map(|member| member["pid"].as_i64().unwrap());
        controller.pids = pids.map(|pid| i32::try_from(pid).unwrap()).collect();
        controller
    }

    pub(crate) fn members(&self) -> Vec<Value> {
        let output = self.ask(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["members"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn ask(&self, args: &[&str]) -> Output {
        command(self.folder.path()).args(args).output().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end and for that of its members; returns its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        let code = self.process.wait().unwrap().code();
        for pid in self.pids.drain(..) {
            until(&format!("{pid} is gone"), || !alive(pid));
        }
        code
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // Only matters for a test that failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(LOOM);
    command.env("XDG_STATE_HOME", folder);
    command.env("LOOM_CONTROL", folder.join("control/control.sock"));
    // Containers somebody runs on this machine are none of these tests' business.
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    command
}

/// Whether any of its threads still runs: neither gone, nor a zombie waiting for whoever adopted
/// it. After SIGKILL the first thread may be a zombie while others still hold its files and locks.
pub(crate) fn alive(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut threads = threads.into_iter().flatten().flatten();
    threads.any(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        state.is_some_and(|state| state != 'Z' && state != 'X')
    })
}

pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < SOON, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a cluster in the background; its members' process ids, and its controller's last.
pub(crate) fn detached(folder: &Path) -> Vec<i32> {
    let args = ["up", "--detach", "--base-port", "0", "--relay-port", "0"];
    let up = command(folder).args(args).output().unwrap();
    assert!(up.status.success(), "{up:?}");
    let status = command(folder).args(["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let members = status["members"].as_array().unwrap();
    let processes = members.iter().chain([&status["controller"]["holder"]]);
    let pids = processes.map(|process| process["pid"].as_i64().unwrap());
    let pids: Vec<i32> = pids.map(|pid| i32::try_from(pid).unwrap()).collect();
    assert_eq!(pids.len(), 5);
    pids
}
