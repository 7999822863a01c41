//! Which request gets which answer.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::sync::oneshot;

use super::{health, metrics};
use crate::driver::{Caller, CommandError, Hub};
use crate::relay::{Command, Status};
use crate::startup::Startup;
use crate::store::Durability;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) hub: Hub<Command>,
    /// Known once it has started: what its store promises, if it has one.
    pub(super) startup: Arc<Startup<Option<Durability>>>,
    pub(super) verifies_sea: bool,
    pub(super) started: Instant,
}

pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/gun", any(gun))
        .route("/health", get(health::show))
        .route("/metrics", get(metrics::show))
        .fallback(elsewhere)
        .with_state(app)
}

impl App {
    /// Asks the machine how it is.
    pub(super) async fn status(&self) -> Result<Status, Unavailable> {
        let (reply, status) = oneshot::channel();
        self.hub.try_command(Command::Status(reply))?;
        status.await.map_err(|_| CommandError::Stopped.into())
    }
}

/// The machine has no time for a question, or is gone.
#[derive(Debug)]
pub(super) struct Unavailable(CommandError);

impl From<CommandError> for Unavailable {
    fn from(error: CommandError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Unavailable {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "status": "unavailable", "error": self.0.to_string() });
        (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response()
    }
}

async fn gun(
    State(app): State<App>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    match upgrade {
        Ok(upgrade) => app.hub.upgrade(caller, upgrade),
        Err(rejection) if wants_websocket(request.headers()) => {
            let reason = rejection.body_text();
            let sentence = format!("not a websocket request this relay understands: {reason}\n");
            (StatusCode::BAD_REQUEST, sentence).into_response()
        }
        Err(_) => plain(request.method()),
    }
}

async fn elsewhere(request: Request) -> Response {
    if wants_websocket(request.headers()) {
        let path = request.uri().path();
        let sentence = format!("websockets are served on /gun, not on {path}\n");
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    plain(request.method())
}

/// What people see who look at a relay with a browser.
fn plain(method: &Method) -> Response {
    if matches!(*method, Method::GET | Method::HEAD) {
        return "GUN Relay Server Running\n".into_response();
    }
    let sentence = "a relay speaks GUN over websockets on /gun; over HTTP it can only be read\n";
    let allow = [(header::ALLOW, "GET, HEAD")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, sentence).into_response()
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().contains("websocket"))
}
