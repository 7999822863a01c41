//! Nodes around a relay, each over a link of its own that can be cut.

use std::time::Duration;

use loom_node::NodeConfig;
use loom_relay::RelayConfig;
use loom_relay::driver::{DriverConfig, PeerUrl};
use reqwest::Method;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use crate::link::Link;
use crate::support::Node;

/// Short enough for a test, long enough for a machine that runs ten of them at once.
const PING_TIMEOUT: Duration = Duration::from_millis(700);

struct Cluster {
    nodes: Vec<Node>,
    links: Vec<Link>,
}

impl Cluster {
    async fn start(count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = listener.local_addr().unwrap();
        let config = RelayConfig {
            driver: DriverConfig::with_ping_timeout(PING_TIMEOUT),
            ..RelayConfig::default()
        };
        tokio::spawn(loom_relay::serve(listener, config, std::future::pending()));
        let mut cluster = Self {
            nodes: Vec::new(),
            links: Vec::new(),
        };
        for number in 1..=count {
            let link = Link::to(relay).await;
            let mut config = NodeConfig::new(format!("node-{number}"));
            config.peers = vec![PeerUrl::parse(&format!("http://{}/gun", link.address)).unwrap()];
            config.driver = DriverConfig::with_ping_timeout(PING_TIMEOUT);
            cluster.links.push(link);
            cluster.nodes.push(Node::start(config).await);
        }
        for node in &cluster.nodes {
            node.until("/health", is_connected).await;
        }
        cluster
    }

    /// Waits until all nodes hold the same, then gives the digest.
    async fn converged(&self, nodes: u64) -> Json {
        for node in &self.nodes {
            node.until("/digest", |digest| digest["nodes"] == nodes)
                .await;
        }
        let first = self.nodes[0].get("/digest").await;
        for node in &self.nodes[1..] {
            node.until("/digest", |digest| digest["digest"] == first["digest"])
                .await;
        }
        first
    }
}

fn is_connected(health: &Json) -> bool {
    health["sync"]["connected"] == true
}

fn nothing_pending(health: &Json) -> bool {
    health["sync"]["pendingChanges"] == 0
}

fn value(value: u64) -> Json {
    json!({"properties": {"value": value}})
}

#[tokio::test]
async fn a_change_at_one_node_is_an_event_and_a_record_at_the_others() {
    let cluster = Cluster::start(3).await;
    let [first, second, third] = &cluster.nodes[..] else {
        panic!("three nodes")
    };
    let mut changes = second.changes("?canary=true").await;
    changes.event().await;
    let (_, made) = first.put("/nodes/a", &json!({"type": "task"})).await;
    let event = changes.event().await;
    assert_eq!(
        (event.event.as_str(), &event.data["origin"]),
        ("node_created", &json!("remote"))
    );
    assert_eq!(event.data["node"], made["node"]);
    assert_eq!(second.get("/nodes/a").await, made);

    third
        .post("/edges", &json!({"id": "e", "from": "a", "to": "a"}))
        .await;
    assert_eq!(changes.event().await.data["edgeId"], "e");
    first.put("/canary", &json!({"value": "sings"})).await;
    let canary = changes.event().await;
    assert_eq!(
        (&canary.data["origin"], &canary.data["value"]),
        (&json!("node-1"), &json!("sings"))
    );
    first
        .request(Method::DELETE, "/nodes/a")
        .send()
        .await
        .unwrap();
    let event = changes.event().await;
    assert_eq!(
        (event.event.as_str(), &event.data["nodeId"]),
        ("node_deleted", &json!("a"))
    );
    cluster.converged(0).await;
    assert_eq!(second.get("/edges/e").await["edge"]["dangling"], true);
    assert_eq!(second.get("/stats").await["stats"]["remoteChanges"], 3);
}

#[tokio::test]
async fn both_sides_of_a_cut_end_with_everything() {
    let cluster = Cluster::start(2).await;
    let [cut_off, rest] = &cluster.nodes[..] else {
        panic!("two nodes")
    };
    cut_off.put("/nodes/before", &json!({})).await;
    cluster.converged(1).await;
    cut_off.until("/health", nothing_pending).await;
    cluster.links[0].cut();
    let health = cut_off
        .until("/health", |health| !is_connected(health))
        .await;
    assert_eq!(health["healthy"], false);
    assert!(
        health["problems"][0]
            .as_str()
            .unwrap()
            .contains("no relay answers"),
        "{health}"
    );
    for n in 0..10 {
        assert_eq!(
            cut_off.put(&format!("/nodes/cut-{n}"), &json!({})).await.0,
            201
        );
        assert_eq!(
            rest.put(&format!("/nodes/rest-{n}"), &json!({})).await.0,
            201
        );
    }
    assert_eq!(cut_off.get("/nodes").await["count"], 11);
    assert_eq!(rest.get("/nodes").await["count"], 11);
    assert_eq!(cut_off.get("/health").await["sync"]["pendingChanges"], 10);
    // What reaches the relay only after the cut need not be reconciled.
    rest.until("/health", nothing_pending).await;
    cluster.links[0].heal();
    cut_off.until("/health", is_connected).await;
    cluster.converged(21).await;
    let health = cut_off.until("/health", nothing_pending).await;
    let catch_up = &health["sync"]["catchUp"];
    assert_eq!(catch_up["phase"], "agreed", "{catch_up}");
    assert_eq!(catch_up["percent"], 100, "{catch_up}");
    assert_eq!(catch_up["itemsIn"], 10, "{catch_up}");
    assert_eq!(catch_up["itemsOut"], 10, "{catch_up}");
}

#[tokio::test]
async fn a_conflict_ends_with_the_same_winner_everywhere_and_is_told() {
    let cluster = Cluster::start(2).await;
    let [cut_off, rest] = &cluster.nodes[..] else {
        panic!("two nodes")
    };
    cut_off.put("/nodes/a", &value(0)).await;
    cluster.converged(1).await;
    cluster.links[0].cut();
    cut_off
        .until("/health", |health| !is_connected(health))
        .await;
    let (_, loser) = cut_off.put("/nodes/a", &value(1)).await;
    // Two writes of one millisecond are decided by their text; let this one be decided by time.
    let mut winner = loser.clone();
    while winner["node"]["state"].as_f64() <= loser["node"]["state"].as_f64() {
        winner = rest.put("/nodes/a", &value(2)).await.1;
    }
    cluster.links[0].heal();
    let read = cut_off.until("/nodes/a", |read| *read == winner).await;
    assert_eq!(rest.get("/nodes/a").await, read);
    cluster.converged(1).await;
    assert_eq!(cut_off.get("/stats").await["stats"]["conflicts"], 1);
    let history = cut_off.get("/history").await;
    let told = history["history"].as_array().unwrap().last().unwrap();
    assert_eq!(told["conflict"]["winner"], "remote", "{told}");
    assert_eq!(told["conflict"]["lost"], loser["node"]);
}

#[tokio::test]
async fn writes_at_every_node_at_once_all_arrive() {
    let cluster = Cluster::start(3).await;
    let writers = cluster
        .nodes
        .iter()
        .enumerate()
        .map(|(at, node)| async move {
            for n in 0..100 {
                let (status, answer) = node.put(&format!("/nodes/{at}-{n}"), &value(n)).await;
                assert_eq!(status, 201, "{answer}");
            }
        });
    futures_util::future::join_all(writers).await;
    cluster.converged(300).await;
}

#[tokio::test]
async fn a_name_that_a_library_keeps_for_itself_is_a_name_like_any_other() {
    let cluster = Cluster::start(2).await;
    let sent = r#"{"a":1,"$serde_json::private::RawValue":"x"}"#;
    let kept = r#""properties":{"$serde_json::private::RawValue":"x","a":1}"#;
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes")
    };
    let body = format!(r#"{{"id":"n","properties":{sent}}}"#);
    let made = first
        .request(Method::POST, "/nodes")
        .header("content-type", "application/json");
    assert_eq!(made.body(body).send().await.unwrap().status(), 201);
    cluster.converged(1).await;
    for node in [first, second] {
        let read = node.request(Method::GET, "/nodes/n").send().await.unwrap();
        let (status, text) = (read.status(), read.text().await.unwrap());
        assert_eq!(status, 200, "{text}");
        assert!(text.contains(kept), "{text}");
    }
}
