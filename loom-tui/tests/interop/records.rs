//! One vertex at a time, in both directions.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::gun;
use crate::puppet::{Kind, Puppet};

const NODES: &str = "loomdb:nodes";

/// The record in a value of `loomdb:nodes`.
fn record(value: &Value) -> Value {
    serde_json::from_str(value.as_str().unwrap()).unwrap()
}

/// A value of `loomdb:nodes`, as an application without LoomDB's client writes it.
fn value(id: &str, properties: &Value) -> Value {
    json!(json!({ "id": id, "type": "note", "properties": properties }).to_string())
}

#[tokio::test]
async fn a_vertex_made_over_rest_is_readable_in_gun_and_announced_to_map_on() {
    let Some(gun) = gun::find() else { return };
    let cluster = Cluster::start(2).await;
    for kind in [Kind::Bare, Kind::Page] {
        let mut watcher = Puppet::linked(&gun, kind, &cluster.url()).await;
        let announced = watcher.on(json!([NODES, null])).await;
        let id = format!("made-{kind:?}");
        for (index, node) in cluster.nodes.iter().enumerate() {
            let mut made = node
                .put(&id, json!({ "by": index, "text": "ü\u{1f600}" }))
                .await;
            made.as_object_mut().unwrap().remove("state").unwrap();
            let same = |event: &Value| event["key"] == *id && record(&event["data"]) == made;
            watcher.event_of(announced, "the vertex", same).await;
            let mut late = Puppet::linked(&gun, Kind::Bare, &cluster.url()).await;
            let found = late.once(&[NODES, &id]).await.unwrap();
            assert_eq!(record(&found), made);
        }
    }
}

#[tokio::test]
async fn a_vertex_written_by_gun_is_listed_and_announced_by_every_node() {
    let Some(gun) = gun::find() else { return };
    let cluster = Cluster::start(2).await;
    let mut feeds = Vec::new();
    for node in &cluster.nodes {
        feeds.push(node.changes().await);
    }
    let mut writer = Puppet::linked(&gun, Kind::Bare, &cluster.url()).await;
    for (n, kind) in ["node_created", "node_updated"].into_iter().enumerate() {
        writer
            .put(&[NODES, "from-gun"], value("from-gun", &json!({ "n": n })))
            .await;
        for (node, feed) in cluster.nodes.iter().zip(&mut feeds) {
            let event = feed.until(|event| event["nodeId"] == "from-gun").await;
            assert_eq!(
                (&event["type"], &event["origin"]),
                (&json!(kind), &json!("remote"))
            );
            assert_eq!(event["node"]["properties"], json!({ "n": n }));
            let listed = node.get("/nodes?type=note").await;
            assert_eq!(listed["count"], 1, "{listed}");
            assert_eq!(listed["nodes"][0]["properties"]["n"], n);
        }
    }
}

#[tokio::test]
async fn deletes_travel_both_ways() {
    let Some(gun) = gun::find() else { return };
    let cluster = Cluster::start(2).await;
    let [first, second] = &cluster.nodes[..] else {
        panic!("two nodes")
    };
    let mut peer = Puppet::linked(&gun, Kind::Bare, &cluster.url()).await;
    let seen = peer.on(json!([NODES, null])).await;
    for id in ["deleted-by-gun", "deleted-by-rest"] {
        first.put(id, json!({})).await;
        peer.event_of(seen, id, |event| event["key"] == id).await;
    }
    let mut feed = second.changes().await;
    peer.put(&[NODES, "deleted-by-gun"], Value::Null).await;
    let event = feed
        .until(|event| event["nodeId"] == "deleted-by-gun")
        .await;
    assert_eq!(event["type"], "node_deleted");
    first.delete("deleted-by-rest").await;
    peer.all_of(seen, &[("deleted-by-rest", Value::Null)]).await;
    for node in &cluster.nodes {
        node.until("/nodes", |listed| listed["count"] == 0).await;
    }
    // And what was deleted by one can be made again by the other.
    first.put("deleted-by-gun", json!({ "again": true })).await;
    let again = |event: &Value| {
        event["key"] == "deleted-by-gun"
            && event["data"].is_string()
            && record(&event["data"])["properties"]["again"] == true
    };
    peer.event_of(seen, "it is back", again).await;
    peer.put(
        &[NODES, "deleted-by-rest"],
        value("deleted-by-rest", &json!({})),
    )
    .await;
    for node in &cluster.nodes {
        node.until("/nodes", |listed| listed["count"] == 2).await;
    }
}

#[tokio::test]
async fn a_vertex_from_the_future_is_shown_in_stats_with_its_time_until_it_is_listed() {
    let Some(gun) = gun::find() else { return };
    let cluster = Cluster::start(1).await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &cluster.url()).await;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let due_ms = now_ms.as_millis() as f64 + 5_000.25;
    let call = writer
        .put_at(&[NODES, "later"], value("later", &json!({})), due_ms)
        .await;
    let node = &cluster.nodes[0];
    let stats = node
        .until("/stats", |stats| stats["deferred"]["count"] == 1)
        .await;
    assert_eq!(stats["deferred"]["earliest"], due_ms);
    assert_eq!(node.get("/nodes").await["count"], 0);
    writer.acked(call).await;
    node.until("/nodes", |listed| listed["count"] == 1).await;
    assert_eq!(node.get("/stats").await["deferred"]["count"], 0);
    let passed_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!(passed_ms.as_millis() as f64 >= due_ms.floor());
}
