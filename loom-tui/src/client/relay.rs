//! What Loom asks a relay over HTTP: how it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::{self, Outcome};

/// Speaks to one relay's HTTP side.
#[derive(Clone, Debug)]
pub struct RelayClient {
    http: reqwest::Client,
    base: String,
    timeout: Duration,
}

/// `GET /health` of a relay. Only `status` and `peers` are LoomDB's; the rest is Loom's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayHealth {
    /// `healthy`, or what is wrong.
    pub status: String,
    /// Links open now.
    pub peers: u64,
    /// Fields of the graph it keeps, tombstones and canaries included.
    #[serde(default)]
    pub fields: Option<u64>,
}

impl RelayClient {
    /// A client for the relay at `base`, such as `http://127.0.0.1:8765`.
    pub fn new(http: reqwest::Client, base: &str) -> Self {
        Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            timeout: super::CALL_TIMEOUT,
        }
    }

    /// The same client with another limit per call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// `GET /health`.
    pub async fn health(&self) -> Outcome<RelayHealth> {
        let request = self
            .http
            .get(format!("{}/health", self.base))
            .timeout(self.timeout);
        outcome::send(request, self.timeout)
            .await
            .map(|(_, health)| health)
    }
}
