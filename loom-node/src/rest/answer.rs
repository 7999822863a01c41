//! Answers as JSON text. Records are text already, so they are joined, not serialised again.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use loom_relay::js_text;
use loom_relay::model::Stamp;
use serde::Serialize;

use crate::feed::Event;
use crate::index::{Found, Page};
use crate::record::Table;

/// Lists are sent in pieces of about this many bytes, so that a huge one is never held as text.
const CHUNK_BYTES: usize = 64 << 10;

/// Any value as a JSON answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_vec(value).expect("answers have string keys and plain values");
    typed(status, Body::from(text))
}

/// A stamp as JSON, printed as JavaScript prints it: whole milliseconds without `.0`.
pub(super) fn state(stamp: Stamp) -> serde_json::Value {
    serde_json::from_str(&stamp.to_string()).expect("a finite number is JSON")
}

/// `{"success":true}`.
pub(super) fn success() -> Response {
    text(StatusCode::OK, String::from(r#"{"success":true}"#))
}

/// JSON text as an answer.
pub(super) fn text(status: StatusCode, text: String) -> Response {
    typed(status, Body::from(text))
}

/// `{"success":true,"node":{…}}`.
pub(super) fn record(status: StatusCode, found: &Found) -> Response {
    let mut out = String::with_capacity(256 + found.row.weight());
    let _ = write!(out, r#"{{"success":true,"{}":"#, found.row.table.singular());
    found.row.push_json(found.dangling, &mut out);
    out.push('}');
    text(status, out)
}

/// `{"success":true,"count":n,"nodes":[…],"next":…}`.
pub(super) fn page(table: Table, page: Page) -> Response {
    let next = (page.next).map_or_else(|| "null".to_owned(), |next| js_text::string(&next));
    list(
        table.plural(),
        page.found,
        format!(r#","next":{next}"#),
        |found, out| found.row.push_json(found.dangling, out),
    )
}

/// `{"success":true,"count":n,"history":[…]}`.
pub(super) fn history(events: Vec<Arc<Event>>) -> Response {
    list("history", events, String::new(), |event, out| {
        event.push_json(out)
    })
}

fn list<T: Send + 'static>(
    member: &str,
    items: Vec<T>,
    tail: String,
    push: fn(&T, &mut String),
) -> Response {
    let mut head = format!(r#"{{"success":true,"count":{},"{member}":["#, items.len());
    let mut items = items.into_iter();
    let mut first = true;
    let mut fill = move |mut out: String| {
        for item in items.by_ref() {
            if !first {
                out.push(',');
            }
            first = false;
            push(&item, &mut out);
            if out.len() >= CHUNK_BYTES {
                return (out, false);
            }
        }
        let _ = write!(out, "]{tail}}}");
        (out, true)
    };
    head.reserve(1024);
    let (start, whole) = fill(head);
    if whole {
        return text(StatusCode::OK, start);
    }
    let rest = std::iter::once(start).chain(std::iter::from_fn({
        let mut done = false;
        move || {
            if done {
                return None;
            }
            let (chunk, whole) = fill(String::with_capacity(CHUNK_BYTES + 1024));
            done = whole;
            Some(chunk)
        }
    }));
    let chunks = rest.map(|chunk| Ok::<_, std::convert::Infallible>(Bytes::from(chunk)));
    typed(StatusCode::OK, Body::from_stream(stream::iter(chunks)))
}

fn typed(status: StatusCode, body: Body) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    (status, [(CONTENT_TYPE, JSON)], body).into_response()
}
