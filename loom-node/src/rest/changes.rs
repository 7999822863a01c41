//! The change feed over HTTP: server-sent events that can be resumed.

use std::fmt::Write as _;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, Sleep, sleep};

use super::app::App;
use super::error::ApiError;
use super::params::Params;
use crate::feed::{Cursor, Event, Lost, Reader, Since};

/// How often something is said when nothing happens: half of what proxies usually wait.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);

/// Heartbeats a client may ask for, in milliseconds.
const HEARTBEAT_MS: std::ops::RangeInclusive<u64> = 10..=600_000;

/// What browsers are told to wait before they reconnect, in milliseconds.
const RETRY_MS: u64 = 250;

/// `GET /changes`.
pub(super) async fn follow(
    State(app): State<App>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let canary = params.take_switch("canary")?;
    let wanted = "a number of milliseconds from 10 to 600000";
    let heartbeat = params.take_parsed("heartbeat", wanted, |ms| HEARTBEAT_MS.contains(ms))?;
    let since = params.take("since")?;
    params.none_left("since, canary and heartbeat")?;
    // Browsers repeat the URL when they reconnect, and say in this header how far they got.
    let last_seen = headers.get("last-event-id");
    let last_seen = last_seen.map(|id| id.to_str().unwrap_or("unreadable").to_owned());
    let since = last_seen.or(since).map(|text| text.parse()).transpose()?;
    let reader = app.follow()?.open(since.unwrap_or(Since::Now))?;

    let hello = hello(reader.cursor(), &app.config().node_id);
    let following = Following {
        reader,
        canary,
        heartbeat: heartbeat.map_or(HEARTBEAT_DEFAULT, Duration::from_millis),
        stopping: Box::pin(app.stopping()),
        pause: Box::pin(sleep(Duration::ZERO)),
        first: Some(hello),
        ended: false,
    };
    let chunks = stream::unfold(following, |mut following| async {
        let chunk = following.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), following))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // Otherwise nginx collects events until it has a buffer full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// One connection's state.
struct Following {
    reader: Reader,
    canary: bool,
    heartbeat: Duration,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    pause: Pin<Box<Sleep>>,
    first: Option<Bytes>,
    ended: bool,
}

impl Following {
    /// The next bytes to send; `None` ends the response.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(hello) = self.first.take() {
            return Some(hello);
        }
        if self.ended {
            return None;
        }
        self.pause.as_mut().reset(Instant::now() + self.heartbeat);
        loop {
            let batch = tokio::select! {
                biased;
                batch = self.reader.next() => batch?,
                () = &mut self.pause => return Some(Bytes::from_static(b": heartbeat\n\n")),
                () = &mut self.stopping => return None,
            };
            let events = match batch {
                Ok(events) => events,
                Err(lost) => {
                    self.ended = true;
                    return Some(reset(lost));
                }
            };
            let mut out = String::new();
            let epoch = self.reader.cursor().epoch;
            for event in &events {
                if self.canary || event.happened.is_numbered() {
                    push_event(epoch, event, &mut out);
                }
            }
            // Canaries alone are silence to whoever did not ask for them.
            if !out.is_empty() {
                return Some(out.into());
            }
        }
    }
}

fn hello(cursor: Cursor, node_id: &str) -> Bytes {
    let json = serde_json::json!({
        "type": "hello",
        "epoch": format!("{:016x}", cursor.epoch),
        "cursor": cursor.to_string(),
        "nodeId": node_id,
    });
    format!("retry: {RETRY_MS}\nid: {cursor}\nevent: hello\ndata: {json}\n\n").into()
}

fn reset(lost: Lost) -> Bytes {
    let json = serde_json::json!({
        "type": "reset",
        "cursor": lost.restart.to_string(),
        "error": "this reader fell behind further than the feed remembers: list /nodes and /edges \
                  afresh, then follow from this cursor",
    });
    format!("event: reset\ndata: {json}\n\n").into()
}

fn push_event(epoch: u64, event: &Event, out: &mut String) {
    // A canary has no id: resuming after it means resuming after the change before it.
    if event.happened.is_numbered() {
        let seq = event.seq;
        let _ = writeln!(out, "id: {}", Cursor { epoch, seq });
    }
    let _ = write!(out, "event: {}\ndata: ", event.kind());
    event.push_json(out);
    out.push_str("\n\n");
}
