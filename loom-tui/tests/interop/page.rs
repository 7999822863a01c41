//! A page in a real browser beside a node.

use serde_json::{Value, json};

use crate::browser::{self, Page};
use crate::cluster::Cluster;
use crate::gun;

/// Whether the page shows a record with this title under this id.
fn shows(shown: &Value, id: &str, title: &str) -> bool {
    let text = shown[id].as_str().unwrap_or_default();
    let record: Value = serde_json::from_str(text).unwrap_or_default();
    record["id"] == id && record["properties"]["title"] == title
}

#[tokio::test]
async fn a_page_in_chromium_and_a_node_show_what_the_other_makes() {
    let Some(gun) = gun::find() else { return };
    let Some(chromium) = browser::find() else {
        return;
    };
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    node.put("before", json!({ "title": "was there" })).await;
    let mut page = Page::open(&chromium, &gun, &cluster.url()).await;
    page.until_shown(|shown| shows(shown, "before", "was there"))
        .await;
    node.put("live", json!({ "title": "ü\u{1f600}" })).await;
    page.until_shown(|shown| shows(shown, "live", "ü\u{1f600}"))
        .await;
    node.delete("live").await;
    page.until_shown(|shown| shown["live"].is_null()).await;

    let record = json!({ "id": "made", "type": "note", "properties": { "title": "by a page" } });
    page.put("made", &record.to_string()).await;
    let made = |listed: &Value| {
        let nodes = listed["nodes"].as_array().unwrap();
        let mut made = nodes.iter().filter(|node| node["id"] == "made");
        made.any(|node| node["properties"]["title"] == "by a page")
    };
    node.until("/nodes", made).await;
    page.close().await;
}
