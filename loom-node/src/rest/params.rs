//! Query parameters and ids in paths. A parameter nobody knows is refused: `?tpye=task` must not
//! answer with everything.

use std::str::FromStr;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;

use super::error::ApiError;

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(params) = query.map_err(|why| {
            ApiError::bad_request("bad_query", format!("the query is malformed: {why}"))
        })?;
        Ok(Self(params))
    }
}

impl Params {
    /// Takes one parameter out; given but empty is as good as not given.
    ///
    /// # Errors
    ///
    /// When it is given twice.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut given = self.0.extract_if(.., |(given, _)| given == name);
        let value = given.next().map(|(_, value)| value);
        if given.next().is_some() {
            let error = format!("the parameter {name} is given twice: give it once");
            return Err(ApiError::bad_request("repeated_parameter", error));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// Takes out a parameter of some type; `wanted` says what it must be.
    ///
    /// # Errors
    ///
    /// When it is given twice, or is not `wanted`.
    pub(super) fn take_parsed<T: FromStr>(
        &mut self,
        name: &str,
        wanted: &str,
        accept: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let parsed = text.parse().ok().filter(accept);
        parsed.map(Some).ok_or_else(|| {
            let text: String = text.chars().take(64).collect();
            let error = format!("{name} is {text:?}: it must be {wanted}");
            ApiError::bad_request("invalid_parameter", error)
        })
    }

    /// Takes out a switch.
    ///
    /// # Errors
    ///
    /// When it is given twice, or is neither `true` nor `false`.
    pub(super) fn take_switch(&mut self, name: &str) -> Result<bool, ApiError> {
        let switch = self.take_parsed(name, "true or false", |_| true)?;
        Ok(switch.unwrap_or(false))
    }

    /// Call when all known parameters were taken.
    ///
    /// # Errors
    ///
    /// Names the first one left.
    pub(super) fn none_left(self, known: &str) -> Result<(), ApiError> {
        let Some((name, _)) = self.0.into_iter().next() else {
            return Ok(());
        };
        let name: String = name.chars().take(64).collect();
        let error = format!("there is no parameter {name:?} here: known are {known}");
        Err(ApiError::bad_request("unknown_parameter", error))
    }
}

/// The id in a path such as `/nodes/{id}`, percent-decoded.
#[derive(Debug)]
pub(super) struct RecordId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for RecordId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // The route `/nodes/bulk` hides this one id from `/nodes/{id}`.
        if parts.uri.path().split('/').nth(2) == Some("bulk") {
            return Ok(Self("bulk".to_owned()));
        }
        let id = Path::from_request_parts(parts, state).await;
        let Path(id) = id.map_err(|why: PathRejection| {
            let error =
                format!("the id in the path is malformed: {why}; percent-encode it as UTF-8");
            ApiError::bad_request("bad_path", error)
        })?;
        Ok(Self(id))
    }
}
