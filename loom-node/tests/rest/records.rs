//! Records: written, read, listed, kept.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::support::{Node, read};

#[tokio::test]
async fn a_record_comes_back_as_it_was_written_under_any_id() {
    let node = Node::alone().await;
    let properties = json!({"__proto__": {"x": 1}, "é\n\"": [1.5, -0.25, null, "\u{1f600}"], "big": 9_007_199_254_740_993_u64});
    for id in [
        "plain",
        "a/b",
        "a b?c#d",
        "é😀",
        "%2e",
        "constructor",
        "bulk",
        " ",
    ] {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, made) = node
            .put(
                &format!("/nodes/{encoded}"),
                &json!({"type": "task", "properties": properties}),
            )
            .await;
        assert_eq!((status, &made["node"]["id"]), (201, &json!(id)));
        let read = node.get(&format!("/nodes/{encoded}")).await;
        assert_eq!(read, made, "{id}");
        assert_eq!(read["node"]["properties"], properties);
        let metadata = &read["node"]["metadata"];
        assert_eq!(
            (&metadata["createdBy"], &metadata["version"]),
            (&json!("node-1"), &json!(1))
        );
        assert!(read["node"]["state"].as_f64().unwrap() >= metadata["createdAt"].as_f64().unwrap());
        // What was read can be written back.
        let (status, again) = node.put(&format!("/nodes/{encoded}"), &read["node"]).await;
        assert_eq!(status, 200, "{again}");
        assert_eq!(again["node"]["properties"], properties);
    }
    node.stop().await;
}

#[tokio::test]
async fn lists_are_complete_filtered_and_paged() {
    let node = Node::alone().await;
    // More than fits into one chunk of an answer.
    let filler = "x".repeat(2_000);
    let lines: String = (0..200)
        .map(|n| {
            let kind = if n % 10 == 0 { "rare" } else { "common" };
            json!({"id": format!("n{n:03}"), "type": kind, "properties": {"filler": filler}})
                .to_string()
                + "\n"
        })
        .collect();
    let request = node
        .request(Method::POST, "/nodes/bulk")
        .header("content-type", "application/x-ndjson");
    let (status, summary) = read(request.body(lines).send().await.unwrap()).await;
    assert_eq!(
        (status, &summary["created"], &summary["success"]),
        (200, &json!(200), &json!(true))
    );

    let all = node.get("/nodes").await;
    assert_eq!((&all["count"], &all["next"]), (&json!(200), &Json::Null));
    assert_eq!(all["nodes"].as_array().unwrap().len(), 200);
    let rare = node.get("/nodes?type=rare").await;
    assert_eq!(rare["count"], 20);

    let mut ids = Vec::new();
    let mut path = "/nodes?type=common&limit=7".to_owned();
    loop {
        let page = node.get(&path).await;
        let records = page["nodes"].as_array().unwrap();
        ids.extend(
            records
                .iter()
                .map(|record| record["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/nodes?type=common&limit=7&cursor={next}");
    }
    assert_eq!(ids.len(), 180);
    assert!(ids.is_sorted());
    node.stop().await;
}

#[tokio::test]
async fn edges_dangle_until_both_ends_exist() {
    let node = Node::alone().await;
    let (_, made) = node
        .post("/edges", &json!({"id": "e", "from": "a", "to": "b"}))
        .await;
    assert_eq!(made["edge"]["dangling"], true);
    assert_eq!(made["edge"]["directed"], true);
    node.post("/nodes", &json!({"id": "a"})).await;
    assert_eq!(node.get("/edges/e").await["edge"]["dangling"], true);
    node.post("/nodes", &json!({"id": "b"})).await;
    assert_eq!(node.get("/edges/e").await["edge"].get("dangling"), None);
    assert_eq!(node.get("/nodes/b/edges?direction=in").await["count"], 1);
    assert_eq!(node.get("/nodes/b/edges?direction=out").await["count"], 0);
    node.request(Method::DELETE, "/nodes/a")
        .send()
        .await
        .unwrap();
    assert_eq!(
        node.get("/edges?from=a").await["edges"][0]["dangling"],
        true
    );
    assert_eq!(node.get("/stats").await["graph"]["dangling"], 1);
    node.stop().await;
}

#[tokio::test]
async fn if_none_match_star_refuses_to_replace() {
    let node = Node::alone().await;
    for (header, status) in [("*", 201), ("*", 409), ("\"tag\"", 400)] {
        let request = node
            .request(Method::PUT, "/nodes/a")
            .header("if-none-match", header);
        let response = request.json(&json!({})).send().await.unwrap();
        assert_eq!(response.status(), status, "{header}");
    }
    node.stop().await;
}
