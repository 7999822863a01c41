//! However a controller ends, no process of its cluster is left, frozen ones included.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const LOOM: &str = env!("CARGO_BIN_EXE_loom-tui");
const SOON: Duration = Duration::from_secs(30);

/// A controller in a folder of its own, which other commands reach.
struct Controller {
    process: Child,
    folder: TempDir,
    pids: Vec<i32>,
}

impl Controller {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = command(folder.path())
            .args(["up", "--base-port", "0", "--relay-port", "0"])
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

    fn members(&self) -> Vec<Value> {
        let output = self.ask(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["members"].as_array().cloned().unwrap_or_default()
    }

    fn ask(&self, args: &[&str]) -> Output {
        command(self.folder.path()).args(args).output().unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end and for that of its members; returns its exit code.
    fn ended(mut self) -> Option<i32> {
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

fn command(folder: &Path) -> Command {
    let mut command = Command::new(LOOM);
    command.env("XDG_STATE_HOME", folder);
    command.env("LOOM_CONTROL", folder.join("control.sock"));
    command
}

/// Whether it still runs: neither gone, nor a zombie waiting for whoever adopted it.
fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < SOON, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn folders_left(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("loom/clusters"));
    entries.map_or_else(
        |_| Vec::new(),
        |entries| entries.flatten().map(|entry| entry.path()).collect(),
    )
}

#[test]
fn a_signal_that_asks_ends_everything_in_order() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let controller = Controller::start();
        let folder = controller.folder.path().to_owned();
        assert_eq!(folders_left(&folder).len(), 1);
        controller.signal(signal);
        assert_eq!(controller.ended(), Some(0), "{signal:?}");
        assert!(folders_left(&folder).is_empty(), "{signal:?} left data");
    }
}

#[test]
fn sigkill_leaves_nobody() {
    let controller = Controller::start();
    controller.signal(Signal::KILL);
    assert_eq!(controller.ended(), None);
}

#[test]
fn sigkill_leaves_nobody_who_is_frozen() {
    let controller = Controller::start();
    for member in ["node-2", "relay"] {
        assert!(controller.ask(&["suspend", member]).status.success());
    }
    controller.signal(Signal::KILL);
    assert_eq!(controller.ended(), None);
}

#[test]
fn a_frozen_member_dies_with_the_thread_that_started_it() {
    // The thread ends and this process goes on: no pipe closes and no group is orphaned, so only
    // the parent-death signal can end it.
    let starting = std::thread::spawn(|| {
        let mut node = Command::new(LOOM)
            .args([
                "node",
                "--port",
                "0",
                "--node-id",
                "frozen",
                "--die-with-parent",
            ])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(node.stderr.take().unwrap()).lines();
        let up = lines.any(|line| line.unwrap().contains("listening"));
        assert!(up, "it ended instead");
        kill_process(Pid::from_child(&node), Signal::STOP).unwrap();
        node
    });
    let mut node = starting.join().unwrap();
    let lifeline = node.stdin.take();
    assert_eq!(node.wait().unwrap().signal(), Some(9));
    drop(lifeline);
}

#[test]
fn asking_twice_does_not_wait_for_a_member_that_is_stuck() {
    let controller = Controller::start();
    // Frozen behind the controller's back: SIGTERM will not reach it within the grace period.
    let stuck = Pid::from_raw(controller.pids[1]).unwrap();
    kill_process(stuck, Signal::STOP).unwrap();
    let asked = Instant::now();
    controller.signal(Signal::INT);
    until("the others are gone", || !alive(controller.pids[2]));
    controller.signal(Signal::INT);
    controller.ended();
    assert!(asked.elapsed() < Duration::from_secs(5), "it waited");
}

#[test]
fn ctrl_c_at_the_terminal_reaches_only_the_controller() {
    let controller = Controller::start();
    // A terminal signals the whole group in its foreground; members must not be in it.
    let own = rustix::process::getpgid(Some(Pid::from_child(&controller.process))).unwrap();
    for pid in &controller.pids {
        let group = rustix::process::getpgid(Pid::from_raw(*pid)).unwrap();
        assert_ne!(group, own, "{pid} is in the controller's group");
    }
}

#[test]
fn sigkill_of_a_detached_controller_leaves_nobody_who_is_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let pids = detached(folder.path());
    let frozen = command(folder.path()).args(["suspend", "node-1"]).output();
    assert!(frozen.unwrap().status.success());
    kill_process(Pid::from_raw(pids[4]).unwrap(), Signal::KILL).unwrap();
    for pid in pids {
        until(&format!("{pid} is gone"), || !alive(pid));
    }
}

#[test]
fn down_ends_a_detached_cluster_and_its_controller() {
    let folder = tempfile::tempdir().unwrap();
    let pids = detached(folder.path());
    let frozen = command(folder.path()).args(["suspend", "node-1"]).output();
    assert!(frozen.unwrap().status.success());
    let down = command(folder.path()).arg("down").output().unwrap();
    assert!(down.status.success(), "{down:?}");
    for pid in pids {
        until(&format!("{pid} is gone"), || !alive(pid));
    }
}

/// Starts a cluster in the background; its members' process ids, and its controller's last.
fn detached(folder: &Path) -> Vec<i32> {
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
