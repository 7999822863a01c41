//! Ctrl-C: the run is unknown, its report is written, and nothing is left running.

use std::io::{BufRead as _, BufReader};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::bench::{Bench, Ran};

#[test]
fn a_run_that_is_stopped_is_unknown_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let script = bench.script(
        "let id = node(1).create(\"event\", #{});\nkill(3);\ncut(2);\nprint(\"waiting\");\nsleep(\"1h\");\n",
    );
    let mut child = bench.start(&["run", script]);
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    // Once it waits, the faults are in place.
    assert!(told.any(|line| line.unwrap().ends_with("waiting")));
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    let members = children_of(pid);
    assert!(members.len() >= 3, "relay and two nodes: {members:?}");
    kill_process(pid, Signal::INT).unwrap();
    let rest: Vec<_> = told.map(Result::unwrap).collect();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(2), "{ran:?}\n{rest:?}");
    let report = bench.report();
    assert_eq!(report["verdict"], "unknown");
    assert!(
        ran.stdout.contains("stopped before its end"),
        "{}",
        ran.stdout
    );
    // The dead member was started again before the end, so that everything could be read.
    let faults: Vec<_> = report["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["fault"])
        .collect();
    assert_eq!(faults, ["kill", "cut", "heal-all", "start"]);
    for member in members {
        assert!(
            test_kill_process(member).is_err(),
            "{member:?} is still running"
        );
    }
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero();
    let tasks = format!("/proc/{parent}/task");
    let mut children = Vec::new();
    for task in std::fs::read_dir(tasks).unwrap() {
        let listed = std::fs::read_to_string(task.unwrap().path().join("children"));
        let listed = listed.unwrap_or_default();
        children.extend(listed.split_whitespace().filter_map(|pid| {
            let pid: i32 = pid.parse().ok()?;
            Pid::from_raw(pid)
        }));
    }
    children
}
