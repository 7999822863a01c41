//! Everybody writes, links are cut and healed; in the end all hold the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Cluster, Node, SOON};
use crate::gun;
use crate::puppet::{Kind, Puppet};

const NODES: &str = "loomdb:nodes";

/// What somebody holds: `n` and the stamp of every vertex that is not deleted.
type Held = BTreeMap<String, (Value, Value)>;

async fn held_by_node(node: &Node) -> Held {
    let listed = node.get("/nodes?limit=1000").await;
    assert_eq!(listed["next"], Value::Null);
    let records = listed["nodes"].as_array().unwrap().iter();
    let held = records.map(|record| {
        let id = record["id"].as_str().unwrap().to_owned();
        (
            id,
            (record["properties"]["n"].clone(), record["state"].clone()),
        )
    });
    held.collect()
}

fn held_by_gun(graph: &Value) -> Held {
    let fields = graph["data"].as_object().unwrap().iter();
    let alive = fields.filter(|(_, value)| !value.is_null());
    let held = alive.map(|(id, value)| {
        let record: Value = serde_json::from_str(value.as_str().unwrap()).unwrap();
        (
            id.clone(),
            (
                record["properties"]["n"].clone(),
                graph["states"][id].clone(),
            ),
        )
    });
    held.collect()
}

#[tokio::test]
async fn two_gun_peers_and_two_nodes_that_were_cut_end_with_the_same() {
    let Some(gun) = gun::find() else { return };
    let cluster = Cluster::start(2).await;
    let mut peers = Vec::new();
    for kind in [Kind::Bare, Kind::Page] {
        let mut peer = Puppet::linked(&gun, kind, &cluster.url()).await;
        peer.on(json!([NODES])).await;
        peers.push(peer);
    }
    let mut n = 0;
    for (round, node) in cluster.nodes.iter().enumerate() {
        node.link.cut();
        // While one node is cut off, and while one gun.js peer has lost its link as well.
        peers[round].drop_links().await;
        for _ in 0..20 {
            for writer in &cluster.nodes {
                writer.put(&format!("v{}", n % 17), json!({ "n": n })).await;
                n += 1;
            }
            for peer in &mut peers {
                let id = format!("v{}", n % 17);
                let record = json!({ "id": id, "type": "task", "properties": { "n": n } });
                peer.start_put(&[NODES, &id], json!(record.to_string()))
                    .await;
                n += 1;
            }
        }
        let gone = format!("v{round}");
        node.delete(&gone).await;
        peers[1 - round]
            .start_put(&[NODES, &format!("v{}", round + 5)], Value::Null)
            .await;
        let cut = |health: &Value| health["sync"]["connected"] == false;
        node.until("/health", cut).await;
        node.link.heal();
        node.until("/health", |health| !cut(health)).await;
        peers[round].links_up(2).await;
    }
    let started = Instant::now();
    let held = loop {
        let mut all = Vec::new();
        for node in &cluster.nodes {
            all.push(held_by_node(node).await);
        }
        for peer in &mut peers {
            all.push(held_by_gun(&peer.graph_of(NODES).await));
        }
        if all.iter().all(|held| *held == all[0]) {
            break all.swap_remove(0);
        }
        assert!(started.elapsed() < SOON, "they stay different: {all:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(held.len() >= 10, "{held:?}");
    let digests = [
        cluster.nodes[0].get("/digest").await,
        cluster.nodes[1].get("/digest").await,
    ];
    assert_eq!(digests[0]["digest"], digests[1]["digest"]);
}
