//! Nodes that are wrong on purpose: the run that should notice must fail, and say why.

use crate::bench::{Bench, verdict};

/// Runs a scenario with a fault in node-2 and expects these checkers to find it.
fn planted(fault: &str, scenario: &[&str], finders: &[&str]) {
    let bench = Bench::new();
    let args = [&["run"], scenario, &["--plant", fault]].concat();
    let ran = bench.run(&args);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    let said = format!("{fault} in node-2");
    assert!(ran.stdout.contains(&said), "{}", ran.stdout);
    let report = bench.report();
    assert_eq!(report["planted"], said);
    for checker in finders {
        assert_eq!(
            verdict(&report, checker),
            "fail",
            "{checker}: {}",
            ran.stdout
        );
    }
}

#[test]
fn acknowledged_and_not_kept_fails_the_run() {
    let scenario = ["high-volume", "--set", "within=1s"];
    planted("lose-acked", &scenario, &["acked_lost"]);
}

#[test]
fn a_node_that_ignores_others_fails_the_run() {
    let scenario = ["high-volume", "--set", "within=1s"];
    planted("drop-remote", &scenario, &["acked_lost", "replicas"]);
}

#[test]
fn a_node_that_keeps_losers_fails_the_run() {
    let scenario = ["concurrent-updates", "--set", "within=1s"];
    planted("reverse-tie", &scenario, &["winner", "replicas"]);
}

#[test]
fn a_record_nobody_wrote_fails_the_run() {
    planted("invent", &["high-volume"], &["invented"]);
}
