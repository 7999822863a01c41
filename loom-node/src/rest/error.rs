//! Every refusal: a status, a code for programs, a sentence for people with the next step.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use loom_relay::driver::CommandError;
use serde::Serialize;
use tokio::sync::oneshot::error::RecvError;

use super::answer;
use crate::feed::{BadCursor, Cursor, Lost};
use crate::record::invalid::Invalid;
use crate::replica::Refused;

/// The code of an answer that is neither yes nor no.
pub(super) const OUTCOME_UNKNOWN: &str = "outcome_unknown";

/// What a client is told when it does not get what it wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// 5xx: not the client's fault.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub error: String,
    /// Where to follow the feed from instead.
    pub cursor: Option<Cursor>,
}

impl ApiError {
    /// A refusal.
    pub fn new(status: StatusCode, code: &'static str, error: impl Into<String>) -> Self {
        Self {
            status,
            code,
            error: error.into(),
            cursor: None,
        }
    }

    /// 400.
    pub fn bad_request(code: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, error)
    }

    /// 404 for a path nothing lives at.
    pub fn no_such_route(method: &Method, path: &str) -> Self {
        let error = format!("there is no {method} {path}: GET /openapi.json lists every route");
        Self::new(StatusCode::NOT_FOUND, "no_such_route", error)
    }

    /// 405 for a path something else lives at.
    pub fn method_not_allowed(method: &Method, path: &str) -> Self {
        let error = format!("{path} does not take {method}: the Allow header lists what it takes");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", error)
    }

    /// 503 while the store is being read.
    pub fn loading(entries: u64) -> Self {
        let error = format!(
            "nothing was done: this node has just started and is reading its store ({entries} \
             entries so far); ask again in a moment"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "loading", error)
    }

    /// 413.
    pub fn body_too_large(bytes_max: usize) -> Self {
        let error = format!(
            "the body is larger than {bytes_max} bytes: send less at once (POST /nodes/bulk takes \
             more, one record per line)"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", error)
    }

    /// 415.
    pub fn wrong_content_type(wanted: &str, got: Option<&str>) -> Self {
        let got = got.unwrap_or("nothing");
        let error = format!("the Content-Type is {got}: send \"Content-Type: {wanted}\"");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, "wrong_content_type", error)
    }
}

#[derive(Serialize)]
struct Shape<'a> {
    success: bool,
    error: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let shape = Shape {
            success: false,
            error: &self.error,
            code: self.code,
            cursor: self.cursor.map(|cursor| cursor.to_string()),
        };
        let mut response = answer::json(self.status, &shape);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        let status = match invalid {
            Invalid::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, invalid.code(), invalid.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let error = refused.to_string();
        match refused {
            Refused::Exists { .. } => Self::new(StatusCode::CONFLICT, "exists", error),
            Refused::Missing { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", error),
            Refused::Invalid(invalid) => invalid.into(),
            Refused::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error),
            Refused::Stalled(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stalled", error),
            Refused::Unsure(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, OUTCOME_UNKNOWN, error)
            }
            Refused::Unwritable(_) => Self::bad_request("unwritable", error),
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(refused: CommandError) -> Self {
        let code = match refused {
            CommandError::Full => "busy",
            CommandError::Stopped => "stopping",
        };
        let error = format!("nothing was done: {refused}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, error)
    }
}

/// The replica took the request and then went away: definitely not a definite answer.
impl From<RecvError> for ApiError {
    fn from(_: RecvError) -> Self {
        let error = "the node stopped before it could answer: a write may or may not have \
                     happened; read it back when the node is up again";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, OUTCOME_UNKNOWN, error)
    }
}

impl From<BadCursor> for ApiError {
    fn from(bad: BadCursor) -> Self {
        Self::bad_request("invalid_cursor", bad.to_string())
    }
}

impl From<Lost> for ApiError {
    fn from(lost: Lost) -> Self {
        let error = "the changes after that cursor are not all here any more: list /nodes and \
                     /edges afresh, then follow from the cursor given here";
        Self {
            cursor: Some(lost.restart),
            ..Self::new(StatusCode::GONE, "cursor_gone", error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_a_definite_no_and_a_lost_answer_is_not() {
        let busy = ApiError::from(CommandError::Full);
        assert_eq!((busy.status.as_u16(), busy.code), (503, "busy"));
        assert!(busy.error.starts_with("nothing was done"), "{}", busy.error);
        let response = busy.into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "1");

        let (reply, answer) = tokio::sync::oneshot::channel::<()>();
        drop(reply);
        let lost = answer.blocking_recv().unwrap_err();
        let unknown = ApiError::from(lost);
        assert_eq!(
            (unknown.status.as_u16(), unknown.code),
            (500, "outcome_unknown")
        );
    }
}
