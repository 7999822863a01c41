//! On a cluster that is known only by its URLs: what needs no fault is played and judged, the rest is
//! skipped and says why.

use serde_json::Value;

use crate::attached::Up;
use crate::bench::{Bench, Ran, verdict};

/// The nodes' URLs, joined as `--urls` wants them, and the relay's.
fn urls(bench: &Bench) -> (String, String) {
    let status = bench.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let members = status["members"].as_array().unwrap();
    let url = |member: &&Value| member["url"].as_str().unwrap().to_owned();
    let (relay, nodes): (Vec<_>, Vec<_>) = members
        .iter()
        .partition(|member| member["member"] == "relay");
    let nodes: Vec<_> = nodes.iter().map(url).collect();
    (nodes.join(","), url(&relay[0]))
}

#[test]
fn what_needs_a_fault_is_skipped_with_its_reason_and_the_rest_is_judged() {
    let bench = Bench::new();
    let up = Up::start(&bench);
    let (nodes, relay) = urls(&bench);
    let at = ["--urls", &nodes, "--relay-url", &relay];
    let several = ["run", "basic-sync", "chaos-kill", "relay-crash"];
    let ran = bench.run(&[&several[..], &at].concat());
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for line in [
        "pass   basic-sync",
        "skip   chaos-kill",
        "skipped: `kill node-3` needs a cluster that can be broken",
        "3 scenarios: 1 passed, 2 skipped: UNKNOWN (exit 2)",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let ran = bench.run(&[&["run", "basic-sync", "--json"][..], &at].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["backend"], "urls");
    assert_eq!(report["shared"], true);
    assert_eq!(bench.run(&["down"]).code, Some(0));
    assert_eq!(up.ended(), Some(0));
}

#[test]
fn a_script_can_tell_that_it_cannot_break_anything_and_a_false_claim_still_fails() {
    let bench = Bench::new();
    let up = Up::start(&bench);
    let (nodes, _) = urls(&bench);
    let script = bench.script(
        "let id = node(1).create(\"event\", #{});
         await_visible(id, \"10s\");
         expect(memory(node(1)) > 1000000 && memory(node(2)) > 1000000, `a node tells its memory`);
         try { cut(node(2)); } catch (e) { expect(e.kind == \"skipped\", `caught ${e.kind}`); }
         heal_all();
         start(node(2));\n",
    );
    // The environment is enough, as in a container.
    let run = |args: &[&str]| {
        let mut command = bench.command(args);
        for (number, url) in (1..).zip(nodes.split(',')) {
            command.env(format!("NODE_{number}_URL"), url);
        }
        Ran::from(command.output().unwrap())
    };
    let ran = run(&["run", script]);
    // The claims hold; but a fault that was wanted and not made leaves something unknown.
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.contains("3 nodes on urls"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("cut node-2 was not done"),
        "{}",
        ran.stdout
    );
    assert_eq!(verdict(&bench.report(), "claims"), "pass");
    let script =
        bench.script("node(1).create(\"event\", #{});\nexpect(false, \"no\");\nkill(node(1));\n");
    let ran = run(&["run", script]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout.contains("expected: no (my.rhai:2:1)"),
        "{}",
        ran.stdout
    );
    assert_eq!(bench.run(&["down"]).code, Some(0));
    assert_eq!(up.ended(), Some(0));
}

#[test]
fn nobody_at_a_url_is_the_rigs_failure_and_names_it() {
    let bench = Bench::new();
    // A port that is held, and on which nobody listens.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", held.local_addr().unwrap());
    let ran = bench.run(&["run", "basic-sync", "--urls", &url]);
    assert_eq!(ran.code, Some(255), "{ran:?}");
    assert!(ran.stderr.contains(&url), "{}", ran.stderr);
    assert!(ran.stderr.contains("does not answer"), "{}", ran.stderr);
}
