//! A member that does with gun.js what LoomDB's own nodes do: the same souls, the same values, the
//! same order of calls. Their package is not published; this is their layout, played by a puppet.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::gun;
use crate::puppet::{Call, Kind, Puppet};

const NODES: &str = "loomdb:nodes";
const EDGES: &str = "loomdb:edges";

struct Original {
    peer: Puppet,
    nodes: Call,
    edges: Call,
}

impl Original {
    /// Subscribes to everything when it starts.
    async fn start(modules: &Path, kind: Kind, relay: &str) -> Self {
        let mut peer = Puppet::linked(modules, kind, relay).await;
        let nodes = peer.on(json!([NODES, null])).await;
        let edges = peer.on(json!([EDGES, null])).await;
        Self { peer, nodes, edges }
    }

    /// One string of JSON under the id, and the id in the index of its type.
    async fn create_node(&mut self, id: &str, kind: &str, properties: Value) {
        let node = json!({
            "id": id,
            "type": kind,
            "properties": properties,
            "metadata": metadata(),
        });
        let index = format!("loomdb:index:nodes:type:{kind}");
        self.peer.put(&[NODES, id], json!(node.to_string())).await;
        self.peer.put(&[&index, id], json!(true)).await;
    }

    async fn create_edge(&mut self, id: &str, from: &str, to: &str, kind: &str) {
        let edge = json!({
            "id": id,
            "from": from,
            "to": to,
            "type": kind,
            "properties": {},
            "directed": true,
            "metadata": metadata(),
        });
        self.peer.put(&[EDGES, id], json!(edge.to_string())).await;
        for index in [
            format!("loomdb:index:edges:type:{kind}"),
            format!("loomdb:index:edges:outgoing:{from}"),
            format!("loomdb:index:edges:outgoing:{from}:{kind}"),
            format!("loomdb:index:edges:incoming:{to}"),
            format!("loomdb:index:edges:incoming:{to}:{kind}"),
        ] {
            self.peer.put(&[&index, id], json!(true)).await;
        }
    }

    async fn delete_node(&mut self, id: &str, kind: &str) {
        let index = format!("loomdb:index:nodes:type:{kind}");
        self.peer.put(&[NODES, id], Value::Null).await;
        self.peer.put(&[&index, id], Value::Null).await;
    }

    /// Waits until its index lists exactly these, and each is a record there.
    async fn until_indexed(&mut self, index: &str, table: &str, ids: &[&str]) {
        let indexed = self.peer.on(json!([index])).await;
        let wanted = |event: &Value| {
            let entries = event["data"].as_object();
            let entries = entries.into_iter().flatten();
            let listed = entries.filter(|(_, value)| **value == true);
            listed.map(|(id, _)| id.as_str()).eq(ids.iter().copied())
        };
        self.peer.event_of(indexed, index, wanted).await;
        for id in ids {
            let text = self.peer.once(&[table, id]).await.unwrap();
            let record: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
            assert_eq!(record["id"], *id);
        }
    }
}

fn metadata() -> Value {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ms = now_ms.as_millis() as u64;
    json!({ "createdAt": now_ms, "updatedAt": now_ms, "createdBy": "original-1" })
}

fn is_of(id: &'static str, kind: &'static str) -> impl Fn(&Value) -> bool {
    move |event| {
        let record = event["data"].as_str().map(serde_json::from_str::<Value>);
        event["key"] == id && record.is_some_and(|record| record.unwrap()["type"] == kind)
    }
}

#[tokio::test]
async fn one_that_writes_and_reads_as_loomdb_does_and_loom_nodes_see_the_same_graph() {
    let Some(gun) = gun::find() else { return };
    // Without AXE, which would send what it writes to nobody who has not asked for that soul.
    let kind = Kind::ServerFlood;
    let cluster = Cluster::start_with(2, &["--legacy-index"]).await;
    let mut original = Original::start(&gun, kind, &cluster.url()).await;
    let mut feed = cluster.nodes[1].changes().await;

    original
        .create_node("theirs", "task", json!({ "title": "weave" }))
        .await;
    let event = feed.until(|event| event["nodeId"] == "theirs").await;
    assert_eq!(event["type"], "node_created");
    cluster.nodes[0]
        .put("ours", json!({ "title": "knit" }))
        .await;
    original
        .create_edge("between", "theirs", "ours", "precedes")
        .await;
    for node in &cluster.nodes {
        let tasks = |listed: &Value| listed["count"] == 2;
        let listed = node.until("/nodes?type=task", tasks).await;
        let theirs = listed["nodes"].as_array().unwrap().iter();
        let theirs = theirs.clone().find(|node| node["id"] == "theirs").unwrap();
        assert_eq!(theirs["properties"], json!({ "title": "weave" }));
        assert_eq!(theirs["metadata"]["createdBy"], "original-1");
        let edge = |listed: &Value| listed["count"] == 1;
        let listed = node.until("/edges?from=theirs", edge).await;
        let edge = &listed["edges"][0];
        assert_eq!(
            (&edge["to"], &edge["type"]),
            (&json!("ours"), &json!("precedes"))
        );
        assert_eq!(edge["directed"], true);
    }

    // Its own subscriptions and its own index tell it what Loom wrote.
    let (nodes, edges) = (original.nodes, original.edges);
    original
        .peer
        .event_of(nodes, "ours", is_of("ours", "task"))
        .await;
    original
        .peer
        .event_of(edges, "its own edge", is_of("between", "precedes"))
        .await;
    let tasks = "loomdb:index:nodes:type:task";
    original
        .until_indexed(tasks, NODES, &["ours", "theirs"])
        .await;

    // It changes a type as LoomDB does: the entry in the old index stays.
    original
        .create_node("theirs", "goal", json!({ "title": "weave" }))
        .await;
    for node in &cluster.nodes {
        node.until("/nodes?type=goal", |listed| listed["count"] == 1)
            .await;
        assert_eq!(node.get("/nodes?type=task").await["count"], 1);
    }

    // Deletes, both ways.
    cluster.nodes[1].delete("ours").await;
    original.peer.all_of(nodes, &[("ours", Value::Null)]).await;
    original.delete_node("theirs", "goal").await;
    for node in &cluster.nodes {
        node.until("/nodes", |listed| listed["count"] == 0).await;
    }
}
