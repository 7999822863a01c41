//! `GET /health`: how the relay is, for people and for whatever restarts it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::http::{App, Unavailable};
use crate::driver;
use crate::machine::Side;
use crate::mesh;
use crate::model::Stamp;
use crate::relay::Status;
use crate::store::stalled_sentence;

#[derive(Debug, Serialize)]
struct Health {
    /// `healthy`, or `stalled` while nothing can be stored.
    status: &'static str,
    /// What is wrong and what to do about it, in sentences.
    problems: Vec<String>,
    /// Links open now.
    peers: usize,
    souls: usize,
    fields: u64,
    /// Writes stamped in the future, waiting for the clock.
    deferred: usize,
    /// The earliest of their stamps, in milliseconds since the Unix epoch.
    deferred_earliest: Option<f64>,
    uptime_s: u64,
    /// `sync`, `os`, `none`, or `memory` without a data directory.
    durability: String,
    /// Whether signatures of user souls are checked.
    verify_sea: bool,
    /// Fields refused because their owner did not sign them.
    unverified: u64,
    /// The name this relay greets with.
    pid: String,
    version: &'static str,
    links: Vec<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    peer: u64,
    /// The name the other side gave itself, once it has.
    pid: Option<String>,
    /// Whether it reconciles; null while that is not known.
    loom: Option<bool>,
    /// How far reconciliation with it is.
    sync: Sync,
    side: &'static str,
    /// The URL dialled, or the address that dialled us.
    far: String,
    queued_bytes: usize,
    up_s: u64,
    /// Since the last byte heard.
    silent_ms: u64,
}

#[derive(Debug, Serialize)]
struct Sync {
    phase: &'static str,
    percent: u8,
    items_in: u64,
    items_out: u64,
    expected: u64,
}

impl From<mesh::SyncView> for Sync {
    fn from(view: mesh::SyncView) -> Self {
        Self {
            phase: view.phase.name(),
            percent: view.percent(),
            items_in: view.items_in,
            items_out: view.items_out,
            expected: view.expected,
        }
    }
}

/// What a relay says of itself while it reads its store.
#[derive(Debug, Serialize)]
struct Loading {
    status: &'static str,
    /// Links accepted so far and still open; what they say waits.
    peers: usize,
    /// Entries read so far.
    loaded: u64,
    uptime_s: u64,
    version: &'static str,
}

pub(super) async fn show(State(app): State<App>) -> Result<Response, Unavailable> {
    let Some(durability) = app.startup.started() else {
        let loading = Loading {
            status: "loading",
            peers: app.hub.accepted_links(),
            loaded: app.startup.entries(),
            uptime_s: app.started.elapsed().as_secs(),
            version: env!("CARGO_PKG_VERSION"),
        };
        return Ok((StatusCode::SERVICE_UNAVAILABLE, Json(loading)).into_response());
    };
    let status = app.status().await?;
    let links = app.hub.links().await;
    let known: BTreeMap<_, _> = status.links.iter().map(|it| (it.peer, it)).collect();
    let links: Vec<_> = links
        .iter()
        .map(|link| Link::new(link, known.get(&link.peer).copied()))
        .collect();
    Ok(Json(Health {
        status: match &status.stalled {
            None => "healthy",
            Some(_) => "stalled",
        },
        problems: problems(&status),
        peers: links.len(),
        souls: status.souls,
        fields: status.fields,
        deferred: status.deferred.count,
        deferred_earliest: status.deferred.earliest.map(Stamp::ms),
        uptime_s: app.started.elapsed().as_secs(),
        durability: durability.map_or_else(|| "memory".to_owned(), |it| it.to_string()),
        verify_sea: app.verifies_sea,
        unverified: status.counters.fields_unverified,
        pid: status.pid,
        version: env!("CARGO_PKG_VERSION"),
        links,
    })
    .into_response())
}

fn problems(status: &Status) -> Vec<String> {
    let stalled = status.stalled.iter();
    stalled.map(|why| stalled_sentence(why)).collect()
}

impl Link {
    fn new(link: &driver::LinkView, known: Option<&mesh::LinkView>) -> Self {
        Self {
            peer: link.peer.0,
            pid: known.and_then(|it| it.pid.as_deref().map(str::to_owned)),
            loom: known.and_then(|it| it.is_loom),
            sync: Sync::from(known.map(|it| it.sync).unwrap_or_default()),
            side: match link.side {
                Side::Accepted => "accepted",
                Side::Dialled => "dialled",
            },
            far: link.far.to_string(),
            queued_bytes: link.queued_bytes,
            up_s: link.up.as_secs(),
            silent_ms: u64::try_from(link.silent.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
