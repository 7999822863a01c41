//! What people get wrong is answered with a sentence, a next step, and the right exit code.

use std::process::Output;

use crate::controller::{Controller, command};

const USAGE: Option<i32> = Some(254);
const RIG: Option<i32> = Some(255);

fn run(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    command(folder.path()).args(args).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_and_version_are_no_mistakes() {
    for args in [
        ["--help"].as_slice(),
        &["-h"],
        &["--version"],
        &["cut", "--help"],
        &["help", "up"],
        &["node", "--help"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty(), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn bad_arguments_end_with_254_and_say_what_would_do() {
    let cases: [(&[&str], &str); 10] = [
        (&["frob"], "unrecognized subcommand"),
        (&["statsu"], "status"),
        (&["kill"], "MEMBER"),
        (&["kill", "frob"], "relay, node-1"),
        (&["kill", "node-0"], "relay, node-1"),
        (&["cut", "node-1", "--for", "30"], "has no unit"),
        (&["degrade", "node-1", "--bandwidth", "fast"], "number"),
        (&["degrade", "node-1"], "--latency"),
        (&["up", "--nodes", "0"], "1..=32"),
        (&["heal", "everything"], "relay, node-1"),
    ];
    for (args, hint) in cases {
        let output = run(args);
        assert_eq!(output.status.code(), USAGE, "{args:?}");
        assert!(errors(&output).contains(hint), "{args:?}: {output:?}");
    }
}

#[test]
fn without_a_cluster_every_command_says_how_to_start_one() {
    let commands: [&[&str]; 12] = [
        &["status"],
        &["status", "--json", "--watch"],
        &["down"],
        &["start", "relay"],
        &["stop", "relay"],
        &["kill", "node-1"],
        &["restart", "node-1"],
        &["suspend", "node-1"],
        &["wipe", "node-1"],
        &["cut", "node-1"],
        &["heal"],
        &["logs", "node-1"],
    ];
    for args in commands {
        let output = run(args);
        assert_eq!(output.status.code(), RIG, "{args:?}");
        let errors = errors(&output);
        assert!(
            errors.contains("loom-tui up --detach"),
            "{args:?}: {errors}"
        );
    }
}

#[test]
fn a_second_controller_is_told_about_the_first() {
    let controller = Controller::start();
    for args in [["up"].as_slice(), &["up", "--detach"]] {
        let output = controller.ask(args);
        assert_eq!(output.status.code(), RIG);
        let errors = errors(&output);
        let pid = controller.process.id().to_string();
        for part in ["`up`", &pid, "loom-tui down", "--control"] {
            assert!(errors.contains(part), "{part} is not in: {errors}");
        }
    }
}

#[test]
fn what_the_cluster_refuses_is_said_with_a_next_step() {
    let controller = Controller::start();
    let cases: [(&[&str], &str); 4] = [
        (&["kill", "node-9"], "3 nodes"),
        (&["cut", "relay"], "suspend the relay"),
        (&["wipe", "node-1"], "stop or kill it first"),
        (&["logs", "node-9"], "3 nodes"),
    ];
    for (args, part) in cases {
        let output = controller.ask(args);
        assert_eq!(output.status.code(), RIG, "{args:?}");
        let errors = errors(&output);
        assert!(errors.contains(part), "{args:?}: {errors}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    for args in [
        ["up", "--data-dir", "/dev/null/cluster"].as_slice(),
        &["up", "--detach", "--data-dir", "/dev/null/cluster"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), RIG, "{args:?}");
        let errors = errors(&output);
        assert!(errors.contains("/dev/null/cluster"), "{errors}");
        assert!(errors.contains("--data-dir"), "{errors}");
    }
}
