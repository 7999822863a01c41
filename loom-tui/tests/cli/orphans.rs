//! However a controller ends, no process of its cluster is left, frozen ones included.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::controller::{Controller, LOOM, alive, command, detached, until};

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
