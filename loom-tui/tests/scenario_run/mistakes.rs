//! Mistakes are 254, a broken rig is 255, and a run that measured nothing never passes.

use crate::bench::Bench;

#[test]
fn a_syntax_error_is_told_with_line_and_column_before_anything_starts() {
    let bench = Bench::new();
    let script = bench.script("let x = 1;\nlet y = x +* 2;\n");
    let ran = bench.run(&["run", script]);
    assert_eq!(ran.code, Some(254), "{ran:?}");
    assert!(ran.stderr.contains("my.rhai:2:12"), "{}", ran.stderr);
    assert!(!bench.path().join("runs").exists());
}

#[test]
fn a_mistake_found_while_running_is_told_with_line_and_column() {
    let bench = Bench::new();
    let script =
        bench.script("let id = node(1).create(\"event\", #{});\nawait_visable(id, \"2s\");\n");
    let ran = bench.run(&["run", script]);
    assert_eq!(ran.code, Some(254), "{ran:?}");
    assert!(ran.stdout.contains("my.rhai:2:1"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("did you mean await_visible?"),
        "{}",
        ran.stdout
    );
    assert!(bench.report()["mistake"].is_string());
}

#[test]
fn a_script_that_measures_nothing_is_unknown() {
    let bench = Bench::new();
    let script = bench.script("log(\"hello\");\nlet health = node(1).health();\n");
    let ran = bench.run(&["run", script]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stdout.contains("nothing was measured"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_broken_claim_fails() {
    let bench = Bench::new();
    let script = bench.script(
        "let id = node(1).create(\"event\", #{});\nexpect(node(1).get(id) == (), \"gone\");\n",
    );
    let ran = bench.run(&["run", script]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout.contains("expected: gone (my.rhai:2:1)"),
        "{}",
        ran.stdout
    );
}

#[test]
fn arguments_that_make_no_sense_are_answered_with_what_does() {
    let bench = Bench::new();
    for (args, hint) in [
        (&["run", "partion"][..], "did you mean partition?"),
        (
            &["run", "high-volume", "--set", "cuont=5"],
            "did you mean count?",
        ),
        (&["run", "basic-sync", "--set", "count"], "NAME=VALUE"),
        (&["run", "nowhere.rhai"], "cannot be read"),
        (&["run"], "required"),
        (
            &["run", "basic-sync", "--nodes", "1", "--plant", "invent"],
            "--plant needs node-2",
        ),
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.code, Some(254), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(hint), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn a_rig_that_cannot_start_is_no_failure_of_the_cluster() {
    let bench = Bench::new();
    std::fs::write(bench.path().join("file"), "").unwrap();
    let ran = bench.run(&["run", "basic-sync", "--runs-dir", "file/runs"]);
    assert_eq!(ran.code, Some(255), "{ran:?}");
    assert!(ran.stderr.contains("file/runs"), "{}", ran.stderr);
    let ran = bench.run(&["run", "basic-sync", "--attach"]);
    assert_eq!(ran.code, Some(255), "{ran:?}");
}
