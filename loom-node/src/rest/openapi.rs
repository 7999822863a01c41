//! The API's description for programs: `openapi.json` beside this crate, served as it is.

use axum::http::StatusCode;
use axum::response::Response;

use super::answer;

const DOCUMENT: &str = include_str!("../../openapi.json");

/// `GET /openapi.json`.
pub(super) async fn show() -> Response {
    answer::text(StatusCode::OK, DOCUMENT.to_owned())
}
