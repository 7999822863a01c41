//! Request bodies, taken in with a bound and refused with a reason.

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use futures_util::StreamExt as _;
use serde_json::Value as Json;

use super::error::ApiError;
use crate::limits::{BODY_BYTES_MAX, BULK_BYTES_MAX};
use crate::record::invalid::Invalid;
use crate::record::json::Plain;

/// A JSON body of at most [`BODY_BYTES_MAX`] bytes.
#[derive(Debug)]
pub(super) struct JsonBody(pub(super) Json);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let is_json = |kind: &str| kind == "application/json" || kind.ends_with("+json");
        check_content_type(&parts.headers, "application/json", is_json)?;
        let body = read_whole(&parts.headers, body).await?;
        parse(&body).map(Self)
    }
}

/// Refuses a body of another kind, or of none: a page in a browser can send such bodies to any
/// address without asking, and a form is never a record.
pub(super) fn check_content_type(
    headers: &HeaderMap,
    wanted: &str,
    accept: impl Fn(&str) -> bool,
) -> Result<(), ApiError> {
    let got = headers
        .get(CONTENT_TYPE)
        .map(|kind| kind.to_str().unwrap_or("unreadable"));
    let essence = got.map(|kind| kind.split(';').next().unwrap_or(kind).trim());
    let fits = essence.is_some_and(|kind| accept(&kind.to_ascii_lowercase()));
    if fits {
        Ok(())
    } else {
        Err(ApiError::wrong_content_type(wanted, got))
    }
}

/// Reads JSON, naming what is wrong with it.
pub(super) fn parse(text: &[u8]) -> Result<Json, ApiError> {
    if text.trim_ascii().is_empty() {
        let error = "the body is empty: send a JSON object, at least {}";
        return Err(ApiError::bad_request("bad_json", error));
    }
    let read = serde_json::from_slice(text);
    read.map(|Plain(json)| json).map_err(|why| {
        let why = why.to_string();
        if why.starts_with("recursion limit") {
            return Invalid::TooDeep.into();
        }
        ApiError::bad_request("bad_json", format!("the body is not valid JSON: {why}"))
    })
}

/// 400: the client went away, or its framing is broken.
pub(super) fn broken(why: &axum::Error) -> ApiError {
    ApiError::bad_request(
        "body_incomplete",
        format!("the body could not be read: {why}"),
    )
}

async fn read_whole(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, ApiError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced > Some(BODY_BYTES_MAX) && headers.contains_key(EXPECT) {
        // It waits to be told to go on, so it will hear this before it sends anything.
        return Err(ApiError::body_too_large(BODY_BYTES_MAX));
    }
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::with_capacity(announced.unwrap_or(0).min(BODY_BYTES_MAX));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|why| broken(&why))?;
        if whole.len() + chunk.len() > BODY_BYTES_MAX {
            drain(&mut chunks, whole.len() + chunk.len()).await;
            return Err(ApiError::body_too_large(BODY_BYTES_MAX));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// Throws the rest of a body away, within reason: a client that is still sending when the
/// connection closes would see a reset instead of the answer.
pub(super) async fn drain(chunks: &mut BodyDataStream, mut seen_bytes: usize) {
    while let Some(Ok(chunk)) = chunks.next().await {
        seen_bytes += chunk.len();
        if seen_bytes > 2 * BULK_BYTES_MAX {
            break;
        }
    }
}
