//! `docs/api.md` says what is true: its routes, its limits, its curl lines.

use std::collections::BTreeSet;

use loom_node::{feed, history, limits};
use reqwest::Method;
use serde_json::Value as Json;

use crate::support::Node;

const PAGE: &str = include_str!("../../../docs/api.md");

#[tokio::test]
async fn it_has_a_heading_for_every_route_and_no_other() {
    let node = Node::alone().await;
    let openapi = node.get("/openapi.json").await;
    let paths = openapi["paths"].as_object().unwrap();
    let routes: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let headings = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    assert_eq!(headings.map(str::to_owned).collect::<BTreeSet<_>>(), routes);
    node.stop().await;
}

#[test]
fn its_limits_are_the_ones_in_force() {
    for (row, number) in [
        ("| body |", limits::BODY_BYTES_MAX),
        ("| body of a bulk request |", limits::BULK_BYTES_MAX),
        ("| line of a bulk request |", limits::BULK_LINE_BYTES_MAX),
        (
            "| record, after a PATCH as well |",
            limits::RECORD_BYTES_MAX,
        ),
        ("| id, `from`, `to` |", limits::ID_BYTES_MAX),
        ("| type, label |", limits::TYPE_BYTES_MAX),
        ("| labels |", limits::LABELS_MAX),
        ("| nesting of `properties` |", limits::PROPERTY_DEPTH_MAX),
        ("| `limit` of a page |", limits::PAGE_RECORDS_MAX),
        ("| canary |", limits::CANARY_BYTES_MAX),
        ("| requests waiting for the node |", limits::COMMANDS_MAX),
        ("| history |", history::HISTORY_EVENTS_MAX),
        ("| change feed |", feed::RING_EVENTS_MAX),
    ] {
        let line = PAGE.lines().find(|line| line.starts_with(row));
        let line = line.unwrap_or_else(|| panic!("no row {row}"));
        let said = line[row.len()..].split_whitespace().next();
        assert_eq!(said, Some(number.to_string().as_str()), "{line}");
    }
    assert!(PAGE.contains(&format!("{} bytes | the oldest go", feed::RING_BYTES_MAX)));
}

#[test]
fn its_json_is_json() {
    let blocks: Vec<_> = PAGE.split("```json\n").skip(1).collect();
    assert!(blocks.len() > 5);
    for block in blocks {
        let (json, _) = block.split_once("```").unwrap();
        serde_json::from_str::<Json>(json).unwrap_or_else(|why| panic!("{why}: {json}"));
    }
}

/// Sends what the curl lines would send, in their order; records they expect are made beforehand.
#[tokio::test]
async fn its_curl_lines_work() {
    let node = Node::alone().await;
    let page = PAGE.replace("\\\n", " ");
    let lines: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("    curl "))
        .filter(|line| !line.contains("/shutdown") && !line.contains("--data-binary"))
        .collect();
    assert!(lines.len() > 20, "{lines:?}");
    node.put("/edges/e1", &serde_json::json!({"from": "a", "to": "b"}))
        .await;
    for line in lines {
        let words = shell_words(line);
        let after = |flag: &str| {
            let at = words.iter().position(|word| word == flag)?;
            words.get(at + 1).cloned()
        };
        let method: Method = after("-X").map_or(Method::GET, |name| name.parse().unwrap());
        let target = words
            .iter()
            .find_map(|word| word.strip_prefix("localhost:3001"))
            .unwrap();
        let mut request = node.request(method, target);
        if let Some((name, value)) = after("-H")
            .as_deref()
            .and_then(|line| line.split_once(": "))
        {
            request = request.header(name, value);
        }
        if let Some(body) = after("-d") {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        // After the page has deleted alice, her edges are still asked for.
        let gone = target.starts_with("/nodes/alice/edges");
        assert!(
            response.status().is_success() || gone,
            "{line}: {}",
            response.status()
        );
    }
    node.stop().await;
}

/// Splits at blanks outside single quotes, as a shell does.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("never empty").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
