//! On a cluster that others use too: the command's `--attach`, and the dashboard's runner.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom_tui::client::{NewVertex, NodeClient, Outcome, WriteOp, http};
use loom_tui::cluster::local::{LocalCluster, LocalConfig};
use loom_tui::cluster::{ClusterBackend, Life, Member};
use loom_tui::engine::{Progress, ScenarioContext, ScenarioRunner};
use loom_tui::probe::{Clock, Probe, ProbeOptions, Target};
use loom_tui::scenario::live::LiveScenarios;
use loom_tui::snapshot::Verdict;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::bench::Bench;

#[test]
fn an_attached_run_judges_its_own_records_and_leaves_the_cluster_up() {
    let bench = Bench::new();
    let up = Up::start(&bench);
    let first = bench.run(&["run", "partition", "--attach", "--set", "count=3"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let second = bench.run(&[
        "run",
        "chaos-kill",
        "--attach",
        "--set",
        "count=3",
        "--json",
    ]);
    assert_eq!(second.code, Some(0), "{second:?}");
    let report: Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!(report["shared"], true);
    let findings = report["findings"].as_array().unwrap();
    let invented = findings
        .iter()
        .find(|finding| finding["checker"] == "invented");
    let summary = invented.unwrap()["summary"].as_str().unwrap();
    // What the first run left is not the second one's.
    assert_eq!(
        summary,
        "6 records judged, 0 invented; 7 records of others not judged"
    );
    let status = bench.run(&["status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert_eq!(bench.run(&["down"]).code, Some(0));
    assert_eq!(up.ended(), Some(0));
}

#[test]
fn an_attached_run_passes_beside_somebody_who_never_stops_writing() {
    let bench = Bench::new();
    let up = Up::start(&bench);
    let status = bench.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    // Records of somebody else's, made and deleted on every node for as long as the run lasts.
    let writers: Vec<_> = status["members"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|member| member["member"] != "relay")
        .map(|member| {
            let url = member["url"].as_str().unwrap().to_owned();
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || write_until(&url, &stop))
        })
        .collect();
    for scenario in ["partition", "concurrent-updates"] {
        let ran = bench.run(&["run", scenario, "--attach", "--json"]);
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        let written = writer.join().unwrap();
        assert!(written > 100, "there was somebody: {written}");
    }
    assert_eq!(bench.run(&["down"]).code, Some(0));
    assert_eq!(up.ended(), Some(0));
}

/// Writes records and deletes every second one, as fast as a node answers.
fn write_until(url: &str, stop: &AtomicBool) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = NodeClient::new(http().unwrap(), url);
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = NewVertex {
            kind: Some("event".to_owned()),
            ..NewVertex::default()
        };
        // A node that is being cut or killed answers nothing: that is not this one's concern.
        let made = runtime.block_on(client.write(&WriteOp::CreateVertex(body)));
        if let Outcome::Ok(made) = made {
            written += 1;
            if written % 2 == 0 {
                let _ = runtime.block_on(client.write(&WriteOp::DeleteVertex(made.id)));
            }
        }
    }
    written
}

/// `loom-tui up` in the foreground; its cluster ends with it, however the test does.
pub(crate) struct Up(Child);

impl Up {
    /// Returns when all members answer.
    pub(crate) fn start(bench: &Bench) -> Self {
        let ports = ["--base-port", "0", "--relay-port", "0"];
        let mut child = bench.start(&[&["up", "--data-dir", "data"][..], &ports].concat());
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let up = Self(child);
        let mut line = String::new();
        while !line.contains("all members answer") {
            line.clear();
            assert!(told.read_line(&mut line).unwrap() > 0, "it ended instead");
        }
        // Its end says more than a pipe holds.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        up
    }

    pub(crate) fn ended(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboards_runner_plays_on_a_live_cluster() {
    let bench = Bench::new();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_loom-tui"));
    let config = LocalConfig::new(bench.path().join("cluster"), program).on_any_ports();
    let cluster = LocalCluster::open(config).await.unwrap();
    cluster.start_all().await.unwrap();
    let backend: Arc<dyn ClusterBackend> = cluster;
    let members = backend.members().await;
    let nodes = members
        .iter()
        .filter(|status| status.member != Member::Relay);
    let targets: Vec<_> = nodes
        .map(|status| Target {
            member: status.member,
            url: status.url.clone(),
        })
        .collect();
    let probe = Probe::start(Clock::start(), &targets, &ProbeOptions::default()).unwrap();
    let runner = LiveScenarios::new(bench.path().join("runs"));
    let context = |cancel: &CancellationToken| ScenarioContext {
        backend: Arc::clone(&backend),
        probe: probe.clone(),
        progress: Progress::silent(),
        cancel: cancel.clone(),
    };
    // What somebody broke before is mended first.
    backend.kill(Member::Node(3)).await.unwrap();

    let end = runner
        .run("chaos-kill", context(&CancellationToken::new()))
        .await
        .unwrap();
    assert_eq!(end.verdict, Verdict::Pass, "{}", end.note);
    assert!(end.note.contains("restart to agreement"), "{}", end.note);
    assert_eq!(bench.report()["scenario"], "chaos-kill");

    let stopped = CancellationToken::new();
    stopped.cancel();
    let end = runner.run("throughput", context(&stopped)).await.unwrap();
    assert_eq!(end.verdict, Verdict::Unknown);
    let lives: Vec<_> = backend
        .members()
        .await
        .iter()
        .map(|status| status.life)
        .collect();
    assert_eq!(lives, [Life::Up; 4]);
    backend.shutdown().await.unwrap();
}
