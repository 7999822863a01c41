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
fn what_is_stuck_is_nudged_although_something_else_waits_for_a_clock() {
    let bench = Bench::new();
    // Due in an hour on the other nodes, which say that they hold it back.
    let script = bench.script(
        "bump_clock(3, \"1h\");
         node(3).create(\"event\", #{});
         reset_clock(3);
         let id = node(1).create(\"event\", #{});
         node(3).await_visible(id, \"10s\");\n",
    );
    let ran = bench.run(&["run", script, "--plant", "stuck-until-nudged"]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    let stuck = ran
        .stdout
        .lines()
        .any(|line| line.contains("-n2 on node-1") && line.ends_with("stuck until nudged"));
    assert!(stuck, "{}", ran.stdout);
}

#[test]
fn the_selftest_says_which_checker_found_which_bug() {
    let bench = Bench::new();
    let bugs = [
        "--bug",
        "invent",
        "--bug",
        "stale-read",
        "--bug",
        "idle-cut",
    ];
    let args = [&["selftest", "--runs", "1", "--json"], &bugs[..]].concat();
    let ran = bench.run(&args);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["planted"], &told["caught"]), (&3.into(), &3.into()));
    assert_eq!(
        (&told["clean_runs"], &told["false_alarms"]),
        (&1.into(), &0.into())
    );
    let stale = &told["bugs"][1];
    assert_eq!(stale["bug"], "stale-read");
    assert_eq!(stale["checkers"][0]["checker"], "read_your_writes");
    assert_eq!(stale["checkers"][0]["verdict"], "fail");
    assert_eq!(told["bugs"][2]["checkers"][0]["verdict"], "unknown");
    let kept = std::fs::read_to_string(bench.latest().join("selftest.json")).unwrap();
    assert_eq!(kept, ran.stdout);
}
