//! Carries out what a person asks for, each in a task of its own, in order per member.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::News;
use crate::cluster::{ClusterBackend, Life, Link, Member, RigError};
use crate::snapshot::Request;

/// Requests under way at once.
const UNDER_WAY_MAX: usize = 64;

/// What a request is called in the event log; `None` for those that are not about the cluster.
pub(super) fn describe(request: &Request) -> Option<String> {
    Some(match request {
        Request::Cut(member) => format!("cut {member}"),
        Request::HealLink(member) => format!("heal {member}"),
        Request::HealAll => "heal everything".to_owned(),
        Request::Kill(member) => format!("kill {member}"),
        Request::Stop(member) => format!("stop {member}"),
        Request::Restart(member) => format!("restart {member}"),
        Request::Suspend(member) => format!("suspend {member}"),
        Request::Resume(member) => format!("resume {member}"),
        Request::SetLink(member, _) => format!("degrade {member}"),
        Request::Run(_)
        | Request::CancelRun
        | Request::Retry
        | Request::UseLocal
        | Request::Follow(_) => return None,
    })
}

/// Keeps requests that touch the same member in the order they were asked for: a restart behind a
/// kill must not overtake it.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Cancelled when the newest request that touches this member is done.
    tails: BTreeMap<Member, CancellationToken>,
    under_way: usize,
}

impl Lanes {
    /// Starts a request; false when too many are under way.
    pub(super) fn start(
        &mut self,
        request: Request,
        backend: Arc<dyn ClusterBackend>,
        members: impl Iterator<Item = Member>,
        news: mpsc::Sender<News>,
    ) -> bool {
        if self.under_way >= UNDER_WAY_MAX {
            return false;
        }
        self.under_way += 1;
        let done = CancellationToken::new();
        let touched: Vec<_> = match request.member() {
            Some(member) => vec![member],
            None => members.collect(),
        };
        let before: Vec<_> = (touched.iter())
            .filter_map(|member| self.tails.insert(*member, done.clone()))
            .collect();
        tokio::spawn(async move {
            let done = done.drop_guard();
            for earlier in before {
                earlier.cancelled().await;
            }
            let result = perform(&request, &*backend).await;
            drop(done);
            let _ = news.send(News::Performed(request, result)).await;
        });
        true
    }

    /// A request came back.
    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

async fn perform(request: &Request, backend: &dyn ClusterBackend) -> Result<(), RigError> {
    match request {
        Request::Cut(member) => backend.set_link(*member, Link::cut(), None).await,
        Request::HealLink(member) => backend.set_link(*member, Link::default(), None).await,
        Request::HealAll => backend.heal().await,
        Request::Kill(member) => backend.kill(*member).await,
        Request::Stop(member) => backend.stop(*member).await,
        Request::Restart(member) => restart(*member, backend).await,
        Request::Suspend(member) => backend.suspend(*member).await,
        Request::Resume(member) => backend.resume(*member).await,
        Request::SetLink(member, link) => backend.set_link(*member, *link, None).await,
        Request::Run(_)
        | Request::CancelRun
        | Request::Retry
        | Request::UseLocal
        | Request::Follow(_) => Ok(()),
    }
}

async fn restart(member: Member, backend: &dyn ClusterBackend) -> Result<(), RigError> {
    let members = backend.members().await;
    let runs = (members.iter().find(|status| status.member == member))
        .is_some_and(|status| !matches!(status.life, Life::Stopped | Life::Dead));
    if runs {
        backend.stop(member).await?;
    }
    backend.start(member).await
}
