//! `deploy/` against what is really there: every metric the dashboard asks for is told by a live
//! member, and Prometheus asks at the places docker-compose.yml makes.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use loom_tui::client::http;
use loom_tui::cluster::ClusterBackend as _;
use loom_tui::cluster::local::{LocalCluster, LocalConfig};
use serde_json::Value;

fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(file)).unwrap()
}

/// The names in a query that are metrics of ours.
fn metrics_of(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("loom_") || word.starts_with("process_"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_asks_for_nothing_that_no_member_tells() {
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/dashboards/loom.json")).unwrap();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let of_query: Vec<_> = metrics_of(query).map(str::to_owned).collect();
            assert!(!of_query.is_empty(), "{}: {query}", panel["title"]);
            asked.extend(of_query);
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_loom-tui"));
    let mut config = LocalConfig::new(folder.path().to_owned(), program).on_any_ports();
    config.nodes = 1;
    let cluster = LocalCluster::open(config).await.unwrap();
    cluster.start_all().await.unwrap();
    let mut told = BTreeSet::new();
    for status in cluster.members().await {
        let page = http().unwrap().get(format!("{}/metrics", status.url));
        let page = page.send().await.unwrap().text().await.unwrap();
        let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names: Vec<_> = families
            .filter_map(|rest| rest.split(' ').next())
            .map(str::to_owned)
            .collect();
        assert!(
            names.iter().any(|name| name.starts_with("process_")),
            "{} tells its memory",
            status.member
        );
        told.extend(names);
    }
    cluster.shutdown().await.unwrap();
    let unknown: Vec<_> = asked.difference(&told).collect();
    assert!(unknown.is_empty(), "no member tells {unknown:?}");
}

#[test]
fn prometheus_asks_members_where_compose_puts_them() {
    let compose = read("docker-compose.yml");
    let config = read("deploy/prometheus.yml");
    let targets = config.lines().filter_map(|line| {
        let target = line.trim().strip_prefix("- targets: [")?;
        target.strip_suffix(']')?.split_once(':')
    });
    let mut count = 0;
    for (name, port) in targets {
        count += 1;
        let service = compose.split(&format!("\n  {name}:\n")).nth(1);
        let service = service.unwrap_or_else(|| panic!("no service {name}"));
        let service = service.split("\n\n").next().unwrap();
        let published = format!(":{port}\"");
        assert!(service.contains(&published), "{name} is not at {port}");
        assert!(
            service.contains(&format!("container_name: {name}\n")),
            "{name} is called otherwise"
        );
    }
    assert_eq!(count, 4, "the relay and three nodes");
}
