//! Every route with good and bad input, drawn as a table.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::support::{Node, read};

/// What a row of the table sends.
enum Body {
    None,
    Json(Json),
    Raw(&'static str, String),
}

use Body::{Json as J, None as N, Raw};

/// Status, and for refusals the code and a part of the sentence.
struct Want(u16, &'static str, &'static str);

#[tokio::test]
async fn every_route_answers_as_documented() {
    let node = Node::alone().await;
    let long = |length: usize| "i".repeat(length);
    let form = "application/x-www-form-urlencoded";
    let deep = (0..40).fold(json!(1), |inner, _| json!({"a": inner}));
    let very_deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let [get, post, put, patch, delete] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    #[rustfmt::skip]
    let rows: Vec<(&Method, &str, Body, Want)> = vec![
        // Creating
        (&post, "/nodes", J(json!({"id": "a", "type": "task"})), Want(201, "", "")),
        (&post, "/nodes", J(json!({"id": "a"})), Want(200, "", "")),
        (&post, "/nodes", J(json!({})), Want(201, "", "")),
        (&post, "/nodes?if_absent=true", J(json!({"id": "a"})), Want(409, "exists", "replace it")),
        (&post, "/nodes?if_absent=yes", J(json!({"id": "a"})), Want(400, "invalid_parameter", "true or false")),
        (&post, "/nodes", J(json!({"id": 5})), Want(400, "invalid_id", "Node ID is required and must be a string")),
        (&post, "/nodes", J(json!({"id": "_"})), Want(400, "reserved_id", "choose another")),
        (&post, "/nodes", J(json!({"id": "__proto__"})), Want(201, "", "")),
        (&post, "/nodes", J(json!({"id": long(256)})), Want(201, "", "")),
        (&post, "/nodes", J(json!({"id": long(257)})), Want(400, "id_too_long", "at most 256")),
        (&post, "/nodes", J(json!({"type": 5})), Want(400, "invalid_type", "Node type is required")),
        (&post, "/nodes", J(json!({"type": long(129)})), Want(400, "type_too_long", "128")),
        (&post, "/nodes", J(json!({"properties": 1})), Want(400, "invalid_properties", "must be an object")),
        (&post, "/nodes", J(json!({"properties": deep})), Want(400, "too_deep", "32 levels")),
        (&post, "/nodes", Raw("application/json", very_deep), Want(400, "too_deep", "32 levels")),
        (&post, "/nodes", J(json!([])), Want(400, "not_an_object", "JSON object")),
        (&post, "/nodes", J(json!("text")), Want(400, "not_an_object", "JSON object")),
        (&post, "/nodes", Raw("application/json", "{\"id\":".into()), Want(400, "bad_json", "line 1 column 6")),
        (&post, "/nodes", Raw("application/json", "\u{feff}{}".into()), Want(400, "bad_json", "not valid JSON")),
        (&post, "/nodes", Raw("application/json", "{\"properties\":{\"x\":1e999}}".into()), Want(400, "bad_json", "out of range")),
        (&post, "/nodes", Raw("application/json", "{\"id\":\"\\ud800\"}".into()), Want(400, "bad_json", "escape")),
        (&post, "/nodes", Raw("application/json", String::new()), Want(400, "bad_json", "empty")),
        (&post, "/nodes", Raw("application/json; charset=utf-8", "{}".into()), Want(201, "", "")),
        (&post, "/nodes", Raw(form, "{}".into()), Want(415, "wrong_content_type", "application/json")),
        (&post, "/nodes", N, Want(415, "wrong_content_type", "application/json")),
        (&post, "/nodes", J(json!({"properties": {"x": "x".repeat(1 << 20)}})), Want(413, "body_too_large", "1048576")),
        (&post, "/nodes", J(json!({"metadata": {"labels": [1]}})), Want(400, "invalid_labels", "strings")),
        (&post, "/edges", J(json!({"id": "e", "from": "a", "to": "b", "weight": 0.5})), Want(201, "", "")),
        (&post, "/edges", J(json!({"to": "b"})), Want(400, "invalid_from", "Edge source (from) is required and must be a string")),
        (&post, "/edges", J(json!({"from": "a"})), Want(400, "invalid_to", "Edge target (to) is required and must be a string")),
        (&post, "/edges", J(json!({"from": "a", "to": long(257)})), Want(400, "id_too_long", "to is 257")),
        (&post, "/edges", J(json!({"from": "a", "to": "b", "weight": "1"})), Want(400, "invalid_weight", "Edge weight must be a number")),
        // Reading
        (&get, "/nodes/a", N, Want(200, "", "")),
        (&get, "/nodes/nowhere", N, Want(404, "not_found", "POST /nodes")),
        (&get, "/nodes/%ff", N, Want(400, "bad_path", "percent-encode")),
        (&get, "/nodes/", N, Want(404, "no_such_route", "/openapi.json")),
        (&get, "/nodes?tpye=task", N, Want(400, "unknown_parameter", "type, limit and cursor")),
        (&get, "/nodes?from=a", N, Want(400, "unknown_parameter", "from")),
        (&get, "/nodes?limit=0", N, Want(400, "invalid_parameter", "from 1 to 10000")),
        (&get, "/nodes?limit=10001", N, Want(400, "invalid_parameter", "from 1 to 10000")),
        (&get, "/nodes?limit=x", N, Want(400, "invalid_parameter", "\"x\"")),
        (&get, "/nodes?type=a&type=b", N, Want(400, "repeated_parameter", "twice")),
        (&get, "/edges?from=a&to=b&type=custom", N, Want(200, "", "")),
        (&get, "/nodes/a/edges?direction=out", N, Want(200, "", "")),
        (&get, "/nodes/a/edges?direction=up", N, Want(400, "invalid_parameter", "out, in or both")),
        (&get, "/nodes/b/edges", N, Want(200, "", "")),
        (&get, "/nodes/nowhere/edges", N, Want(404, "not_found", "nowhere")),
        // Changing
        (&put, "/nodes/p", J(json!({"type": "task"})), Want(201, "", "")),
        (&put, "/nodes/p", J(json!({"id": "p"})), Want(200, "", "")),
        (&put, "/nodes/p", J(json!({"id": "q"})), Want(400, "id_mismatch", "/nodes/q")),
        (&put, "/nodes/_", J(json!({})), Want(400, "reserved_id", "GUN")),
        (&put, "/nodes/p?if_absent=true", J(json!({})), Want(409, "exists", "exists already")),
        (&put, "/edges/e", J(json!({"from": "a"})), Want(400, "invalid_to", "to")),
        (&patch, "/nodes/p", J(json!({"properties": {"x": 1}})), Want(200, "", "")),
        (&patch, "/nodes/p", Raw("application/merge-patch+json", "{\"type\":\"t\"}".into()), Want(200, "", "")),
        (&patch, "/nodes/p", J(json!({"type": null})), Want(400, "invalid_type", "Node type")),
        (&patch, "/nodes/nowhere", J(json!({})), Want(404, "not_found", "nowhere")),
        (&delete, "/nodes/p", N, Want(200, "", "")),
        (&delete, "/nodes/p", N, Want(404, "not_found", "does not exist")),
        // The node called "bulk" is a node like any other.
        (&put, "/nodes/bulk", J(json!({})), Want(201, "", "")),
        (&get, "/nodes/bulk", N, Want(200, "", "")),
        (&patch, "/nodes/bulk", J(json!({"type": "t"})), Want(200, "", "")),
        (&delete, "/nodes/bulk", N, Want(200, "", "")),
        // Bulk
        (&post, "/nodes/bulk", Raw("application/x-ndjson", "{}\n{\"id\":\"n2\"}".into()), Want(200, "", "")),
        (&post, "/nodes/bulk", J(json!({})), Want(415, "wrong_content_type", "application/x-ndjson")),
        (&post, "/nodes/bulk", Raw("application/x-ndjson", "\n \n".into()), Want(400, "bad_json", "no lines")),
        (&post, "/edges/bulk", Raw("application/x-ndjson", "{\"from\":\"a\",\"to\":\"b\"}\n".into()), Want(200, "", "")),
        (&post, "/nodes/bulk", Raw("application/x-ndjson", "x".repeat((1 << 20) + 2)), Want(413, "line_too_long", "line 1")),
        // The node itself
        (&get, "/health", N, Want(200, "", "")),
        (&get, "/stats", N, Want(200, "", "")),
        (&get, "/history", N, Want(200, "", "")),
        (&get, "/digest", N, Want(200, "", "")),
        (&get, "/openapi.json", N, Want(200, "", "")),
        (&put, "/canary", J(json!({"value": "v"})), Want(200, "", "")),
        (&put, "/canary", J(json!({"value": "v".repeat(257)})), Want(400, "invalid_value", "256")),
        (&put, "/canary", J(json!({"value": 1})), Want(400, "invalid_value", "value")),
        (&get, "/changes?since=yesterday", N, Want(400, "invalid_cursor", "now, 0")),
        (&get, "/changes?heartbeat=0", N, Want(400, "invalid_parameter", "milliseconds")),
        (&get, "/changes?sinse=0", N, Want(400, "unknown_parameter", "since, canary")),
        (&get, "/changes?since=0123456789abcdef-1", N, Want(410, "cursor_gone", "list /nodes")),
        // Elsewhere
        (&get, "/nope", N, Want(404, "no_such_route", "GET /nope")),
        (&post, "/nope", J(json!({})), Want(404, "no_such_route", "POST /nope")),
        (&post, "/nodes/a", J(json!({})), Want(405, "method_not_allowed", "Allow")),
        (&delete, "/nodes", N, Want(405, "method_not_allowed", "does not take DELETE")),
        (&get, "/shutdown", N, Want(405, "method_not_allowed", "/shutdown")),
        (&post, "/stats/reset", N, Want(200, "", "")),
        (&post, "/history/clear", N, Want(200, "", "")),
    ];
    for (method, path, body, Want(status, code, words)) in rows {
        let request = node.request(method.clone(), path);
        let request = match body {
            N => request,
            J(json) => request.json(&json),
            Raw(kind, text) => request.header("content-type", kind).body(text),
        };
        let response = request.send().await.unwrap();
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "*",
            "{method} {path}"
        );
        assert_eq!(
            response.headers()["content-type"],
            "application/json",
            "{method} {path}"
        );
        let (got, answer) = read(response).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        if status >= 400 {
            assert_eq!(answer["success"], false, "{method} {path}: {answer}");
            assert_eq!(answer["code"], code, "{method} {path}: {answer}");
            let sentence = answer["error"].as_str().unwrap();
            assert!(sentence.contains(words), "{method} {path}: {sentence}");
        } else {
            assert_ne!(answer["success"], false, "{method} {path}: {answer}");
        }
    }
    node.stop().await;
}
