//! What every handler is given.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use loom_relay::driver::{Hub, LinkView, Skew};
use loom_relay::machine::Side;
use loom_relay::metrics::Counter;
use loom_relay::startup::Startup;
use loom_relay::store::Durability;
use tokio::sync::{oneshot, watch};

use super::error::ApiError;
use crate::feed::Follow;
use crate::replica::{Command, Reply};

/// Shared by all handlers; cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

/// What an [`App`] is made of.
#[derive(Debug)]
pub struct AppConfig {
    /// The way to the replica.
    pub hub: Hub<Command>,
    /// How far the node is with starting; the change feed once it has.
    pub startup: Arc<Startup<Follow>>,
    /// This node's name.
    pub node_id: Arc<str>,
    /// Links it tries to keep.
    pub peers: Vec<String>,
    /// A link silent for longer is not connected, whatever its socket says.
    pub ping_timeout: Duration,
    /// What an acknowledged write survives; without a store, nothing.
    pub durability: Durability,
    /// How wrong the clock is, where clients may set it.
    pub faults: Option<Skew>,
    /// Becomes true when the node is to stop.
    pub stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct Inner {
    config: AppConfig,
    answers: [Counter; 5],
}

impl App {
    /// For [`super::router`].
    pub fn new(config: AppConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            answers: Default::default(),
        }))
    }

    pub(super) fn config(&self) -> &AppConfig {
        &self.0.config
    }

    /// How many entries of the store have been read, until all have.
    pub(super) fn loading(&self) -> Option<u64> {
        let startup = &self.0.config.startup;
        startup.started().is_none().then(|| startup.entries())
    }

    /// The change feed.
    pub(super) fn follow(&self) -> Result<&Follow, ApiError> {
        let startup = &self.0.config.startup;
        let follow = startup.started();
        follow.ok_or_else(|| ApiError::loading(startup.entries()))
    }

    /// Asks the replica if it has room; a request that has to queue is better refused.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.0.config.hub.try_command(command(reply))?;
        Ok(answer.await?)
    }

    /// Asks the replica, waiting for room: for those who send much and can be slowed down.
    pub(super) async fn ask_patiently<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.0.config.hub.command(command(reply)).await?;
        Ok(answer.await?)
    }

    /// The links to relays that were heard from lately.
    pub(super) async fn live_links(&self) -> Vec<LinkView> {
        let mut links = self.0.config.hub.links().await;
        links
            .retain(|link| link.side == Side::Dialled && link.silent <= self.0.config.ping_timeout);
        links
    }

    /// Begins to stop the node.
    pub(super) fn stop(&self) {
        self.0.config.stop.send_replace(true);
    }

    /// Resolves when the node is to stop.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.0.config.stop.subscribe();
        async move {
            // An error means that the node is gone already.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Counts an answer by the first digit of its status.
    pub(super) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5);
        self.0.answers[class - 1].up();
    }

    /// Answers so far, from 1xx to 5xx.
    pub(super) fn answers(&self) -> [u64; 5] {
        self.0.answers.each_ref().map(Counter::get)
    }
}
