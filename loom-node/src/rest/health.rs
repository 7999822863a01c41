//! How the node is doing, for people, for Prometheus, and for probes; and how to stop it.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use loom_relay::mesh::SyncView;
use loom_relay::metrics::{self, Exposition};
use loom_relay::store::stalled_sentence;
use serde_json::{Value as Json, json};

use super::app::App;
use super::body::JsonBody;
use super::error::ApiError;
use super::{Route, answer};
use crate::limits::CANARY_BYTES_MAX;
use crate::replica::{Command, Status};

/// `GET /`: for people who open the address in a browser.
pub(super) async fn hello(State(app): State<App>) -> String {
    let node = &app.config().node_id;
    let mut page = format!("LoomDB node {node}\n\n");
    for Route { method, path, .. } in super::routes() {
        let _ = writeln!(page, "{method:6} {path}");
    }
    page.push_str("\nGET /openapi.json describes them.\n");
    page
}

// Whoever asks how a busy node is doing waits its turn: "busy" would be no answer.

/// `GET /health`. Always 200 while the node takes reads and writes, which it also does when cut off
/// from its relay; `healthy` is false then, and `problems` says what is wrong.
pub(super) async fn health(State(app): State<App>) -> Result<Response, ApiError> {
    let status = app.ask_patiently(Command::Status).await?;
    let sync = sync(&app, &status).await;
    let connected = sync["connected"] == true;
    let mut problems = Vec::new();
    let peers = &app.config().peers;
    if peers.is_empty() {
        problems.push("no relay is configured: set GUN_PEERS".to_owned());
    } else if !connected {
        let peers = peers.join(", ");
        problems.push(format!(
            "no relay answers (trying {peers}): writes wait here until one does"
        ));
    }
    if let Some(why) = &status.stalled {
        problems.push(stalled_sentence(why));
    }
    if let Some(earliest) = status.deferred.earliest {
        let count = status.deferred.count;
        problems.push(format!(
            "{count} writes are stamped later than this node's clock and wait for it, the first \
             until {earliest}: compare clocks"
        ));
    }
    let stats = stats_json(&status);
    let node_id = &*app.config().node_id;
    Ok(answer::json(
        StatusCode::OK,
        &json!({
            "nodeId": node_id,
            "healthy": problems.is_empty(),
            "problems": problems,
            "sync": sync,
            "stats": stats,
        }),
    ))
}

/// `GET /stats`.
pub(super) async fn stats(State(app): State<App>) -> Result<Response, ApiError> {
    let status = app.ask_patiently(Command::Status).await?;
    let sync = sync(&app, &status).await;
    Ok(answer::json(
        StatusCode::OK,
        &json!({
            "nodeId": &*app.config().node_id,
            "stats": stats_json(&status),
            "syncStatus": sync,
            "graph": {
                "nodes": status.nodes,
                "edges": status.edges,
                "dangling": status.dangling,
                "foreign": status.foreign,
            },
            "durability": app.config().durability.to_string(),
            "deferred": {
                "count": status.deferred.count,
                "earliest": status.deferred.earliest.map(answer::state),
            },
        }),
    ))
}

fn stats_json(status: &Status) -> Json {
    serde_json::to_value(&status.stats).expect("counters serialise")
}

/// LoomDB's `sync` object, with true values.
async fn sync(app: &App, status: &Status) -> Json {
    let links = app.live_links().await;
    json!({
        "connected": !links.is_empty(),
        "subscriptions": status.readers,
        "pendingChanges": status.unheld + status.deferred.count,
        "catchUp": catch_up_json(&status.catch_up),
        "changeHistory": status.history,
        "circuitBreakers": {},
    })
}

fn catch_up_json(view: &SyncView) -> Json {
    json!({
        "phase": view.phase.name(),
        "percent": view.percent(),
        "itemsIn": view.items_in,
        "itemsOut": view.items_out,
        "expected": view.expected,
    })
}

/// `POST /stats/reset`.
pub(super) async fn reset_stats(State(app): State<App>) -> Result<Response, ApiError> {
    app.ask(Command::ResetStats).await?;
    Ok(answer::success())
}

/// `GET /history`.
pub(super) async fn history(State(app): State<App>) -> Result<Response, ApiError> {
    Ok(answer::history(app.ask(Command::History).await?))
}

/// `POST /history/clear`.
pub(super) async fn clear_history(State(app): State<App>) -> Result<Response, ApiError> {
    app.ask(Command::ClearHistory).await?;
    Ok(answer::success())
}

/// `GET /digest`.
pub(super) async fn digest(State(app): State<App>) -> Result<Response, ApiError> {
    let digest = app.ask_patiently(Command::Digest).await?;
    Ok(answer::json(
        StatusCode::OK,
        &json!({
            "success": true,
            "nodeId": &*app.config().node_id,
            "digest": digest.hex,
            "nodes": digest.nodes,
            "edges": digest.edges,
            "deferred": digest.deferred,
        }),
    ))
}

/// `PUT /canary`: a mark that travels like a record and is none.
pub(super) async fn canary(
    State(app): State<App>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let value = match body.get("value") {
        Some(Json::String(value)) if value.len() <= CANARY_BYTES_MAX => value.clone(),
        _ => {
            let error = format!(
                "the body must be {{\"value\":\"…\"}} with at most {CANARY_BYTES_MAX} bytes of text"
            );
            return Err(ApiError::bad_request("invalid_value", error));
        }
    };
    let stamp = app.ask(|reply| Command::Canary(value, reply)).await??;
    let origin = &*app.config().node_id;
    Ok(answer::json(
        StatusCode::OK,
        &json!({"success": true, "origin": origin, "state": answer::state(stamp)}),
    ))
}

/// `POST /shutdown`: answers, then the node stores what it has and ends.
pub(super) async fn shutdown(State(app): State<App>) -> Response {
    app.stop();
    answer::json(
        StatusCode::OK,
        &json!({"success": true, "message": "Shutting down..."}),
    )
}

/// `GET /metrics`.
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    let status = app.ask_patiently(Command::Status).await?;
    let connected = !app.live_links().await.is_empty();
    let mut page = Exposition::default();
    let mut gauge = |name: &str, help: &str, value: usize| {
        page.gauge(&format!("loom_node_{name}"), help, value as f64);
    };
    gauge("nodes", "Vertices that can be listed.", status.nodes);
    gauge("edges", "Edges that can be listed.", status.edges);
    gauge(
        "edges_dangling",
        "Edges with a missing end.",
        status.dangling,
    );
    gauge(
        "values_foreign",
        "Values under the record souls that are no records.",
        status.foreign,
    );
    gauge(
        "writes_deferred",
        "Writes from the future, waiting for the clock.",
        status.deferred.count,
    );
    gauge(
        "commits_waiting",
        "Commits not yet durable.",
        status.commits_waiting,
    );
    gauge(
        "writes_unstamped",
        "Writes of clients that wait until they may be stamped.",
        status.unstamped,
    );
    gauge(
        "store_stalled",
        "1 while nothing can be stored.",
        usize::from(status.stalled.is_some()),
    );
    gauge(
        "feed_readers",
        "Followers of the change feed.",
        status.readers,
    );
    gauge(
        "changes_pending",
        "Own changes that no other peer is known to hold.",
        status.unheld,
    );
    gauge(
        "sync_percent",
        "How much of what differs from the relay has been moved; 100 while both agree.",
        status.catch_up.percent().into(),
    );
    gauge(
        "sync_items_expected",
        "Fields known to differ, in both directions, since the last agreement.",
        usize::try_from(status.catch_up.expected).unwrap_or(usize::MAX),
    );
    gauge(
        "sync_items_in",
        "Of these, fields that have come in.",
        usize::try_from(status.catch_up.items_in).unwrap_or(usize::MAX),
    );
    gauge(
        "sync_items_out",
        "Of these, fields that have gone out.",
        usize::try_from(status.catch_up.items_out).unwrap_or(usize::MAX),
    );
    gauge(
        "sync_connected",
        "1 while a relay answers.",
        usize::from(connected),
    );
    if let Some(earliest) = status.deferred.earliest {
        page.gauge(
            "loom_node_writes_deferred_earliest_seconds",
            "When the first of them is due, since the Unix epoch; absent when none waits.",
            earliest.ms() / 1e3,
        );
    }
    let mut counter = |name: &str, help: &str, value: u64| {
        page.counter(&format!("loom_node_{name}_total"), help, value);
    };
    let stats = &status.stats;
    counter(
        "nodes_created",
        "Vertices created through the API.",
        stats.nodes_created,
    );
    counter(
        "edges_created",
        "Edges created through the API.",
        stats.edges_created,
    );
    counter(
        "local_updates",
        "Records changed or deleted through the API.",
        stats.local_updates,
    );
    counter(
        "remote_changes",
        "Records changed by other peers' writes.",
        stats.remote_changes,
    );
    counter(
        "conflicts",
        "Writes that lost against one their writer had not seen.",
        stats.conflicts,
    );
    for (name, help, value) in &status.mesh {
        counter(&format!("mesh_{name}"), help, *value);
    }
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
    let answers: Vec<_> = classes.into_iter().zip(app.answers()).collect();
    page.labelled_counter(
        "loom_node_http_answers_total",
        "Answers by status.",
        "status",
        &answers,
    );
    app.config().hub.stats().expose("loom_node", &mut page);
    page.process();
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page.finish()).into_response())
}
