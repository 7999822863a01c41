//! A run that passes, and everything that is kept of it.

use std::collections::BTreeSet;

use loom_tui::history::attempts::{faults, pair};
use loom_tui::history::{Action, Op};
use serde_json::Value;

use crate::bench::{Bench, verdict};

#[test]
fn basic_sync_passes_and_leaves_its_evidence() {
    let bench = Bench::new();
    let ran = bench.run(&["run", "basic-sync", "--seed", "7", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // The report is all there is on standard output.
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(printed, bench.report());
    assert_eq!(printed["verdict"], "pass");
    assert_eq!(printed["seed"], 7);
    assert_eq!(printed["durability"], "sync");
    assert_eq!(printed["args"]["within"], "2s");
    for checker in ["acked_lost", "replicas", "invented", "winner", "stats"] {
        assert_eq!(verdict(&printed, checker), "pass");
    }
    assert_eq!(printed["latency"]["all"]["count"], 6);
    let shown = &printed["staleness"]["node-2"];
    assert_eq!((&shown["stable"], &shown["lost"]), (&3.into(), &0.into()));
    let soonest = shown["visible_ms"]["0"].as_f64().unwrap();
    assert!(soonest <= shown["visible_ms"]["1"].as_f64().unwrap());

    let kept: BTreeSet<_> = std::fs::read_dir(bench.latest())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = [
        "basic-sync.rhai",
        "history.jsonl",
        "latency.hlog",
        "logs",
        "report.json",
    ];
    assert_eq!(kept, expected.map(str::to_owned).into());
    assert!(bench.latest().join("logs/node-3.log").is_file());
    let log = std::fs::read_to_string(bench.latest().join("latency.hlog")).unwrap();
    assert!(log.contains("Tag=node-1->node-2"), "{log}");
}

#[test]
fn a_ci_service_gets_one_case_per_scenario() {
    let bench = Bench::new();
    let mine = bench.script("expect(1 > 2, \"<&> in a claim\"); node(1).create(\"event\", #{});");
    let ran = bench.run(&["run", "basic-sync", mine, "--junit", "verdicts.xml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let text = std::fs::read_to_string(bench.path().join("verdicts.xml")).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let cases: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("testcase"))
        .collect();
    let names: Vec<_> = cases.iter().map(|case| case.attribute("name")).collect();
    assert_eq!(names, [Some("basic-sync"), Some("my")]);
    let failure = |case: &roxmltree::Node<'_, '_>| {
        let failure = case.children().find(|child| child.has_tag_name("failure"));
        failure.and_then(|failure| failure.attribute("message").map(str::to_owned))
    };
    assert_eq!(failure(&cases[0]), None);
    let why = failure(&cases[1]).unwrap();
    assert!(why.contains("claims: expected: <&> in a claim"), "{why}");
}

#[test]
fn a_partition_is_in_the_history_from_cut_to_heal() {
    let bench = Bench::new();
    let ran = bench.run(&["run", "partition", "--set", "count=5"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("PASS partition"), "{}", ran.stdout);
    let text = std::fs::read_to_string(bench.latest().join("history.jsonl")).unwrap();
    let ops: Vec<Op> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(ops.iter().zip(0..).all(|(op, index)| op.index == index));
    let [cut, heal] = faults(&ops).try_into().unwrap();
    assert_eq!((cut.action, heal.action), (Action::Cut, Action::Heal));
    let during = pair(&ops)
        .iter()
        .filter(|write| write.action == Action::Create && write.is_ok())
        .filter(|write| write.began > cut.time && write.ended.unwrap() < heal.time)
        .count();
    assert_eq!(during, 10);
}

#[test]
fn several_scenarios_end_in_the_worst_verdict() {
    let bench = Bench::new();
    let script = bench.script("node(1).create(\"event\", #{});\ngate(false, \"a storm\");");
    let ran = bench.run(&["run", "basic-sync", script, "--json"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
    let verdicts: Vec<_> = printed
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["verdict"])
        .collect();
    assert_eq!(verdicts, ["pass", "unknown"]);
    assert_eq!(verdict(&printed[1], "gates"), "unknown");
}

#[test]
fn the_catalogue_is_listed_with_its_parameters() {
    let bench = Bench::new();
    let ran = bench.run(&["scenarios", "--json"]);
    assert_eq!(ran.code, Some(0));
    let listed: Value = serde_json::from_str(&ran.stdout).unwrap();
    let high = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "high-volume");
    assert_eq!(high.unwrap()["parameters"][0]["name"], "count");
    assert_eq!(high.unwrap()["parameters"][0]["default"], "50");
    let ran = bench.run(&["scenarios"]);
    assert!(ran.stdout.contains("--set count=50"), "{}", ran.stdout);
}
