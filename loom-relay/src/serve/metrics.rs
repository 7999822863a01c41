//! `GET /metrics`: the same in numbers, in Prometheus' text format.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::http::{App, Unavailable};
use crate::mesh::SyncPhase;
use crate::metrics::{CONTENT_TYPE, Exposition};

pub(super) async fn show(State(app): State<App>) -> Result<impl IntoResponse, Unavailable> {
    let mut page = Exposition::default();
    let is_loading = app.startup.started().is_none();
    page.gauge(
        "loom_relay_loading",
        "1 while the store is being read; what links say waits until then.",
        f64::from(u8::from(is_loading)),
    );
    page.gauge(
        "loom_relay_loaded_entries",
        "Entries of the store read so far.",
        app.startup.entries() as f64,
    );
    page.gauge(
        "loom_relay_uptime_seconds",
        "Time since the start.",
        app.started.elapsed().as_secs_f64(),
    );
    if !is_loading {
        show_relay(&app, &mut page).await?;
    }
    page.process();
    app.hub.stats().expose("loom_relay", &mut page);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], page.finish()))
}

/// What the machine says of itself.
async fn show_relay(app: &App, page: &mut Exposition) -> Result<(), Unavailable> {
    let status = app.status().await?;
    let links = app.hub.links().await;
    let mut gauge = |name: &str, help: &str, value: f64| {
        page.gauge(&format!("loom_relay_{name}"), help, value);
    };
    gauge("peers", "Links open now.", links.len() as f64);
    gauge("souls", "Souls held.", status.souls as f64);
    gauge(
        "fields",
        "Fields held, tombstones included.",
        status.fields as f64,
    );
    gauge(
        "deferred",
        "Writes stamped in the future, waiting for the clock.",
        status.deferred.count as f64,
    );
    gauge(
        "store_stalled",
        "1 while nothing can be stored.",
        f64::from(u8::from(status.stalled.is_some())),
    );
    gauge(
        "remembered_ids",
        "Message ids remembered to drop repeats.",
        status.remembered as f64,
    );
    gauge(
        "queued_bytes",
        "Bytes waiting to be sent, over all links.",
        links.iter().map(|link| link.queued_bytes).sum::<usize>() as f64,
    );
    if let Some(earliest) = status.deferred.earliest {
        page.gauge(
            "loom_relay_deferred_earliest_seconds",
            "When the first deferred write is due, since the Unix epoch; absent when none waits.",
            earliest.ms() / 1e3,
        );
    }
    let loom = || {
        status
            .links
            .iter()
            .filter(|link| link.is_loom == Some(true))
    };
    let agree = loom().filter(|link| link.sync.phase == SyncPhase::Agreed);
    let mut gauge = |name: &str, help: &str, value: usize| {
        page.gauge(&format!("loom_relay_{name}"), help, value as f64);
    };
    gauge("loom_peers", "Links to Loom peers.", loom().count());
    gauge(
        "loom_peers_agreed",
        "Of these, those that held the same when last compared.",
        agree.count(),
    );
    let queues = status.queues.iter();
    let queues: Vec<_> = queues.map(|it| (it.name, it.len as f64)).collect();
    page.labelled_gauge(
        "loom_relay_mesh_queue_len",
        "How full each queue of the mesh is; of those that every link has, the fullest.",
        "queue",
        &queues,
    );
    for (name, help, value) in status.counters.entries() {
        page.counter(&format!("loom_relay_mesh_{name}_total"), help, value);
    }
    Ok(())
}
