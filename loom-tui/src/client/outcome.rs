//! What became of a call: it happened, it did not, or nobody knows. Jepsen's three classes.

use std::fmt;
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It did happen.
    Ok(T),
    /// It definitely did not happen.
    Fail(Refusal),
    /// It may or may not have happened, and may yet: why nobody knows.
    Info(String),
}

/// A definite "no".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// HTTP status; `None` when the connection was refused before anything was sent.
    pub status: Option<u16>,
    /// The reason given.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status} {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// The call did not end in a definite yes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOk {
    /// See [`Outcome::Fail`].
    #[error("refused: {0}")]
    Refused(Refusal),
    /// See [`Outcome::Info`].
    #[error("no answer: {0}")]
    Unknown(String),
}

impl<T> Outcome<T> {
    /// Turns the value of a call that happened into another.
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Ok(value) => Outcome::Ok(with(value)),
            Self::Fail(refusal) => Outcome::Fail(refusal),
            Self::Info(why) => Outcome::Info(why),
        }
    }

    /// Judges the value of a call that happened once more.
    pub fn and_then<U>(self, with: impl FnOnce(T) -> Outcome<U>) -> Outcome<U> {
        match self {
            Self::Ok(value) => with(value),
            Self::Fail(refusal) => Outcome::Fail(refusal),
            Self::Info(why) => Outcome::Info(why),
        }
    }

    /// The value, if it happened.
    pub fn ok(self) -> Option<T> {
        match self {
            Self::Ok(value) => Some(value),
            Self::Fail(_) | Self::Info(_) => None,
        }
    }

    /// For readers to whom anything but a yes is an error.
    ///
    /// # Errors
    ///
    /// [`NotOk`] with the class and the reason.
    pub fn into_result(self) -> Result<T, NotOk> {
        match self {
            Self::Ok(value) => Ok(value),
            Self::Fail(refusal) => Err(NotOk::Refused(refusal)),
            Self::Info(why) => Err(NotOk::Unknown(why)),
        }
    }

    /// Whether it happened.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }
}

/// Sends one request and classifies what comes back.
pub(super) async fn send<T: DeserializeOwned>(
    request: RequestBuilder,
    timeout: Duration,
) -> Outcome<(u16, T)> {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() || error.is_builder() => {
            return Outcome::Fail(Refusal {
                status: None,
                reason: innermost(&error),
            });
        }
        Err(error) => return Outcome::Info(lost(&error, timeout)),
    };
    let status = response.status();
    match response.bytes().await {
        Ok(body) => judge(status, &body),
        // The status line arrived, and a 4xx is a "no" however its explanation got lost.
        Err(error) if status.is_client_error() => Outcome::Fail(Refusal {
            status: Some(status.as_u16()),
            reason: lost(&error, timeout),
        }),
        Err(error) => Outcome::Info(lost(&error, timeout)),
    }
}

/// LoomDB's error body.
#[derive(Deserialize)]
struct ErrorBody {
    success: bool,
    error: String,
}

fn judge<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Outcome<(u16, T)> {
    if status.is_success() {
        return match serde_json::from_slice(body) {
            Ok(reply) => Outcome::Ok((status.as_u16(), reply)),
            Err(error) => Outcome::Info(format!(
                "answered {status} with a body that makes no sense: {error}"
            )),
        };
    }
    let explained = serde_json::from_slice::<ErrorBody>(body)
        .ok()
        .filter(|body| !body.success)
        .map(|body| body.error);
    // 503 is only a promise that nothing happened when the node itself says so: a proxy in
    // between answers 503 too, after it has passed the request on.
    let definite = status.is_client_error()
        || (status == StatusCode::SERVICE_UNAVAILABLE && explained.is_some());
    let reason = explained.unwrap_or_else(|| format!("{status}, without an explanation"));
    if definite {
        Outcome::Fail(Refusal {
            status: Some(status.as_u16()),
            reason,
        })
    } else {
        Outcome::Info(reason)
    }
}

fn lost(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        format!("no answer within {timeout:?}")
    } else {
        format!("connection lost: {}", innermost(error))
    }
}

/// The cause at the bottom of an error: the layers above only repeat the URL.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, body: &str) -> &'static str {
        let status = StatusCode::from_u16(status).unwrap();
        match judge::<serde_json::Value>(status, body.as_bytes()) {
            Outcome::Ok(_) => "ok",
            Outcome::Fail(_) => "fail",
            Outcome::Info(_) => "info",
        }
    }

    #[test]
    fn only_a_definite_no_is_a_failure() {
        let no = r#"{"success":false,"error":"queue full"}"#;
        assert_eq!(class(201, "{}"), "ok");
        assert_eq!(class(200, "not json"), "info");
        assert_eq!(class(400, no), "fail");
        assert_eq!(class(404, ""), "fail");
        assert_eq!(class(503, no), "fail");
        assert_eq!(class(503, "upstream went away"), "info");
        assert_eq!(class(500, no), "info");
        assert_eq!(class(302, ""), "info");
    }
}
