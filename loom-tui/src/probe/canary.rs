//! A small write on every node, twice a second, so that lag is live without anybody's load.
//!
//! A canary's value is `<who sings>-<n>`; `n` rises and serves as its stamp, which is thus known
//! before it is sent. Songs of other probes are not ours to time and are ignored.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::alarm;
use super::desk::{Command, Desk};
use super::ledger::{Class, Intent};
use super::{Clock, Ids};
use crate::client::{Key, NodeClient, Outcome, Stamp};
use crate::cluster::Member;

/// What the canaries of one probe are known by.
#[derive(Clone, Debug)]
pub(super) struct Voice(Arc<str>);

impl Voice {
    /// One that no other probe has.
    pub(super) fn new() -> Self {
        Self(format!("{:016x}-", rand::random::<u64>()).into())
    }

    fn value(&self, n: u32) -> String {
        format!("{}{n}", self.0)
    }

    /// The stamp of a canary's value; `None` for those of others.
    pub(super) fn stamp(&self, value: &str) -> Option<Stamp> {
        let n: u32 = value.strip_prefix(&*self.0)?.parse().ok()?;
        Some(Stamp(f64::from(n)))
    }
}

/// One node's canary.
#[derive(Debug)]
pub(super) struct Canary {
    pub(super) origin: Member,
    pub(super) client: NodeClient,
    pub(super) every: Duration,
    /// How long after the start the first note is due: canaries of several nodes take turns, so
    /// that they do not measure each other.
    pub(super) offset: Duration,
    pub(super) voice: Voice,
    pub(super) ids: Ids,
    pub(super) clock: Clock,
    pub(super) desk: Desk,
}

impl Canary {
    /// Sings until told to stop, one note at a time.
    ///
    /// Notes that became due while one was under way are sung late and timed from when they were
    /// due, so a stall shows as long as it was. After a note that was not answered the schedule
    /// starts afresh: a dead or frozen node is not a queue of overdue notes.
    pub(super) async fn sing(self, stop: CancellationToken) {
        let singing = async {
            let mut due = self.clock.now() + self.offset;
            for n in 1.. {
                alarm::until(self.clock.instant(due)).await;
                due = if self.note(n, due).await {
                    due + self.every
                } else {
                    self.clock.now().max(due) + self.every
                };
            }
        };
        tokio::select! {
            () = singing => {}
            () = stop.cancelled() => {}
        }
    }

    /// Sings one note; true if it was answered.
    async fn note(&self, n: u32, intended: Duration) -> bool {
        let value = self.voice.value(n);
        let stamp = Stamp(f64::from(n));
        let id = self.ids.next();
        let intent = Intent {
            origin: self.origin,
            key: Key::canary(&self.origin.to_string()),
            class: Class::Canary,
            delete: false,
            stamp: Some(stamp),
            intended,
        };
        self.desk.tell(Command::Intend(id, intent)).await;
        let outcome = self.client.canary(&value).await;
        let answered = outcome.is_ok();
        self.desk
            .tell(match outcome {
                Outcome::Ok(()) => Command::Acked(id, stamp),
                // A canary that cannot be sent is not a write.
                Outcome::Fail(_) => Command::Refused(id),
                Outcome::Info(_) => Command::Unknown(id),
            })
            .await;
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_canaries_have_stamps() {
        let (ours, theirs) = (Voice::new(), Voice::new());
        assert_eq!(ours.stamp(&ours.value(7)), Some(Stamp(7.0)));
        assert_eq!(ours.stamp(&theirs.value(7)), None);
        assert_eq!(ours.stamp("x"), None);
    }
}
