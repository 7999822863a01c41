//! Canaries on nodes that are away, stall, or freeze.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Json, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use futures_util::StreamExt;
use loom_tui::cluster::Member;
use loom_tui::probe::{Class, Clock, Probe, ProbeOptions, Report, Target};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

const N1: Member = Member::Node(1);
const N2: Member = Member::Node(2);
const EVERY: Duration = Duration::from_millis(20);

/// Node-1, whose feed serves node-2 as well.
#[derive(Clone)]
struct Fake {
    events: broadcast::Sender<String>,
    frozen: Arc<AtomicBool>,
    heard: Arc<AtomicU64>,
}

async fn canary(State(fake): State<Fake>, Json(body): Json<Value>) -> Json<Value> {
    fake.heard.fetch_add(1, Ordering::Relaxed);
    while fake.frozen.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let event = json!({"type": "canary", "origin": "node-1", "value": body["value"]});
    let _ = fake
        .events
        .send(format!("event: canary\ndata: {event}\n\n"));
    Json(json!({"success": true, "origin": "node-1"}))
}

async fn changes(State(fake): State<Fake>) -> Response {
    let hello = "event: hello\ndata: {\"epoch\":\"1\",\"cursor\":\"1-0\"}\n\n".to_owned();
    let events = futures_util::stream::unfold(fake.events.subscribe(), async |mut events| {
        Some((events.recv().await.ok()?, events))
    });
    let all = futures_util::stream::once(async { hello }).chain(events);
    Body::from_stream(all.map(|text| Ok::<_, std::convert::Infallible>(Bytes::from(text))))
        .into_response()
}

/// A probe of node-1 and of node-2, which shows what node-1 hears and refuses canaries of its own.
async fn probe_of(fake: &Fake, canary_timeout: Duration) -> Probe {
    let feed = Router::new().route("/changes", get(changes));
    let mut targets = Vec::new();
    for (member, app) in [(N1, feed.clone().route("/canary", put(canary))), (N2, feed)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let app = app.with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        targets.push(Target { member, url });
    }
    let options = ProbeOptions {
        canary_every: Some(EVERY),
        canary_timeout,
        ..ProbeOptions::default()
    };
    Probe::start(Clock::start(), &targets, &options).expect("two targets")
}

fn fake() -> Fake {
    Fake {
        events: broadcast::Sender::new(1_000),
        frozen: Arc::default(),
        heard: Arc::default(),
    }
}

async fn until(probe: &Probe, what: &str, holds: impl Fn(&Report) -> bool) {
    let mark = probe.mark().await;
    let waiting = async {
        while !holds(&probe.report(&mark).await) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    assert!(waited.is_ok(), "never: {what}");
}

#[tokio::test]
async fn a_canary_that_cannot_be_sent_is_not_a_write() {
    let fake = fake();
    let probe = probe_of(&fake, Duration::from_secs(2)).await;
    until(&probe, "ten of each", |report| {
        report.canary.acked >= 10 && report.canary.refused >= 10
    })
    .await;
    let view = probe.view().await;
    let one = view.observers.iter().find(|o| o.member == N1).unwrap();
    let two = view.observers.iter().find(|o| o.member == N2).unwrap();
    assert_eq!((one.lag, one.behind), (None, 0), "node-2 wrote nothing");
    assert!(two.lag.is_some());
    assert!(view.latency.count > 0);
    assert_eq!(view.ops_per_s, 0.0, "canaries are nobody's operations");
}

#[tokio::test]
async fn a_stall_shows_in_every_canary_it_held_up() {
    const STALL: Duration = Duration::from_millis(600);
    let fake = fake();
    let probe = probe_of(&fake, Duration::from_secs(5)).await;
    until(&probe, "a calm start", |report| report.canary.acked > 3).await;
    let mark = probe.mark().await;
    fake.frozen.store(true, Ordering::Relaxed);
    tokio::time::sleep(STALL).await;
    fake.frozen.store(false, Ordering::Relaxed);
    until(&probe, "all caught up", |report| report.canary.acked > 40).await;
    let seen = probe.report(&mark).await.convergence(Class::Canary);
    let max = seen.max.lower_bound().unwrap();
    assert!(max > STALL * 9 / 10, "{max:?}");
    // Thirty were due in the stall: evenly spread over it, most waited a tenth of it or longer.
    let pair = probe.report(&mark).await;
    let pair = (pair.pairs.iter().find(|pair| pair.observer == N2)).unwrap();
    let histogram = pair.seen.histogram();
    let slow = histogram.len() - histogram.count_between(0, (STALL / 10).as_micros() as u64);
    assert!(slow >= 20, "{slow} slow of {}", histogram.len());
}

#[tokio::test]
async fn a_frozen_node_does_not_collect_overdue_canaries() {
    let fake = fake();
    let probe = probe_of(&fake, Duration::from_millis(100)).await;
    until(&probe, "a calm start", |report| report.canary.acked > 3).await;
    fake.frozen.store(true, Ordering::Relaxed);
    until(&probe, "three unknown", |report| report.canary.unknown >= 3).await;
    let heard = fake.heard.load(Ordering::Relaxed);
    fake.frozen.store(false, Ordering::Relaxed);
    until(&probe, "one answered", |report| report.canary.acked >= 1).await;
    // Thirty or so were due meanwhile; a burst of them would say nothing that three did not.
    let burst = fake.heard.load(Ordering::Relaxed) - heard;
    assert!(burst < 10, "{burst}");
}
