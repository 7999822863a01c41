//! Faults of this very process, for testers: only there when the node was started with `--fault-api`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answer;
use super::app::App;
use super::body::JsonBody;
use super::error::ApiError;
use crate::limits::OFFSET_MS_MAX;

/// `POST /faults/clock`: from now on the wall clock that stamps and merges is this much ahead of the
/// computer's.
pub(super) async fn set_clock(
    State(app): State<App>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let offset = body.get("offset_ms").and_then(serde_json::Value::as_i64);
    let range = -OFFSET_MS_MAX..=OFFSET_MS_MAX;
    let Some(offset) = offset.filter(|offset| range.contains(offset)) else {
        let error = format!(
            "the body must be {{\"offset_ms\":N}}: a whole number of milliseconds from \
             -{OFFSET_MS_MAX} to {OFFSET_MS_MAX} by which the clock is to be ahead, 0 to set it right"
        );
        return Err(ApiError::bad_request("invalid_value", error));
    };
    if let Some(skew) = &app.config().faults {
        skew.set(offset);
        tracing::warn!(offset_ms = offset, "the clock is set wrong on purpose");
    }
    let done = json!({"success": true, "offset_ms": offset});
    Ok(answer::json(StatusCode::OK, &done))
}
