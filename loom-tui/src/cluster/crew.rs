//! A cluster whose members are looked after here, each by a task of its own: what such backends have
//! in common. [`Crewed`] says how they differ; everything else is the same [`ClusterBackend`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::clocks::Clocks;
use super::desk::Desks;
use super::lifecycle::Wish;
use super::logs::LogBook;
use super::{ClusterBackend, ClusterEvent, Link, Member, MemberStatus, RigError, Traffic, Usage};

/// Those who look after the members, and what they share.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) desks: Desks,
    pub(super) logs: BTreeMap<Member, LogBook>,
    pub(super) clocks: Arc<Clocks>,
}

impl Crew {
    pub(super) fn new() -> Self {
        Self {
            desks: Desks::new(),
            logs: BTreeMap::new(),
            clocks: Arc::default(),
        }
    }

    /// Ends every fault.
    pub(super) async fn heal(&self) -> Result<(), RigError> {
        let healed = self.desks.heal().await;
        healed.and(self.clocks.heal(&self.desks).await)
    }
}

/// A backend with a crew.
#[async_trait::async_trait]
pub(super) trait Crewed: Send + Sync + fmt::Debug {
    fn kind(&self) -> &'static str;
    fn crew(&self) -> &Crew;
    /// What the process of a member costs now.
    fn usage(&self, status: &MemberStatus) -> Usage;
    async fn traffic(&self, node: Member) -> Option<Traffic>;
    async fn shutdown(&self) -> Result<(), RigError>;
    fn forget(&self) {}
}

#[async_trait::async_trait]
impl<T: Crewed> ClusterBackend for T {
    fn kind(&self) -> &'static str {
        Crewed::kind(self)
    }

    async fn members(&self) -> Vec<MemberStatus> {
        let crew = self.crew();
        let statuses = crew.desks.statuses().map(|mut status| {
            status.usage = self.usage(&status);
            status.clock_ms = crew.clocks.get(status.member);
            status
        });
        statuses.collect()
    }

    fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.crew().desks.events().subscribe()
    }

    async fn log_tail(&self, member: Member, lines: usize) -> Vec<String> {
        let log = self.crew().logs.get(&member);
        log.map_or_else(Vec::new, |log| log.tail(lines))
    }

    fn log_file(&self, member: Member) -> Option<PathBuf> {
        Some(self.crew().logs.get(&member)?.path().to_owned())
    }

    async fn start(&self, member: Member) -> Result<(), RigError> {
        self.crew().desks.wish(Wish::Start, member).await
    }

    async fn stop(&self, member: Member) -> Result<(), RigError> {
        self.crew().desks.wish(Wish::Stop, member).await
    }

    async fn kill(&self, member: Member) -> Result<(), RigError> {
        self.crew().desks.wish(Wish::Kill, member).await
    }

    async fn suspend(&self, member: Member) -> Result<(), RigError> {
        self.crew().desks.wish(Wish::Suspend, member).await
    }

    async fn resume(&self, member: Member) -> Result<(), RigError> {
        self.crew().desks.wish(Wish::Resume, member).await
    }

    async fn wipe(&self, member: Member) -> Result<(), RigError> {
        self.crew().desks.wish(Wish::Wipe, member).await
    }

    async fn set_link(
        &self,
        node: Member,
        link: Link,
        lease: Option<Duration>,
    ) -> Result<(), RigError> {
        self.crew().desks.set_link(node, link, lease).await
    }

    async fn set_clock(&self, node: Member, ahead_ms: i64) -> Result<(), RigError> {
        let Crew { clocks, desks, .. } = self.crew();
        clocks.change(desks, node, ahead_ms).await
    }

    async fn traffic(&self, node: Member) -> Option<Traffic> {
        Crewed::traffic(self, node).await
    }

    async fn start_all(&self) -> Result<(), RigError> {
        self.crew().desks.start_all().await
    }

    async fn heal(&self) -> Result<(), RigError> {
        self.crew().heal().await
    }

    fn forget(&self) {
        Crewed::forget(self);
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        Crewed::shutdown(self).await
    }
}
