//! The node itself: browsers, shutdown, restart, counters.

use loom_node::NodeConfig;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::support::{Node, SOON, read};

#[tokio::test]
async fn browsers_may_read_and_write_but_not_stop_the_node() {
    let node = Node::alone().await;
    let preflight = node
        .request(Method::OPTIONS, "/nodes/a")
        .header("origin", "http://app.example")
        .header("access-control-request-method", "PATCH");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert!(
        preflight.headers()["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("PATCH")
    );
    let refused = node
        .request(Method::POST, "/shutdown")
        .header("origin", "http://app.example");
    let (status, answer) = read(refused.send().await.unwrap()).await;
    assert_eq!((status, &answer["code"]), (403, &json!("not_for_pages")));
    assert_eq!(node.get("/health").await["nodeId"], "node-1");
    node.stop().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let node = Node::alone().await;
    let response = node.request(Method::PATCH, "/canary").send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "PUT");
    node.stop().await;
}

#[tokio::test]
async fn a_clock_is_set_wrong_only_where_that_was_asked_for() {
    let body = json!({"offset_ms": -300_000});
    let plain = Node::alone().await;
    let (status, _) = plain.post("/faults/clock", &body).await;
    assert_eq!(status, 404);
    plain.stop().await;

    let mut config = NodeConfig::new("node-1");
    config.fault_api = true;
    let node = Node::start(config).await;
    let state = async || {
        let value = json!({"value": "v"});
        let (_, answer) = node.put("/canary", &value).await;
        answer["state"].as_f64().unwrap()
    };
    let ahead = json!({"offset_ms": 3_600_000});
    let before = state().await;
    assert_eq!(
        node.post("/faults/clock", &ahead).await,
        (200, json!({"success": true, "offset_ms": 3_600_000}))
    );
    let after = state().await;
    assert!(after - before >= 3_600_000.0, "{before} {after}");
    for bad in [
        json!({}),
        json!({"offset_ms": 0.5}),
        json!({"offset_ms": 1e12}),
    ] {
        let (status, answer) = node.post("/faults/clock", &bad).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_value")));
    }
    node.stop().await;
}

#[tokio::test]
async fn shutdown_answers_and_then_the_node_ends_cleanly() {
    let node = Node::alone().await;
    let mut changes = node.changes("").await;
    let response = node
        .request(Method::POST, "/shutdown")
        .send()
        .await
        .unwrap();
    let answer: Json = response.json().await.unwrap();
    assert_eq!(
        answer,
        json!({"success": true, "message": "Shutting down..."})
    );
    while changes.next().await.is_some() {}
    tokio::time::timeout(SOON, node.serving)
        .await
        .expect("ends soon")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_stored_graph_is_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || {
        let mut config = NodeConfig::new("node-1");
        config.store =
            loom_relay::config::StoreConfig::check(Some(folder.path().join("data")), None).unwrap();
        config
    };
    let node = Node::start(config()).await;
    node.post("/nodes", &json!({"id": "a", "type": "task"}))
        .await;
    node.post("/edges", &json!({"id": "e", "from": "a", "to": "b"}))
        .await;
    node.post("/nodes", &json!({"id": "gone"})).await;
    node.request(Method::DELETE, "/nodes/gone")
        .send()
        .await
        .unwrap();
    let (digest, list) = (node.get("/digest").await, node.get("/nodes").await);
    let stats = node.get("/stats").await;
    assert_eq!(stats["durability"], "sync");
    assert_eq!(stats["deferred"], json!({"count": 0, "earliest": null}));
    node.stop().await;

    let node = Node::start(config()).await;
    assert_eq!(node.get("/digest").await, digest);
    assert_eq!(node.get("/nodes").await, list);
    let (status, again) = node.post("/nodes", &json!({"id": "a"})).await;
    assert_eq!(
        (status, &again["node"]["metadata"]["version"]),
        (200, &json!(2))
    );
    assert!(again["node"]["state"].as_f64() > list["nodes"][0]["state"].as_f64());
    node.stop().await;
}

#[tokio::test]
async fn counters_and_history_tell_the_truth_and_can_be_reset() {
    let node = Node::alone().await;
    node.post(
        "/nodes",
        &json!({"id": "a", "type": "task", "properties": {"x": 1}}),
    )
    .await;
    node.post("/nodes", &json!({"id": "a"})).await;
    node.post("/edges", &json!({"from": "a", "to": "a"})).await;
    let stats = node.get("/stats").await;
    let (counters, sync) = (&stats["stats"], &stats["syncStatus"]);
    assert_eq!(
        (
            &counters["nodesCreated"],
            &counters["edgesCreated"],
            &counters["remoteChanges"]
        ),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(
        (&sync["connected"], &sync["changeHistory"]),
        (&json!(false), &json!(3))
    );
    let history = node.get("/history").await;
    let kinds: Vec<_> = history["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["type"].clone())
        .collect();
    assert_eq!(kinds, ["node_created", "node_updated", "edge_created"]);
    assert_eq!(history["history"][0]["node"]["properties"]["x"], 1);
    node.request(Method::POST, "/stats/reset")
        .send()
        .await
        .unwrap();
    node.request(Method::POST, "/history/clear")
        .send()
        .await
        .unwrap();
    assert_eq!(node.get("/stats").await["stats"]["nodesCreated"], 0);
    assert_eq!(node.get("/history").await["count"], 0);
    let metrics = node.request(Method::GET, "/metrics").send().await.unwrap();
    assert!(
        metrics.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("\nloom_node_nodes 1\n"), "{metrics}");
    assert!(
        metrics.contains("loom_node_http_answers_total{status=\"2xx\"}"),
        "{metrics}"
    );
    node.stop().await;
}
