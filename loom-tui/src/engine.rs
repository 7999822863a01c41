//! Owns the cluster, the probe and the runs; publishes what it knows, carries out what is asked.
//!
//! [`Engine::start`] is the door. One task owns all state and never waits for the cluster: whatever
//! takes time happens in a task of its own and comes back as news.
//!
//! | Queue | Bound | Policy |
//! |---|---|---|
//! | requests | 64 | a full queue refuses the sender |
//! | requests under way | 64 | one more is refused, and the event log says so |
//! | news | 1,024 | whoever has news waits; a run's progress is dropped instead |
//! | scenarios queued | 64 | one more is refused, and the event log says so |
//! | snapshots | 1 (`watch`) | the newest wins; at most five a second, one a second when calm |

mod core;
mod health;
mod log;
mod marks;
mod requests;
mod rows;
mod runs;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

pub use self::runs::{Progress, RunEnd, ScenarioContext, ScenarioInfo, ScenarioRunner};
use crate::cluster::{ClusterBackend, RigError};
use crate::probe::{Clock, ProbeOptions};
use crate::snapshot::{Request, Snapshot};

/// Requests waiting for the engine.
const REQUESTS_CAP: usize = 64;

/// Where a cluster comes from.
#[async_trait::async_trait]
pub trait Launch: Send + Sync + fmt::Debug {
    /// `local`, `docker`, …: shown before there is a backend to ask.
    fn kind(&self) -> &'static str;

    /// Whether the cluster could run as processes of this machine where it cannot run as it should.
    fn offers_local(&self) -> bool {
        false
    }

    /// Has [`Launch::open`] make that one from now on.
    fn use_local(&self) {}

    /// Makes or finds the backend. Asked again after a failure, when a person wants to retry.
    async fn open(&self) -> Result<Arc<dyn ClusterBackend>, RigError>;

    /// Brings its members up. By default the relay, then all nodes at once.
    async fn raise(&self, backend: &Arc<dyn ClusterBackend>) -> Result<(), RigError> {
        backend.start_all().await
    }
}

/// How an engine behaves.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How the cluster is probed.
    pub probe: ProbeOptions,
    /// How often members are asked how they are.
    pub poll_every: Duration,
    /// How long they may take to answer.
    pub poll_timeout: Duration,
    /// How long a cancelled scenario may take to end by itself.
    pub cancel_within: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            probe: ProbeOptions::default(),
            poll_every: Duration::from_secs(1),
            poll_timeout: Duration::from_millis(800),
            cancel_within: Duration::from_secs(10),
        }
    }
}

/// A running engine. Dropping it ends it without shutting the cluster down; see [`Engine::stop`].
#[derive(Debug)]
pub struct Engine {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    requests: mpsc::Sender<Request>,
    stop: Option<oneshot::Sender<oneshot::Sender<Result<(), RigError>>>>,
    clock: Clock,
}

impl Engine {
    /// Starts an engine, and with it the cluster.
    pub fn start(
        launch: Arc<dyn Launch>,
        runner: Arc<dyn ScenarioRunner>,
        options: EngineOptions,
    ) -> Self {
        let clock = Clock::start();
        let (requests, requested) = mpsc::channel(REQUESTS_CAP);
        let (publish, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(core::run(core::Parts {
            launch,
            runner,
            options,
            clock,
            requested,
            publish,
            stopped,
        }));
        Self {
            snapshots,
            requests,
            stop: Some(stop),
            clock,
        }
    }

    /// What the engine knows; the newest wins. Closed when the engine has ended.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// The way in. Outcomes appear as events in the snapshot.
    pub fn requests(&self) -> mpsc::Sender<Request> {
        self.requests.clone()
    }

    /// The clock all times in snapshots are ages of.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Cancels what is running, shuts the cluster down and ends.
    ///
    /// # Errors
    ///
    /// When the cluster could not be shut down.
    pub async fn stop(mut self) -> Result<(), RigError> {
        let (reply, done) = oneshot::channel();
        let asked = self
            .stop
            .take()
            .is_some_and(|stop| stop.send(reply).is_ok());
        if !asked {
            return Ok(());
        }
        done.await.unwrap_or(Ok(()))
    }
}
