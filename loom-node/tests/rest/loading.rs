//! A node that has not read its store yet: nobody is answered from half of it.

use std::sync::{Arc, mpsc};

use loom_node::NodeConfig;
use loom_relay::graph::{Graph, Held};
use loom_relay::model::{Cell, Stamp, Value, Write};
use loom_relay::store::memory::MemoryStore;
use loom_relay::store::{Reading, StoreError};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::support::{Node, SOON, read};

/// A node that reads its store until the sender says what was in it.
async fn reading() -> (Node, mpsc::Sender<Graph>) {
    let (tell, read) = mpsc::channel::<Graph>();
    let open = move |reading: Arc<Reading>| {
        loop {
            reading.one_more()?;
            match read.recv_timeout(std::time::Duration::from_millis(5)) {
                Ok(graph) => {
                    let store = Box::<MemoryStore>::default();
                    return Ok((Held::from(graph), Some(store as _)));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(gone) => return Err(StoreError::new("reading what the test says", gone)),
            }
        }
    };
    let config = NodeConfig::new("node-1");
    let node =
        Node::serving(|listener, stopped| loom_node::serve_from(open, listener, config, stopped));
    (node.await, tell)
}

#[tokio::test]
async fn a_node_that_reads_its_store_says_so_and_answers_nothing_from_half_of_it() {
    let (node, tell) = reading().await;
    let body = json!({"id": "b"});
    for (method, path) in [
        (Method::GET, "/health"),
        (Method::GET, "/nodes"),
        (Method::GET, "/nodes/a"),
        (Method::GET, "/changes"),
        (Method::GET, "/digest"),
        (Method::POST, "/nodes"),
        (Method::PUT, "/canary"),
    ] {
        let asked = node.request(method.clone(), path).json(&body);
        let response = asked.send().await.unwrap();
        assert_eq!(response.headers()["retry-after"], "1", "{method} {path}");
        let (status, answer) = read(response).await;
        assert_eq!((status, &answer["code"]), (503, &json!("loading")));
    }
    let entries = |answer: &Json| {
        let said = answer["error"].as_str().unwrap();
        let mut said = said
            .split(['(', ' '])
            .filter_map(|word| word.parse::<u64>().ok());
        said.next_back()
    };
    let before = entries(&node.get("/health").await).expect("how far it is");
    node.until("/health", |answer| entries(answer) > Some(before))
        .await;
    assert!(node.get("/openapi.json").await["paths"].is_object());

    let mut graph = Graph::default();
    graph.load(Write {
        soul: "loomdb:nodes".into(),
        field: "a".into(),
        cell: Cell {
            stamp: Stamp::new(1.0).unwrap(),
            value: Value::text(r#"{"type":"task"}"#),
        },
    });
    tell.send(graph).unwrap();
    node.until("/health", |health| health["nodeId"] == "node-1")
        .await;
    assert_eq!(node.get("/nodes").await["nodes"][0]["type"], "task");
    assert_eq!(node.post("/nodes", &body).await.0, 201);
    node.stop().await;
}

#[tokio::test]
async fn it_can_be_stopped_before_it_has_read_all() {
    let (node, _never) = reading().await;
    let asked = node.request(Method::POST, "/shutdown");
    assert_eq!(asked.send().await.unwrap().status(), 200);
    let ended = tokio::time::timeout(SOON, node.serving);
    ended.await.expect("ends soon").unwrap().unwrap();

    let (node, _never) = reading().await;
    let ended = tokio::time::timeout(SOON, node.stop());
    ended.await.expect("ends soon");
}
