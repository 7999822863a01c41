//! Many records in one request: a line of JSON each, read as they come, never held whole.

use std::collections::VecDeque;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::Serialize;

use super::answer;
use super::app::App;
use super::body;
use super::error::{ApiError, OUTCOME_UNKNOWN};
use super::params::Params;
use super::records::only_if_absent;
use crate::limits::{BULK_BYTES_MAX, BULK_LINE_BYTES_MAX};
use crate::record::Table;
use crate::record::draft::Draft;
use crate::replica::{Command, Outcome, Wish, Written};

/// Lines handed to the replica at once: enough to share an fsync, few enough that a single
/// writer's request waits no longer than a millisecond or two behind them.
const BATCH_LINES: usize = 256;

/// Bytes of lines handed to the replica at once.
const BATCH_BYTES: usize = 1 << 20;

/// Refusals told one by one; further ones are only counted.
const ERRORS_MAX: usize = 1000;

/// `POST /nodes/bulk`, `POST /edges/bulk`: 200 and a summary when every line was tried, whatever
/// became of each; another status when the request broke off, with the summary of what came before.
pub(super) async fn post(
    table: Table,
    State(app): State<App>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let if_absent = only_if_absent(params, &parts.headers)?;
    body::check_content_type(&parts.headers, "application/x-ndjson", |kind| {
        matches!(
            kind,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl"
        )
    })?;

    let mut load = Load {
        table,
        if_absent,
        app,
        batch: Vec::new(),
        batch_bytes: 0,
        summary: Summary::default(),
    };
    let mut chunks = body.into_data_stream();
    let mut held = BytesMut::new();
    let mut seen_bytes = 0;
    let mut line = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(why) => return load.broken_off(body::broken(&why)).await,
        };
        seen_bytes += chunk.len();
        if seen_bytes > BULK_BYTES_MAX {
            body::drain(&mut chunks, seen_bytes).await;
            return load
                .broken_off(ApiError::body_too_large(BULK_BYTES_MAX))
                .await;
        }
        // Only the new bytes can hold the end of a line.
        let mut searched = held.len();
        held.extend_from_slice(&chunk);
        while let Some(end) = held[searched..].iter().position(|byte| *byte == b'\n') {
            line += 1;
            let text = held.split_to(searched + end + 1);
            searched = 0;
            if let Err(error) = load.line(line, &text).await {
                return load.broken_off(error).await;
            }
        }
        if held.len() > BULK_LINE_BYTES_MAX {
            body::drain(&mut chunks, seen_bytes).await;
            let error = format!(
                "line {} is longer than {BULK_LINE_BYTES_MAX} bytes: end each record with a newline",
                line + 1
            );
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return load
                .broken_off(ApiError::new(status, "line_too_long", error))
                .await;
        }
    }
    if let Err(error) = load.line(line + 1, &held).await {
        return load.broken_off(error).await;
    }
    load.finish().await
}

/// A bulk request on its way in.
struct Load {
    table: Table,
    if_absent: bool,
    app: App,
    batch: Vec<(u64, Wish)>,
    batch_bytes: usize,
    summary: Summary,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    created: u64,
    replaced: u64,
    failed: u64,
    /// Lines that may or may not be kept.
    unknown: u64,
    /// The first [`ERRORS_MAX`], in the order of their lines.
    errors: VecDeque<LineError>,
}

#[derive(Debug, Serialize)]
struct LineError {
    line: u64,
    error: String,
    code: &'static str,
}

#[derive(Serialize)]
struct Shape<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(flatten)]
    summary: &'a Summary,
}

impl Load {
    async fn line(&mut self, line: u64, text: &[u8]) -> Result<(), ApiError> {
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let draft = body::parse(text)
            .and_then(|json| Draft::read(self.table, None, json).map_err(ApiError::from));
        match draft {
            Ok(draft) => {
                let if_absent = self.if_absent;
                self.batch.push((line, Wish::Put { draft, if_absent }));
                self.batch_bytes += text.len();
            }
            Err(why) => self.summary.refused(line, why),
        }
        if self.batch.len() >= BATCH_LINES || self.batch_bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ApiError> {
        self.batch_bytes = 0;
        let (lines, wishes): (Vec<_>, Vec<_>) = self.batch.drain(..).unzip();
        if wishes.is_empty() {
            return Ok(());
        }
        let asked = self
            .app
            .ask_patiently(|reply| Command::WriteMany(wishes, reply));
        let outcomes = asked.await.inspect_err(|why| {
            // Else none of them has reached the replica.
            if why.code == OUTCOME_UNKNOWN {
                self.summary.unknown += lines.len() as u64;
            }
        })?;
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            self.summary.count(line, outcome);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Response, ApiError> {
        if let Err(error) = self.flush().await {
            return Ok(self.summary.answer(Some(&error)));
        }
        if self.summary.lines() == 0 {
            let error = "the body has no lines: send one JSON object per line";
            return Err(ApiError::bad_request("bad_json", error));
        }
        Ok(self.summary.answer(None))
    }

    /// The rest of the request is lost; what came before it is not.
    async fn broken_off(mut self, error: ApiError) -> Result<Response, ApiError> {
        let error = match self.flush().await {
            Ok(()) => error,
            Err(worse) => worse,
        };
        Ok(self.summary.answer(Some(&error)))
    }
}

impl Summary {
    fn count(&mut self, line: u64, outcome: Outcome) {
        match outcome {
            Ok(Written::Created(_)) => self.created += 1,
            Ok(Written::Replaced(_) | Written::Deleted { .. }) => self.replaced += 1,
            Err(refused) => self.refused(line, refused.into()),
        }
    }

    fn lines(&self) -> u64 {
        self.created + self.replaced + self.failed + self.unknown
    }

    fn refused(&mut self, line: u64, why: ApiError) {
        match why.code {
            OUTCOME_UNKNOWN => self.unknown += 1,
            _ => self.failed += 1,
        }
        // Refusals of the replica come back after those of the parser for later lines.
        let place = self.errors.partition_point(|error| error.line < line);
        let ApiError { error, code, .. } = why;
        self.errors.insert(place, LineError { line, error, code });
        self.errors.truncate(ERRORS_MAX);
    }

    /// What a request is told that broke off: a refusal of the last lines must not say that nothing
    /// was done when something was.
    fn told(&self, why: &ApiError) -> ApiError {
        let (kept, unknown) = (self.created + self.replaced, self.unknown);
        if why.status != StatusCode::SERVICE_UNAVAILABLE || kept + unknown == 0 {
            return why.clone();
        }
        let error = format!(
            "the node could not go on after {kept} lines were written, {} refused and {unknown} of \
             which it is unknown ({}): the lines after them were not tried; send them again later",
            self.failed, why.code
        );
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "broken_off", error)
    }

    fn answer(&self, broken_off: Option<&ApiError>) -> Response {
        let broken_off = broken_off.map(|why| self.told(why));
        let broken_off = broken_off.as_ref();
        let shape = Shape {
            success: broken_off.is_none() && self.failed + self.unknown == 0,
            error: broken_off.map(|why| why.error.as_str()),
            code: broken_off.map(|why| why.code),
            summary: self,
        };
        answer::json(broken_off.map_or(StatusCode::OK, |why| why.status), &shape)
    }
}

#[cfg(test)]
mod tests {
    use loom_relay::driver::CommandError;

    use super::*;
    use crate::replica::Refused;

    #[test]
    fn a_line_of_unknown_outcome_is_not_counted_as_refused() {
        let mut summary = Summary::default();
        summary.count(2, Err(Refused::Unsure("disk full".into())));
        summary.count(3, Err(Refused::Stalled("disk full".into())));
        assert_eq!((summary.failed, summary.unknown), (1, 1));
        let told: Vec<_> = summary.errors.iter().map(|it| (it.line, it.code)).collect();
        assert_eq!(told, [(2, "outcome_unknown"), (3, "stalled")]);
        assert_eq!(summary.answer(None).status(), 200);
    }

    #[test]
    fn a_load_that_the_node_breaks_off_says_that_nothing_was_done_only_if_that_is_so() {
        let stopped = ApiError::from(CommandError::Stopped);
        let mut summary = Summary::default();
        assert_eq!(summary.told(&stopped), stopped);
        summary.failed = 3;
        assert_eq!(summary.told(&stopped), stopped);
        summary.created = 5_000;
        let told = summary.told(&stopped);
        assert_eq!((told.status.as_u16(), told.code), (500, "broken_off"));
        assert!(
            told.error
                .contains("after 5000 lines were written, 3 refused")
        );
        assert!(!told.error.contains("nothing was done"), "{}", told.error);
        assert_eq!(summary.answer(Some(&stopped)).status(), 500);
        // What the body was broken off for is the client's to know.
        let too_large = ApiError::body_too_large(BULK_BYTES_MAX);
        assert_eq!(summary.told(&too_large), too_large);
    }
}
