//! Many records in one request.

use reqwest::Method;
use serde_json::json;

use crate::support::{Node, read};

#[tokio::test]
async fn bulk_names_the_lines_that_failed_and_keeps_the_rest() {
    let node = Node::alone().await;
    let mut lines: Vec<String> = (0..600)
        .map(|n| json!({"id": format!("n{n}")}).to_string())
        .collect();
    lines[2] = "{".into();
    lines[4] = String::new();
    lines[300] = json!({"id": 5}).to_string();
    lines[599] = json!({"id": "n0"}).to_string();
    let send = |path: &'static str, text: String| {
        let request = node
            .request(Method::POST, path)
            .header("content-type", "application/x-ndjson");
        async move { read(request.body(text).send().await.unwrap()).await }
    };
    let (status, summary) = send("/nodes/bulk?if_absent=true", lines.join("\r\n")).await;
    assert_eq!((status, &summary["success"]), (200, &json!(false)));
    assert_eq!(
        (
            &summary["created"],
            &summary["replaced"],
            &summary["failed"]
        ),
        (&json!(596), &json!(0), &json!(3))
    );
    let failed: Vec<_> = summary["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["line"].clone(), error["code"].clone()))
        .collect();
    assert_eq!(
        failed,
        [
            (json!(3), json!("bad_json")),
            (json!(301), json!("invalid_id")),
            (json!(600), json!("exists"))
        ]
    );
    assert_eq!(node.get("/nodes").await["count"], 596);

    let (_, summary) = send("/nodes/bulk", "x\n".repeat(1500)).await;
    assert_eq!(
        (
            &summary["failed"],
            summary["errors"].as_array().unwrap().len()
        ),
        (&json!(1500), 1000)
    );
    assert_eq!(summary["errors"][999]["line"], 1000);
    node.stop().await;
}

#[tokio::test]
async fn a_bulk_body_that_breaks_off_says_what_was_kept() {
    let node = Node::alone().await;
    let line = json!({"id": "kept"}).to_string() + "\n";
    let too_long = "x".repeat((1 << 20) + 10);
    let request = node
        .request(Method::POST, "/nodes/bulk")
        .header("content-type", "application/x-ndjson");
    let (status, summary) = read(request.body(line + &too_long).send().await.unwrap()).await;
    assert_eq!(
        (status, &summary["code"], &summary["created"]),
        (413, &json!("line_too_long"), &json!(1))
    );
    assert_eq!(node.get("/nodes/kept").await["success"], true);
    node.stop().await;
}
