//! The change feed: what is in it, and that nothing is ever silently missing.

use loom_node::NodeConfig;
use loom_node::feed::Limits;
use reqwest::Method;
use serde_json::json;

use crate::support::{Node, read};

#[tokio::test]
async fn a_canary_shows_in_the_feed_of_those_who_asked_and_nowhere_else() {
    let node = Node::alone().await;
    let look = async || {
        let mut seen = Vec::new();
        for path in ["/nodes", "/edges", "/history", "/digest", "/stats"] {
            seen.push(node.get(path).await);
        }
        seen
    };
    node.post("/nodes", &json!({"id": "a"})).await;
    let before = look().await;
    let (status, answer) = node.put("/canary", &json!({"value": "sings"})).await;
    assert_eq!((status, &answer["origin"]), (200, &json!("node-1")));
    assert_eq!(look().await, before);

    let mut asked = node.changes("?since=0&canary=true").await;
    let mut did_not = node.changes("?since=0").await;
    for changes in [&mut asked, &mut did_not] {
        assert_eq!(changes.event().await.event, "hello");
        assert_eq!(changes.event().await.event, "node_created");
    }
    let canary = asked.event().await;
    assert_eq!((canary.event.as_str(), canary.id), ("canary", None));
    assert_eq!(
        (&canary.data["origin"], &canary.data["value"]),
        (&json!("node-1"), &json!("sings"))
    );
    node.post("/nodes", &json!({"id": "b"})).await;
    assert_eq!(did_not.event().await.data["nodeId"], "b");
    node.stop().await;
}

#[tokio::test]
async fn resume_exactly_after_the_last_event_seen() {
    let node = Node::alone().await;
    let mut changes = node.changes("").await;
    let hello = changes.event().await;
    assert_eq!(hello.event, "hello");
    assert_eq!(hello.id.as_deref(), hello.data["cursor"].as_str());
    for n in 0..5 {
        node.post("/nodes", &json!({"id": format!("n{n}")})).await;
    }
    let first = changes.event().await;
    assert_eq!(
        (&first.data["seq"], &first.data["origin"]),
        (&json!(1), &json!("local"))
    );
    let seen = changes.event().await.id.unwrap();
    drop(changes);

    let request = node
        .request(Method::GET, "/changes?since=0")
        .header("last-event-id", &seen);
    let mut again = request.send().await.unwrap();
    let mut text = String::new();
    while text.matches("node_created").count() < 6 {
        text.push_str(std::str::from_utf8(&again.chunk().await.unwrap().unwrap()).unwrap());
    }
    // Each event has its name twice.
    assert!(
        !text.contains("\"n1\"") && text.contains("\"n2\""),
        "{text}"
    );

    let mut since = node.changes(&format!("?since={seen}")).await;
    assert_eq!(since.event().await.data["cursor"], seen);
    assert_eq!(since.event().await.data["nodeId"], "n2");
    node.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_start_is_gone_and_says_where_to_begin() {
    let node = Node::alone().await;
    let cursor = node.changes("").await.event().await.id.unwrap();
    node.stop().await;
    let node = Node::alone().await;
    let response = node
        .request(Method::GET, "/changes")
        .header("last-event-id", &cursor)
        .send()
        .await
        .unwrap();
    let (status, answer) = read(response).await;
    assert_eq!((status, &answer["code"]), (410, &json!("cursor_gone")));
    let restart = answer["cursor"].as_str().unwrap();
    let mut changes = node.changes(&format!("?since={restart}")).await;
    assert_eq!(changes.event().await.event, "hello");
    node.stop().await;
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_to_start_over() {
    let mut config = NodeConfig::new("node-1");
    config.feed = Limits {
        events: 4,
        bytes: 1 << 30,
    };
    let node = Node::start(config).await;
    let mut changes = node.changes("").await;
    let start = changes.event().await.id.unwrap();
    // More than the sockets between us hold: the node cannot write on while nobody reads.
    let filler = "x".repeat(1_000_000);
    for n in 0..40 {
        node.post(
            "/nodes",
            &json!({"id": format!("n{n}"), "properties": {"filler": filler}}),
        )
        .await;
    }
    let mut seqs = Vec::new();
    let reset = loop {
        let event = changes.event().await;
        if event.event == "reset" {
            break event;
        }
        seqs.push(event.data["seq"].as_u64().unwrap());
    };
    let upto = seqs.len() as u64;
    assert_eq!(
        seqs,
        (1..=upto).collect::<Vec<_>>(),
        "no hole before the reset"
    );
    assert!(upto < 40);
    // Where the feed stood when the reader was found behind: on a slow machine before the last post.
    let cursor = reset.data["cursor"].as_str().unwrap();
    let newest: u64 = cursor.rsplit_once('-').unwrap().1.parse().unwrap();
    assert!(
        upto + 4 < newest && newest <= 40,
        "{upto} read, {newest} newest"
    );
    assert_eq!(changes.next().await, None, "the stream ends");
    let response = node
        .request(Method::GET, &format!("/changes?since={start}"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 410);
    node.stop().await;
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats() {
    let node = Node::alone().await;
    let mut changes = node.changes("?heartbeat=20").await;
    assert_eq!(changes.event().await.event, "hello");
    for _ in 0..3 {
        assert_eq!(
            changes.next().await.unwrap().comment.as_deref(),
            Some("heartbeat")
        );
    }
    node.stop().await;
}

#[tokio::test]
async fn a_query_shows_a_record_as_soon_as_its_event_is_out() {
    let node = Node::alone().await;
    let mut changes = node.changes("").await;
    changes.event().await;
    for n in 0..50 {
        let body = json!({"id": format!("n{n}")});
        let (posted, event) = tokio::join!(node.post("/nodes", &body), async {
            let event = changes.event().await;
            let id = event.data["nodeId"].as_str().unwrap().to_owned();
            (node.get(&format!("/nodes/{id}")).await, event)
        });
        assert_eq!(posted.0, 201);
        assert_eq!(event.0["node"], event.1.data["node"]);
    }
    node.stop().await;
}
