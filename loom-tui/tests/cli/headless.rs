//! Without a terminal the program with no arguments runs every scenario and exits with the verdict.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::controller::command;

/// The built-in scenarios, in the order they are played.
const SCENARIOS: [&str; 22] = [
    "basic-sync",
    "concurrent-updates",
    "cross-node-edges",
    "high-volume",
    "sync-latency",
    "partition",
    "split-brain",
    "asymmetric-cut",
    "flapping-link",
    "slow-link",
    "every-partition",
    "offline-edit",
    "chaos-kill",
    "rolling-restart",
    "node-wipe",
    "relay-crash",
    "relay-wipe",
    "clock-skew",
    "chaos",
    "torture",
    "soak",
    "throughput",
];

#[test]
fn no_terminal_means_every_scenario_and_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let mut loom = command(folder.path());
    loom.current_dir(folder.path()).stdin(Stdio::null());
    let output = loom.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}\n{errors}");
    assert!(errors.starts_with("loom-tui: no terminal"), "{errors}");
    for name in SCENARIOS {
        let passed = format!("PASS {name} in ");
        assert!(said.contains(&passed), "{name} did not pass:\n{said}");
    }
    let runs = std::fs::read_dir(folder.path().join("runs")).unwrap();
    // One for each, and `latest`.
    assert_eq!(runs.count(), SCENARIOS.len() + 1);
}

#[test]
fn headless_ends_in_order_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut loom = command(folder.path());
    let mut loom = loom
        .arg("--headless")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(loom.stderr.take().unwrap()).lines();
    let begun = errors.any(|line| line.unwrap().contains("basic-sync: starting 3 nodes"));
    assert!(begun, "it ended instead");
    kill_process(Pid::from_child(&loom), Signal::INT).unwrap();
    // It goes on talking while it mends what it broke.
    for line in errors {
        line.unwrap();
    }
    assert_eq!(loom.wait().unwrap().code(), Some(2), "cut short is unknown");
}

#[test]
fn headless_stands_alone_and_the_dashboard_needs_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for (args, hint) in [
        (["--headless", "status"].as_slice(), "stands alone"),
        (&["dashboard"], "loom-tui run --all"),
    ] {
        let mut loom = command(folder.path());
        let output = loom.args(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(254), "{args:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(hint), "{args:?}: {errors}");
    }
}
