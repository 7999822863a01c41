//! The backend of a cluster that another process runs, asked over its control socket.
//!
//! [`AttachedCluster::connect`] is its one door. It starts nothing of its own: `shutdown` ends
//! only the faults that were made through it, as losing the connection does.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::timeout;

use super::{ClusterBackend, ClusterEvent, Link, Member, MemberStatus, RigError, Traffic};
use crate::control::wire::{Ask, Hello};
use crate::control::{Client, ConnectError};

/// How long to wait for what a controller answers from memory.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// A cluster in another process.
#[derive(Debug)]
pub struct AttachedCluster {
    client: Client,
    /// What was last seen, for when the controller does not answer.
    seen: Mutex<Vec<MemberStatus>>,
}

impl AttachedCluster {
    /// Connects to the controller that listens on `path`.
    ///
    /// # Errors
    /// [`ConnectError::Nobody`] when there is none.
    pub async fn connect(path: &Path) -> Result<Self, ConnectError> {
        let client = Client::connect(path, true).await?;
        let strange = |error: RigError| ConnectError::Strange {
            path: path.to_owned(),
            error: error.reason,
        };
        client.ask::<()>(Ask::Events).await.map_err(strange)?;
        let seen = client.ask(Ask::Members).await.map_err(strange)?;
        Ok(Self {
            client,
            seen: Mutex::new(seen),
        })
    }

    /// Who runs it.
    pub fn hello(&self) -> &Hello {
        self.client.hello()
    }

    async fn look<T: serde::de::DeserializeOwned>(&self, ask: Ask) -> Option<T> {
        timeout(LOOK_WITHIN, self.client.ask(ask)).await.ok()?.ok()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<MemberStatus>> {
        // Nothing in here can panic half way through a change.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl ClusterBackend for AttachedCluster {
    fn kind(&self) -> &'static str {
        match self.hello().kind.as_str() {
            "local" => "local",
            "docker" => "docker",
            _ => "attached",
        }
    }

    async fn members(&self) -> Vec<MemberStatus> {
        if let Some(members) = self.look::<Vec<MemberStatus>>(Ask::Members).await {
            self.seen().clone_from(&members);
        }
        self.seen().clone()
    }

    fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.client.events()
    }

    async fn log_tail(&self, member: Member, lines: usize) -> Vec<String> {
        let ask = Ask::LogTail { member, lines };
        self.look(ask).await.unwrap_or_default()
    }

    fn log_file(&self, member: Member) -> Option<PathBuf> {
        self.hello().logs.get(&member).cloned()
    }

    async fn start(&self, member: Member) -> Result<(), RigError> {
        self.client.ask(Ask::Start { member }).await
    }

    async fn stop(&self, member: Member) -> Result<(), RigError> {
        self.client.ask(Ask::Stop { member }).await
    }

    async fn kill(&self, member: Member) -> Result<(), RigError> {
        self.client.ask(Ask::Kill { member }).await
    }

    async fn suspend(&self, member: Member) -> Result<(), RigError> {
        self.client.ask(Ask::Suspend { member }).await
    }

    async fn resume(&self, member: Member) -> Result<(), RigError> {
        self.client.ask(Ask::Resume { member }).await
    }

    async fn wipe(&self, member: Member) -> Result<(), RigError> {
        self.client.ask(Ask::Wipe { member }).await
    }

    async fn set_link(
        &self,
        node: Member,
        link: Link,
        lease: Option<Duration>,
    ) -> Result<(), RigError> {
        let lease_ms = lease.map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        let ask = Ask::SetLink {
            node,
            link,
            lease_ms,
        };
        self.client.ask(ask).await
    }

    async fn set_clock(&self, node: Member, ahead_ms: i64) -> Result<(), RigError> {
        self.client.ask(Ask::SetClock { node, ahead_ms }).await
    }

    async fn traffic(&self, node: Member) -> Option<Traffic> {
        self.look::<Option<Traffic>>(Ask::Traffic { node }).await?
    }

    async fn heal(&self) -> Result<(), RigError> {
        self.client.ask(Ask::Heal).await
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        self.client.ask(Ask::EndOwnedFaults).await
    }
}
