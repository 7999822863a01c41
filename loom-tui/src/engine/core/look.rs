//! Looking: what the cluster, the probe and a followed log show, fetched in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use super::{Core, News, PUBLISH_EVERY};
use crate::cluster::{Member, MemberStatus};
use crate::probe::View;
use crate::snapshot::{LOG_LINES_MAX, MemberLog};

/// Looks asked for within this are one.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A lag above this makes the engine look five times a second instead of once.
const LIVELY_LAG: Duration = Duration::from_millis(300);

/// What there is to see at one moment.
#[derive(Debug)]
pub(in crate::engine) struct Look {
    members: Vec<MemberStatus>,
    view: Option<Arc<View>>,
    log: Option<MemberLog>,
}

impl Core {
    /// Begins to follow a member's log, or stops.
    pub(super) fn follow(&mut self, member: Option<Member>) {
        self.following = member;
        self.member_log = None;
        self.changed = true;
        self.look();
    }

    /// Asks for a look soon: a burst of events is one look.
    pub(super) fn look(&mut self) {
        let soon = (self.looked + LOOK_EVERY).max(self.clock.now());
        self.look_due = Some(self.look_due.map_or(soon, |due| due.min(soon)));
    }

    /// Looks at members and probe. The look comes back as news.
    pub(super) fn look_if_due(&mut self) {
        let now = self.clock.now();
        let Some(backend) = self.backend.clone() else {
            return;
        };
        if self.looking || self.look_due.is_none_or(|due| due > now) {
            return;
        }
        self.looking = true;
        self.looked = now;
        self.look_due = None;
        let (probe, news) = (self.probe.clone(), self.news.clone());
        let following = self.following;
        tokio::spawn(async move {
            let members = backend.members().await;
            let view = match &probe {
                Some(probe) => Some(probe.view().await),
                None => None,
            };
            let log = match following {
                Some(member) => Some(MemberLog {
                    member,
                    lines: backend.log_tail(member, LOG_LINES_MAX).await,
                    file: backend.log_file(member),
                }),
                None => None,
            };
            let _ = news.send(News::Looked(Look { members, view, log })).await;
        });
    }

    pub(super) fn on_look(&mut self, look: Look) {
        self.looking = false;
        let now = self.clock.now();
        self.marks.compare(now, &self.members, &look.members);
        self.faults.note(now, &look.members);
        self.members = look.members;
        self.view = look.view.or(self.view.take());
        // Somebody else may be followed since the look began.
        if let Some(log) = look.log.filter(|log| self.following == Some(log.member)) {
            self.member_log = Some(Arc::new(log));
        }
        self.changed = true;
        self.start_probe();
        if self.is_lively() {
            self.look_due.get_or_insert(self.looked + PUBLISH_EVERY);
        }
    }

    /// Whether figures move fast enough to be worth more than one look a second.
    fn is_lively(&self) -> bool {
        if self.following.is_some() {
            return true;
        }
        let Some(view) = &self.view else {
            return false;
        };
        let lagging = (view.observers.iter())
            .any(|observer| observer.lag.is_some_and(|lag| lag > LIVELY_LAG));
        lagging || view.in_flight > 0 || view.ops_per_s > 0.0 || self.runs.running().is_some()
    }
}
