//! Those who wait for something to be shown, and why they wait in vain.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Probe;
use super::desk::Command;
use super::ledger::{Class, Ledger, Standing, WriteId};
use crate::client::{Key, Outcome, Stamp};
use crate::cluster::Member;

/// A record in some state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Which record.
    pub key: Key,
    /// In which state.
    pub want: Want,
}

/// What is to be so of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// It is there, at this stamp or a later one. A tombstone, however late, is not it.
    Present(Stamp),
    /// It is not there. A record that is there is not gone, whatever its stamp.
    Gone,
}

/// A record as an observer's feed told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Showing {
    /// Which record.
    pub(super) key: Key,
    /// Its stamp, or its tombstone's.
    pub(super) stamp: Stamp,
    /// Whether it is a tombstone.
    pub(super) deleted: bool,
}

/// It was not seen in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSeen {
    /// These have not shown it.
    #[error("not shown by {}", names(.0))]
    Missing(Vec<Member>),
    /// It was not even acknowledged.
    #[error("not acknowledged")]
    NotAcked,
    /// It was refused, its outcome is unknown, or the ledger had no room for it.
    #[error("not followed: it was refused, nobody knows what became of it, or the ledger was full")]
    NotFollowed,
    /// The probe has stopped.
    #[error("the probe has stopped")]
    Stopped,
}

/// What kept the cluster from being quiet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotQuiet {
    /// User writes sent and not answered.
    pub in_flight: u64,
    /// Acked user writes that one of the observers has not shown.
    pub unseen: u64,
    /// Age of the oldest of them.
    pub oldest: Option<Duration>,
    /// How many each observer has not shown.
    pub behind: BTreeMap<Member, u64>,
    /// How many of those are not stamped in the observer's future.
    pub due: BTreeMap<Member, u64>,
    /// Some of their keys, oldest first.
    pub examples: Vec<Key>,
}

const EXAMPLES_MAX: usize = 10;

impl NotQuiet {
    /// `None` when it is quiet after all.
    pub(super) fn why(ledger: &Ledger, observers: &[Member], now: Duration) -> Option<Self> {
        if ledger.is_quiet(observers) {
            return None;
        }
        let mut why = Self {
            in_flight: ledger.user_in_flight(),
            ..Self::default()
        };
        for mut unseen in ledger.unseen(Duration::ZERO) {
            unseen.missing.retain(|member| observers.contains(member));
            if unseen.class != Class::User || unseen.missing.is_empty() {
                continue;
            }
            for member in unseen.missing {
                if !ledger.is_early(unseen.stamp, member, now) {
                    *why.due.entry(member).or_default() += 1;
                }
                *why.behind.entry(member).or_default() += 1;
            }
            why.unseen += 1;
            // The first is the oldest.
            why.oldest = why.oldest.or(Some(now.saturating_sub(unseen.intended)));
            if why.examples.len() < EXAMPLES_MAX {
                why.examples.push(unseen.key);
            }
        }
        Some(why)
    }
}

impl fmt::Display for NotQuiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.in_flight > 0 {
            parts.push(format!("{} writes not answered", self.in_flight));
        }
        if let Some(oldest) = self.oldest {
            let count = self.unseen;
            parts.push(format!(
                "{count} acknowledged writes not shown everywhere, the oldest for {oldest:.1?}"
            ));
        }
        for (member, behind) in &self.behind {
            parts.push(format!("{member} is behind by {behind}"));
        }
        if !self.examples.is_empty() {
            let keys: Vec<_> = self.examples.iter().map(Key::to_string).collect();
            parts.push(format!("such as {}", keys.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

impl std::error::Error for NotQuiet {}

fn names(members: &[Member]) -> String {
    let names: Vec<_> = members.iter().map(Member::to_string).collect();
    names.join(", ")
}

/// Asks every observer once and listens meanwhile: the feed does not repeat what it told before.
pub(super) async fn await_shown(
    probe: &Probe,
    goal: &Goal,
    observers: Vec<Member>,
    within: Duration,
) -> Result<(), NotSeen> {
    let desk = &probe.shared.desk;
    let (reply, shown) = oneshot::channel();
    desk.tell(Command::AwaitShown(goal.clone(), observers.clone(), reply))
        .await;
    let ask = async {
        let questions = observers.iter().filter_map(|member| {
            let client = probe.client(*member)?.clone().with_timeout(within);
            Some(async move {
                match client.shown(&goal.key).await {
                    Outcome::Ok(shown) => {
                        let stamp = shown.map(|shown| shown.state);
                        desk.tell(Command::Answered(*member, goal.key.clone(), stamp))
                            .await;
                    }
                    // Whoever does not answer will have to show it.
                    Outcome::Fail(_) | Outcome::Info(_) => {}
                }
            })
        });
        futures_util::future::join_all(questions).await;
        std::future::pending::<()>().await;
    };
    let answer = tokio::time::timeout(within, async {
        tokio::select! {
            answer = shown => answer,
            () = ask => unreachable!("asking ends in waiting"),
        }
    })
    .await;
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(NotSeen::Stopped),
        Err(_) => {
            let (reply, missing) = oneshot::channel();
            desk.tell(Command::WhoHasNotShown(goal.clone(), observers, reply))
                .await;
            Err(missing.await.map_or(NotSeen::Stopped, NotSeen::Missing))
        }
    }
}

/// Everyone who waits. At most one entry per waiting caller; those who left are forgotten.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    writes: Vec<(WriteId, Vec<Member>, oneshot::Sender<WriteAnswer>)>,
    records: BTreeMap<Key, Vec<RecordWaiter>>,
    quiet: Vec<(Vec<Member>, oneshot::Sender<()>)>,
}

type WriteAnswer = Result<Option<Duration>, NotSeen>;

#[derive(Debug)]
struct RecordWaiter {
    goal: Goal,
    missing: Vec<Member>,
    reply: Option<oneshot::Sender<()>>,
}

impl Waiting {
    pub(super) fn for_write(
        &mut self,
        id: WriteId,
        observers: Vec<Member>,
        reply: oneshot::Sender<WriteAnswer>,
    ) {
        self.writes.push((id, observers, reply));
    }

    pub(super) fn for_quiet(&mut self, observers: Vec<Member>, reply: oneshot::Sender<()>) {
        self.quiet.push((observers, reply));
    }

    pub(super) fn for_record(
        &mut self,
        goal: &Goal,
        observers: Vec<Member>,
        reply: oneshot::Sender<()>,
    ) {
        let waiters = self.records.entry(goal.key.clone()).or_default();
        waiters.retain(RecordWaiter::is_waiting);
        waiters.push(RecordWaiter {
            goal: goal.clone(),
            missing: observers,
            reply: Some(reply),
        });
        self.answer(&goal.key);
    }

    /// An observer shows the record with this stamp.
    pub(super) fn present(&mut self, observer: Member, key: &Key, stamp: Stamp) {
        let enough = |want| matches!(want, Want::Present(least) if least <= stamp);
        self.on(observer, key, enough);
    }

    /// An observer does not have the record, or not any more.
    pub(super) fn absent(&mut self, observer: Member, key: &Key) {
        self.on(observer, key, |want| want == Want::Gone);
    }

    pub(super) fn listed(&mut self, observer: Member, records: &BTreeMap<Key, Stamp>) {
        let keys: Vec<_> = self.records.keys().cloned().collect();
        for key in keys {
            match records.get(&key) {
                Some(stamp) => self.present(observer, &key, *stamp),
                None => self.absent(observer, &key),
            }
        }
    }

    /// Who has not shown this to the one who waits for it.
    pub(super) fn missing(&self, goal: &Goal, observers: &[Member]) -> Vec<Member> {
        (self.records.get(&goal.key))
            .and_then(|waiters| waiters.iter().rev().find(|waiter| waiter.goal == *goal))
            .map_or_else(|| observers.to_vec(), |waiter| waiter.missing.clone())
    }

    /// Answers whoever waits for writes or quiet and has it now.
    pub(super) fn settle(&mut self, ledger: &Ledger) {
        let waiting = std::mem::take(&mut self.writes);
        for (id, observers, reply) in waiting {
            let answer = match ledger.standing(id) {
                Standing::InFlight => None,
                Standing::Missing(missing) => {
                    (!missing.iter().any(|m| observers.contains(m))).then_some(Ok(None))
                }
                Standing::Seen(worst) => Some(Ok(worst)),
                Standing::NotFollowed => Some(Err(NotSeen::NotFollowed)),
            };
            match answer {
                Some(answer) => {
                    let _ = reply.send(answer);
                }
                None if !reply.is_closed() => self.writes.push((id, observers, reply)),
                None => {}
            }
        }
        let waiting = std::mem::take(&mut self.quiet);
        for (observers, reply) in waiting {
            if ledger.is_quiet(&observers) {
                let _ = reply.send(());
            } else if !reply.is_closed() {
                self.quiet.push((observers, reply));
            }
        }
    }

    fn on(&mut self, observer: Member, key: &Key, enough: impl Fn(Want) -> bool) {
        let Some(waiters) = self.records.get_mut(key) else {
            return;
        };
        for waiter in waiters.iter_mut().filter(|waiter| enough(waiter.goal.want)) {
            waiter.missing.retain(|missing| *missing != observer);
        }
        self.answer(key);
    }

    fn answer(&mut self, key: &Key) {
        let Some(waiters) = self.records.get_mut(key) else {
            return;
        };
        for waiter in waiters
            .iter_mut()
            .filter(|waiter| waiter.missing.is_empty())
        {
            if let Some(reply) = waiter.reply.take() {
                let _ = reply.send(());
            }
        }
        waiters.retain(|waiter| waiter.reply.is_some());
        if waiters.is_empty() {
            self.records.remove(key);
        }
    }
}

impl RecordWaiter {
    fn is_waiting(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N1: Member = Member::Node(1);

    /// Somebody waits until node-1 has the record `a` as wanted.
    fn waiting(want: Want) -> (Waiting, oneshot::Receiver<()>) {
        let (reply, seen) = oneshot::channel();
        let goal = Goal {
            key: Key::vertex("a"),
            want,
        };
        let mut waiting = Waiting::default();
        waiting.for_record(&goal, vec![N1], reply);
        (waiting, seen)
    }

    #[test]
    fn a_tombstone_is_not_a_record_that_is_visible() {
        let (mut waiting, mut seen) = waiting(Want::Present(Stamp(5.0)));
        let key = Key::vertex("a");
        waiting.absent(N1, &key);
        waiting.present(N1, &key, Stamp(4.0));
        assert!(seen.try_recv().is_err());
        waiting.present(N1, &key, Stamp(6.0));
        assert_eq!(seen.try_recv(), Ok(()));
    }

    #[test]
    fn a_record_that_is_there_is_not_gone_whatever_its_stamp() {
        let (mut waiting, mut seen) = waiting(Want::Gone);
        let key = Key::vertex("a");
        waiting.present(N1, &key, Stamp(f64::INFINITY));
        assert!(seen.try_recv().is_err());
        waiting.absent(N1, &key);
        assert_eq!(seen.try_recv(), Ok(()));
    }
}
