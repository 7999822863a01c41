//! Every client call against a real relay and real nodes, served in this process: the tester's own
//! wire structs and the product's API must stay in step.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use loom_node::NodeConfig;
use loom_relay::RelayConfig;
use loom_relay::driver::PeerUrl;
use loom_tui::client::feed::{Feed, FeedChange, FeedItem, FeedOptions};
use loom_tui::client::{
    Change, EdgeFilter, Key, NewEdge, NewVertex, NodeClient, Outcome, RelayClient, VertexFilter,
    WriteOp, http,
};
use loom_tui::cluster::Member;
use loom_tui::probe::{
    Class, Clock, Goal, Load, Mix, Pace, Probe, ProbeOptions, Standing, Target, Until, Want, load,
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const WITHIN: Duration = Duration::from_secs(20);

/// A relay and nodes in this process; they end with it.
struct Cluster {
    relay: RelayClient,
    nodes: Vec<NodeClient>,
    stop: CancellationToken,
}

impl Cluster {
    async fn start(nodes: usize) -> Self {
        let http = http().expect("HTTP");
        let stop = CancellationToken::new();
        let listener = bind().await;
        let at = address(&listener);
        let relay = loom_relay::serve(
            listener,
            RelayConfig::default(),
            stop.clone().cancelled_owned(),
        );
        tokio::spawn(async move { relay.await.expect("the relay serves") });
        let mut clients = Vec::new();
        for number in 1..=nodes {
            let listener = bind().await;
            let url = format!("http://{}", address(&listener));
            let mut config = NodeConfig::new(format!("node-{number}"));
            config.peers = vec![PeerUrl::from_str(&format!("ws://{at}/gun")).expect("a URL")];
            let node = loom_node::serve(listener, config, stop.clone().cancelled_owned());
            tokio::spawn(async move { node.await.expect("the node serves") });
            clients.push(NodeClient::new(http.clone(), &url));
        }
        for client in &clients {
            wait_for("a node connected to its relay", async || {
                (client.health().await.ok()).is_some_and(|health| health.sync.connected)
            })
            .await;
        }
        Self {
            relay: RelayClient::new(http, &format!("http://{at}")),
            nodes: clients,
            stop,
        }
    }

    fn targets(&self) -> Vec<Target> {
        let targets = self.nodes.iter().zip(1..).map(|(client, number)| Target {
            member: Member::Node(number),
            url: client.base().to_owned(),
        });
        targets.collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind() -> TcpListener {
    (TcpListener::bind("127.0.0.1:0").await).expect("a port is free")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}

async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(WITHIN, waiting).await.is_ok(),
        "never: {what}"
    );
}

fn vertex(id: &str, n: u64) -> NewVertex {
    NewVertex {
        id: Some(id.to_owned()),
        kind: Some("task".to_owned()),
        properties: Some(Map::from_iter([("n".to_owned(), Value::from(n))])),
    }
}

fn edge(id: &str, from: &str, to: &str) -> NewEdge {
    NewEdge {
        id: Some(id.to_owned()),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        kind: Some("owns".to_owned()),
        weight: Some(0.5),
        ..NewEdge::default()
    }
}

fn status<T: std::fmt::Debug>(outcome: Outcome<T>) -> u16 {
    match outcome {
        Outcome::Fail(refusal) => refusal.status.expect("an HTTP refusal"),
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn vertices_live_and_die_as_the_client_understands_it() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let id = "a/b?c #ü.";
    let created = node.write(&WriteOp::CreateVertex(vertex(id, 1))).await;
    let created = created.into_result().unwrap();
    assert!(created.created);
    assert_eq!(created.id, id);
    let put = WriteOp::PutVertex(id.to_owned(), vertex(id, 2));
    let put = node.write(&put).await.into_result().unwrap();
    assert!(!put.created);
    assert!(put.state > created.state);
    let body = NewVertex {
        properties: Some(Map::from_iter([("m".to_owned(), json!(true))])),
        ..NewVertex::default()
    };
    let patched = node.write(&WriteOp::PatchVertex(id.to_owned(), body)).await;
    let patched = patched.into_result().unwrap();
    assert!(patched.state > put.state);

    let stored = node.vertex(id).await.into_result().unwrap();
    assert_eq!(stored.state, Some(patched.state));
    assert_eq!(stored.record.kind, "task");
    assert_eq!(
        Value::Object(stored.record.properties),
        json!({"n": 2, "m": true})
    );
    assert_eq!(stored.record.metadata["version"], json!(3));
    assert_eq!(stored.record.metadata["createdBy"], json!("node-1"));

    let deleted = node.write(&WriteOp::DeleteVertex(id.to_owned())).await;
    assert!(deleted.into_result().unwrap().state > patched.state);
    assert_eq!(status(node.vertex(id).await), 404);
    let again = node.write(&WriteOp::DeleteVertex(id.to_owned())).await;
    assert_eq!(status(again), 404);

    let nameless = WriteOp::CreateVertex(NewVertex::default());
    let nameless = node.write(&nameless).await.into_result().unwrap();
    let stored = node.vertex(&nameless.id).await.into_result().unwrap();
    assert_eq!(stored.record.kind, "custom");
    let bad = WriteOp::CreateVertex(vertex("_", 1));
    assert_eq!(status(node.write(&bad).await), 400);
}

#[tokio::test]
async fn edges_are_filtered_and_say_when_they_dangle() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    for id in ["a", "b"] {
        let op = WriteOp::CreateVertex(vertex(id, 0));
        assert!(node.write(&op).await.is_ok());
    }
    for (id, from, to) in [("e1", "a", "b"), ("e2", "b", "a"), ("e3", "a", "nowhere")] {
        let written = node.write(&WriteOp::CreateEdge(edge(id, from, to))).await;
        assert!(written.into_result().unwrap().created);
    }
    let ids = |edges: Outcome<Vec<loom_tui::client::Stored<loom_tui::client::Edge>>>| {
        let mut ids: Vec<_> = (edges.into_result().unwrap().into_iter())
            .map(|edge| edge.record.id)
            .collect();
        ids.sort();
        ids
    };
    let from_a = EdgeFilter {
        from: Some("a".to_owned()),
        ..EdgeFilter::default()
    };
    assert_eq!(ids(node.edges(&from_a).await), ["e1", "e3"]);
    let both = EdgeFilter {
        to: Some("b".to_owned()),
        kind: Some("owns".to_owned()),
        ..from_a
    };
    assert_eq!(ids(node.edges(&both).await), ["e1"]);
    assert_eq!(ids(node.edges_of("b").await), ["e1", "e2"]);
    let stored = node.edge("e3").await.into_result().unwrap();
    assert!(stored.record.dangling);
    assert_eq!(stored.record.weight, Some(0.5));
    assert!(stored.state.is_some());
    let put = WriteOp::PutEdge("e3".to_owned(), edge("e3", "a", "b"));
    assert!(node.write(&put).await.is_ok());
    let body = NewEdge {
        weight: Some(0.25),
        ..NewEdge::default()
    };
    let patch = WriteOp::PatchEdge("e3".to_owned(), body);
    assert!(node.write(&patch).await.is_ok());
    let stored = node.edge("e3").await.into_result().unwrap();
    assert_eq!(
        (stored.record.dangling, stored.record.weight),
        (false, Some(0.25))
    );
    let delete = WriteOp::DeleteEdge("e3".to_owned());
    assert!(node.write(&delete).await.is_ok());
    assert_eq!(status(node.edge("e3").await), 404);
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let many: Vec<_> = (0..2_500).map(|n| vertex(&format!("v{n}"), n)).collect();
    let report = node.bulk_vertices(&many).await.into_result().unwrap();
    assert_eq!((report.created, report.failed), (2_500, 0));
    let edges = [edge("e1", "v1", "v2"), NewEdge::default()];
    let report = node.bulk_edges(&edges).await.into_result().unwrap();
    assert_eq!((report.created, report.failed), (1, 1));
    assert_eq!(report.errors[0].line, 2);

    let filter = VertexFilter::default();
    let page = node.vertices_page(&filter, Some(7), None).await;
    let page = page.into_result().unwrap();
    assert_eq!(page.items.len(), 7);
    assert!(page.next.is_some());
    let mut ids: Vec<_> = (node.vertices(&filter).await.into_result().unwrap().iter())
        .map(|stored| stored.record.id.clone())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2_500);
    let none = VertexFilter {
        kind: Some("agent".to_owned()),
    };
    assert_eq!(node.vertices(&none).await, Outcome::Ok(Vec::new()));
    let digest = node.digest().await.into_result().unwrap();
    assert_eq!((digest.nodes, digest.edges, digest.deferred), (2_500, 1, 0));
    let stats = node.stats().await.into_result().unwrap();
    assert_eq!(stats.records(), Some(2_501));
}

#[tokio::test]
async fn two_nodes_and_their_relay_tell_how_they_are() {
    let cluster = Cluster::start(2).await;
    let [one, two] = &cluster.nodes[..] else {
        unreachable!("two were started")
    };
    let relay = cluster.relay.health().await.into_result().unwrap();
    assert_eq!((relay.status.as_str(), relay.peers), ("healthy", 2));
    let op = WriteOp::CreateVertex(vertex("a", 1));
    let written = one.write(&op).await.into_result().unwrap();
    wait_for("the write at the other node", async || {
        two.vertex("a").await.is_ok()
    })
    .await;
    let there = two.vertex("a").await.into_result().unwrap();
    assert_eq!(there.state, Some(written.state));
    let digests = [one.digest().await, two.digest().await];
    let digests = digests.map(|digest| digest.into_result().unwrap());
    assert_eq!(digests[0].digest, digests[1].digest);
    assert_eq!(digests[1].node_id, "node-2");

    let health = two.health().await.into_result().unwrap();
    assert_eq!(health.node_id, "node-2");
    assert!(health.healthy && health.sync.connected);
    assert_eq!(health.stats.remote_changes, 1);
    let history = two.history().await.into_result().unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].change, Change::NodeCreated);
    assert_eq!(history[0].key(), Some(Key::vertex("a")));
    assert_eq!(history[0].state, Some(written.state));
    assert_eq!(history[0].origin.as_deref(), Some("remote"));
    assert!(two.clear_history().await.is_ok());
    assert!(two.history().await.into_result().unwrap().is_empty());
    assert!(two.reset_stats().await.is_ok());
    let stats = two.stats().await.into_result().unwrap();
    assert_eq!(stats.stats.remote_changes, 0);
    assert!(one.canary("x-1").await.is_ok());
    assert_eq!(status(one.canary(&"x".repeat(300)).await), 400);
    assert!(two.shutdown().await.is_ok());
    wait_for(
        "the node gone",
        async || matches!(two.health().await, Outcome::Fail(refusal) if refusal.status.is_none()),
    )
    .await;
}

#[tokio::test]
async fn the_feed_tells_local_and_remote_changes_and_canaries() {
    let cluster = Cluster::start(2).await;
    let options = FeedOptions {
        canary: true,
        list_first: true,
        ..FeedOptions::default()
    };
    let op = WriteOp::CreateVertex(vertex("before", 1));
    assert!(cluster.nodes[1].write(&op).await.is_ok());
    let mut feed = Feed::new(cluster.nodes[1].clone(), options);
    let following = async {
        assert!(matches!(
            feed.next().await,
            FeedItem::Open { resumed: false, .. }
        ));
        let FeedItem::Listed { vertices, .. } = feed.next().await else {
            panic!("a list was asked for");
        };
        assert_eq!(vertices[0].record.id, "before");
        let remote = WriteOp::CreateVertex(vertex("remote", 1));
        let state = (cluster.nodes[0].write(&remote).await.into_result())
            .unwrap()
            .state;
        assert!(cluster.nodes[0].canary("song-1").await.is_ok());
        let gone = WriteOp::DeleteVertex("before".to_owned());
        assert!(cluster.nodes[1].write(&gone).await.is_ok());
        let mut told = Vec::new();
        while told.len() < 3 {
            match feed.next().await {
                FeedItem::Changes { changes, .. } => told.extend(changes),
                other => panic!("unexpected {other:?}"),
            }
        }
        let mut keys = Vec::new();
        for change in &told {
            match change {
                FeedChange::Record(record) => {
                    let key = record.key().unwrap();
                    if key == Key::vertex("remote") {
                        assert_eq!(record.state, Some(state));
                        assert_eq!(record.origin.as_deref(), Some("remote"));
                    } else {
                        assert_eq!(record.change, Change::NodeDeleted);
                        assert!(record.state.is_some());
                    }
                    keys.push(key);
                }
                FeedChange::Canary { origin, value } => {
                    assert_eq!((origin.as_str(), value.as_str()), ("node-1", "song-1"));
                    keys.push(Key::canary(origin));
                }
            }
        }
        keys.sort();
        let expected = [
            Key::vertex("before"),
            Key::vertex("remote"),
            Key::canary("node-1"),
        ];
        assert_eq!(keys, expected);
    };
    tokio::time::timeout(WITHIN, following).await.unwrap();
}

#[tokio::test]
async fn the_probe_follows_writes_through_a_real_cluster() {
    let cluster = Cluster::start(3).await;
    let clock = Clock::start();
    let probe = Probe::start(clock, &cluster.targets(), &ProbeOptions::default()).unwrap();
    wait_for("canaries heard everywhere", async || {
        let view = probe.view().await;
        (view.observers.iter()).all(|observer| observer.feed_up && observer.lag.is_some())
    })
    .await;

    let mark = probe.mark().await;
    let op = WriteOp::CreateVertex(vertex("single", 1));
    let sent = probe.write(Member::Node(1), op, clock.now()).await;
    let state = sent.outcome.clone().into_result().unwrap().state;
    probe.await_seen(sent.id, &[], WITHIN).await.unwrap();
    assert!(matches!(
        probe.standing(sent.id).await,
        Standing::Seen(Some(_))
    ));
    let goal = Goal {
        key: Key::vertex("single"),
        want: Want::Present(state),
    };
    // Long past: the feeds will not tell it again, so the nodes are asked.
    probe.await_shown(&goal, &[], WITHIN).await.unwrap();

    let plan = Load {
        origins: probe.members().to_vec(),
        pace: Pace::Open { per_s: 400.0 },
        until: Until::Count(1_200),
        mix: Mix {
            create: 6,
            update: 2,
            delete: 1,
            edge: 1,
            read: 0,
        },
        payload_bytes: 100,
        seed: 7,
        id_prefix: "load".to_owned(),
    };
    let writes = Arc::new(probe.clone());
    let report = load::run(writes, clock, &plan, &CancellationToken::new()).await;
    let answers = report.answers();
    assert_eq!(
        (answers.acked, answers.refused, answers.unknown),
        (1_200, 0, 0),
        "{:?}",
        report.complaints
    );
    assert_eq!(report.by_op.len(), 4, "{:?}", report.by_op);
    probe.await_quiet(&[], WITHIN).await.unwrap();

    let measured = probe.report(&mark).await;
    assert_eq!((measured.user.acked, measured.user.settled), (1_201, 1_201));
    assert!(
        measured
            .unseen
            .iter()
            .all(|unseen| unseen.class == Class::Canary)
    );
    let summary = measured.convergence(Class::User);
    assert_eq!((summary.count, summary.unseen), (2_402, 0));
    assert!(summary.p99.known().is_some(), "{summary:?}");
    let pairs = measured
        .pairs
        .iter()
        .filter(|pair| pair.class == Class::User);
    assert_eq!(pairs.count(), 9);
    assert!(measured.feed_gaps.is_empty());
    let log = probe.interval_log(&mark).await;
    assert!(
        String::from_utf8(log)
            .unwrap()
            .contains("Tag=node-1->node-2")
    );
    let digests = futures_util::future::join_all(cluster.nodes.iter().map(NodeClient::digest));
    let digests = digests
        .await
        .into_iter()
        .map(|digest| digest.ok().unwrap().digest);
    let digests: std::collections::BTreeSet<_> = digests.collect();
    assert_eq!(digests.len(), 1);
}
