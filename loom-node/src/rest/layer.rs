//! What surrounds every request: browsers are let in, nobody is answered from half a store, answers
//! are counted.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ORIGIN,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::ApiError;

/// Answers preflights, and lets pages of any origin read and write records, as LoomDB does. Only
/// stopping the node is not for pages: a POST without a body needs no preflight, so any page a user
/// has open could do it.
pub(super) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        preflight()
    } else if request.uri().path() == "/shutdown" && request.headers().contains_key(ORIGIN) {
        let error = "a web page cannot stop a node: use a program, such as curl -X POST";
        ApiError::new(StatusCode::FORBIDDEN, "not_for_pages", error).into_response()
    } else if let Some(entries) = app.loading().filter(|_| needs_what_is_held(&request)) {
        ApiError::loading(entries).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    app.count(response.status());
    response
}

/// Whether this has to wait until the store has been read.
fn needs_what_is_held(request: &Request) -> bool {
    !matches!(request.uri().path(), "/" | "/openapi.json" | "/shutdown")
}

fn preflight() -> Response {
    const HEADERS: &str = "Content-Type, If-None-Match, Last-Event-ID, Cache-Control";
    let allowed = [
        (
            ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, PATCH, DELETE",
        ),
        (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}
