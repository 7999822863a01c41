//! How Loom speaks to a node over HTTP, and how it tells "no" from "no answer".
//!
//! [`NodeClient`] is the door. Its wire structs ([`wire`]) are its own: the tester shares no types
//! with the tested, and `tests/client_contract.rs` keeps the two in step. [`feed::Feed`] follows a
//! node's change feed without silent gaps.

pub mod feed;
pub mod json;
pub mod metrics;
pub mod outcome;
pub mod relay;
mod reply;
pub mod shown;
pub mod sse;
pub mod wire;
mod write;

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::json::Json;
pub use self::outcome::{Outcome, Refusal};
pub use self::relay::RelayClient;
use self::reply::{EdgeReply, HistoryReply, Listed, Plain, VertexReply, WriteReply};
pub use self::shown::Shown;
pub use self::wire::{
    BulkReport, Change, ChangeRecord, Digest, Edge, EdgeFilter, Health, Key, Kind, NewEdge,
    NewVertex, Page, Stamp, StatsReply, Stored, Vertex, VertexFilter, Written,
};
pub use self::write::WriteOp;

/// How long a call may take unless told otherwise.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Records asked for per page when a list is read to its end.
pub const PAGE_LIMIT: u32 = 1_000;
/// Pages read before a list is given up: a server whose `next` never ends is broken.
const PAGES_MAX: u32 = 100_000;

/// Speaks to one node. Cheap to clone; clones share the connection pool.
#[derive(Clone, Debug)]
pub struct NodeClient {
    http: reqwest::Client,
    base: String,
    timeout: Duration,
}

/// The connection pool all clients of one process may share.
///
/// # Errors
///
/// When the HTTP stack cannot be set up at all, such as without entropy.
pub fn http() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        // Members are addressed directly; a desktop's proxy settings must not come between.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // A retried write would be two writes, and the history would show one.
        .retry(reqwest::retry::never())
        .tcp_nodelay(true)
        .pool_max_idle_per_host(256)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
}

impl NodeClient {
    /// A client for the node at `base`, such as `http://127.0.0.1:3001`.
    pub fn new(http: reqwest::Client, base: &str) -> Self {
        Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            timeout: CALL_TIMEOUT,
        }
    }

    /// The same client with another limit per call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where the node answers.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Carries out one write. A definite answer carries the stamp the write was given.
    pub async fn write(&self, op: &WriteOp) -> Outcome<Written> {
        let (method, path) = op.route();
        let request = self.request(method, &path);
        let request = match op.body() {
            Some(body) => request
                .body(body)
                .header("content-type", "application/json"),
            None => request,
        };
        self.send::<WriteReply>(request)
            .await
            .and_then(|(status, reply)| reply.into_written(status))
    }

    /// `GET /nodes/{id}`; a vertex that is not there is a refusal with status 404.
    pub async fn vertex(&self, id: &str) -> Outcome<Stored<Vertex>> {
        self.get::<VertexReply>(&format!("/nodes/{}", segment(id)))
            .await
            .map(Into::into)
    }

    /// `GET /edges/{id}`; an edge that is not there is a refusal with status 404.
    pub async fn edge(&self, id: &str) -> Outcome<Stored<Edge>> {
        self.get::<EdgeReply>(&format!("/edges/{}", segment(id)))
            .await
            .map(Into::into)
    }

    /// Every vertex that matches, all pages of it.
    pub async fn vertices(&self, filter: &VertexFilter) -> Outcome<Vec<Stored<Vertex>>> {
        self.all_pages(|cursor| self.vertices_page(filter, Some(PAGE_LIMIT), cursor))
            .await
    }

    /// Every edge that matches, all pages of it.
    pub async fn edges(&self, filter: &EdgeFilter) -> Outcome<Vec<Stored<Edge>>> {
        self.all_pages(|cursor| self.edges_page(filter, Some(PAGE_LIMIT), cursor))
            .await
    }

    /// One page of `GET /nodes`; without `limit` the node decides.
    pub async fn vertices_page(
        &self,
        filter: &VertexFilter,
        limit: Option<u32>,
        cursor: Option<String>,
    ) -> Outcome<Page<Stored<Vertex>>> {
        let request = self
            .request(Method::GET, "/nodes")
            .query(filter)
            .query(&Paging { limit, cursor });
        self.send::<Listed<Vertex>>(request)
            .await
            .map(|(_, listed)| listed.into())
    }

    /// One page of `GET /edges`; without `limit` the node decides.
    pub async fn edges_page(
        &self,
        filter: &EdgeFilter,
        limit: Option<u32>,
        cursor: Option<String>,
    ) -> Outcome<Page<Stored<Edge>>> {
        let request = self
            .request(Method::GET, "/edges")
            .query(filter)
            .query(&Paging { limit, cursor });
        self.send::<Listed<Edge>>(request)
            .await
            .map(|(_, listed)| listed.into())
    }

    /// Edges that begin or end at a vertex, all pages of them.
    pub async fn edges_of(&self, id: &str) -> Outcome<Vec<Stored<Edge>>> {
        let path = format!("/nodes/{}/edges", segment(id));
        self.all_pages(|cursor| {
            let limit = Some(PAGE_LIMIT);
            let request = self
                .request(Method::GET, &path)
                .query(&Paging { limit, cursor });
            async move {
                self.send::<Listed<Edge>>(request)
                    .await
                    .map(|(_, listed)| listed.into())
            }
        })
        .await
    }

    /// `GET /digest`: the hash two equal replicas share.
    pub async fn digest(&self) -> Outcome<Digest> {
        self.get("/digest").await
    }

    /// `GET /health`.
    pub async fn health(&self) -> Outcome<Health> {
        self.get("/health").await
    }

    /// `GET /stats`.
    pub async fn stats(&self) -> Outcome<StatsReply> {
        self.get("/stats").await
    }

    /// `POST /stats/reset`.
    pub async fn reset_stats(&self) -> Outcome<()> {
        self.post("/stats/reset").await
    }

    /// `GET /history`, newest records as the node keeps them, oldest first.
    pub async fn history(&self) -> Outcome<Vec<ChangeRecord>> {
        self.get::<HistoryReply>("/history")
            .await
            .map(|reply| reply.history)
    }

    /// `POST /history/clear`.
    pub async fn clear_history(&self) -> Outcome<()> {
        self.post("/history/clear").await
    }

    /// `PUT /canary`: a write that is hidden from every list and count. At most 256 bytes.
    pub async fn canary(&self, value: &str) -> Outcome<()> {
        let request = self
            .request(Method::PUT, "/canary")
            .json(&serde_json::json!({ "value": value }));
        self.send::<Plain>(request).await.map(|_| ())
    }

    /// `POST /shutdown`: a clean exit.
    pub async fn shutdown(&self) -> Outcome<()> {
        self.post("/shutdown").await
    }

    /// `POST /nodes/bulk`: one vertex a line. A refusal half way through leaves what came before
    /// it, so only a refused connection counts as one.
    pub async fn bulk_vertices(&self, vertices: &[NewVertex]) -> Outcome<BulkReport> {
        self.bulk("/nodes/bulk", vertices).await
    }

    /// `POST /edges/bulk`: one edge a line. See [`NodeClient::bulk_vertices`].
    pub async fn bulk_edges(&self, edges: &[NewEdge]) -> Outcome<BulkReport> {
        self.bulk("/edges/bulk", edges).await
    }

    async fn bulk<T: Serialize>(&self, path: &str, records: &[T]) -> Outcome<BulkReport> {
        let mut lines = String::new();
        for record in records {
            lines.push_str(&serde_json::to_string(record).expect("maps with text keys are JSON"));
            lines.push('\n');
        }
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-ndjson")
            .body(lines);
        match self.send(request).await {
            Outcome::Ok((_, report)) => Outcome::Ok(report),
            Outcome::Fail(refusal) if refusal.status.is_some() => {
                Outcome::Info(format!("broken off half way: {refusal}"))
            }
            Outcome::Fail(refusal) => Outcome::Fail(refusal),
            Outcome::Info(why) => Outcome::Info(why),
        }
    }

    /// A request without the per-call limit, for streams.
    pub(crate) fn stream_request(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .timeout(self.timeout)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.send(self.request(Method::GET, path))
            .await
            .map(|(_, reply)| reply)
    }

    async fn post(&self, path: &str) -> Outcome<()> {
        self.send::<Plain>(self.request(Method::POST, path))
            .await
            .map(|_| ())
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Outcome<(u16, T)> {
        outcome::send(request, self.timeout).await
    }

    async fn all_pages<T, F>(&self, mut page: impl FnMut(Option<String>) -> F) -> Outcome<Vec<T>>
    where
        F: Future<Output = Outcome<Page<T>>>,
    {
        let mut all = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            match page(cursor.clone()).await {
                Outcome::Ok(page) => {
                    all.extend(page.items);
                    match page.next {
                        // The same cursor again would be an endless loop, not a list.
                        Some(next) if Some(&next) != cursor.as_ref() => cursor = Some(next),
                        Some(next) => {
                            return Outcome::Info(format!("cursor {next:?} leads back to itself"));
                        }
                        None => return Outcome::Ok(all),
                    }
                }
                Outcome::Fail(refusal) => return Outcome::Fail(refusal),
                Outcome::Info(why) => return Outcome::Info(why),
            }
        }
        Outcome::Info(format!("no end after {PAGES_MAX} pages"))
    }
}

#[derive(Serialize)]
struct Paging {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// An id as one segment of a path: everything that has a meaning in a URL is escaped.
pub(crate) fn segment(id: &str) -> String {
    let mut escaped = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            // `.` too: a segment `.` or `..` would be resolved away before it is sent.
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn ids_stay_one_path_segment() {
        assert_eq!(segment("a-b_c~1"), "a-b_c~1");
        assert_eq!(segment("../x?y#z/ü"), "%2E%2E%2Fx%3Fy%23z%2F%C3%BC");
    }
}
