//! The task that owns the books: ledger, statistics and those who wait for something.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Clock;
use super::ledger::{Class, Intent, Ledger, Sample, Standing, WriteId};
use super::report::{Mark, Report};
use super::view::{View, Viewer};
use super::waiting::{Goal, NotQuiet, NotSeen, Showing, Waiting};
use crate::client::{Key, Stamp};
use crate::cluster::Member;
use crate::stats::{Interval, Intervals, Latencies};

/// Commands taken before waiters are looked at.
const BATCH_MAX: usize = 512;

/// Records asked for at a time because a deletion of them may never be told.
const DOUBTFUL_MAX: usize = 64;

/// The way to the books.
#[derive(Clone, Debug)]
pub(super) struct Desk(pub(super) mpsc::Sender<Command>);

impl Desk {
    /// Waits for room in the queue. The desk only ends after everybody who could tell it anything.
    pub(super) async fn tell(&self, command: Command) {
        let _ = self.0.send(command).await;
    }
}

/// What the desk can be told and asked.
#[derive(Debug)]
pub(super) enum Command {
    Intend(WriteId, Intent),
    Acked(WriteId, Stamp),
    Refused(WriteId),
    Unknown(WriteId),
    /// An observer's feed showed these, in this order.
    Shown(Member, Duration, Vec<Showing>),
    /// An observer listed everything it holds.
    Listed(Member, Duration, BTreeMap<Key, Stamp>),
    /// An observer was asked for one record and showed it; `None` when it has none. Satisfies
    /// those who wait, but is no measurement.
    Answered(Member, Key, Option<Stamp>),
    /// What observers have to be asked for, of writes made before a moment: see
    /// [`Ledger::doubtful`].
    Doubtful(Vec<Member>, Duration, oneshot::Sender<Vec<(Member, Key)>>),
    /// An observer was asked for one of those and has no such record.
    Absent(Member, Duration, Key),
    /// An observer's feed came up or went down.
    Feed(Member, FeedState),
    AwaitSeen(
        WriteId,
        Vec<Member>,
        oneshot::Sender<Result<Option<Duration>, NotSeen>>,
    ),
    AwaitShown(Goal, Vec<Member>, oneshot::Sender<()>),
    WhoHasNotShown(Goal, Vec<Member>, oneshot::Sender<Vec<Member>>),
    AwaitQuiet(Vec<Member>, oneshot::Sender<()>),
    WhyNotQuiet(Vec<Member>, oneshot::Sender<Option<NotQuiet>>),
    OwedSince(Duration, [Vec<Member>; 2], oneshot::Sender<Option<String>>),
    UnderWay(oneshot::Sender<u64>),
    Standing(WriteId, oneshot::Sender<Standing>),
    Mark(oneshot::Sender<Mark>),
    Report(Box<Mark>, oneshot::Sender<Report>),
    View(oneshot::Sender<Arc<View>>),
    Intervals(Duration, oneshot::Sender<(Vec<Interval>, u64)>),
}

/// What happened to a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeedState {
    Up,
    Down,
    /// Changes may have been missed; a list will follow.
    Gap,
}

/// Totals by class, origin and observer.
pub(super) type Totals = BTreeMap<(Class, Member, Member), Latencies>;

/// Everything the desk owns.
#[derive(Debug)]
struct Books {
    ledger: Ledger,
    totals: Totals,
    intervals: Intervals,
    viewer: Viewer,
    waiting: Waiting,
    /// How often each observer's feed had a gap that a list had to fill.
    gaps: BTreeMap<Member, u64>,
    /// Samples of the command at hand.
    samples: Vec<Sample>,
}

/// Runs the desk until nobody can tell it anything any more.
pub(super) async fn run(ledger: Ledger, clock: Clock, mut queue: mpsc::Receiver<Command>) {
    let mut books = Books {
        viewer: Viewer::new(ledger.observers()),
        ledger,
        totals: Totals::new(),
        intervals: Intervals::default(),
        waiting: Waiting::default(),
        gaps: BTreeMap::new(),
        samples: Vec::new(),
    };
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let now = clock.now();
        books.intervals.roll(now);
        books.viewer.roll(now, &books.ledger);
        for command in batch.drain(..) {
            books.take(command, now);
            books.count_samples(now);
        }
        books.waiting.settle(&books.ledger);
    }
}

impl Books {
    fn take(&mut self, command: Command, now: Duration) {
        match command {
            Command::Intend(id, intent) => self.ledger.intend(id, intent),
            Command::Acked(id, stamp) => self.ledger.acked(id, stamp, &mut self.samples),
            Command::Refused(id) => self.ledger.refused(id),
            Command::Unknown(id) => self.ledger.unknown(id, &mut self.samples),
            Command::Shown(observer, at, shown) => {
                for Showing {
                    key,
                    stamp,
                    deleted,
                } in shown
                {
                    (self.ledger).shown(observer, &key, stamp, at, &mut self.samples);
                    if deleted {
                        self.waiting.absent(observer, &key);
                    } else {
                        self.waiting.present(observer, &key, stamp);
                    }
                }
            }
            Command::Listed(observer, at, records) => {
                (self.ledger).listed(observer, &records, at, &mut self.samples);
                self.waiting.listed(observer, &records);
            }
            Command::Answered(observer, key, Some(stamp)) => {
                self.waiting.present(observer, &key, stamp);
            }
            Command::Answered(observer, key, None) => self.waiting.absent(observer, &key),
            Command::Doubtful(observers, before, reply) => {
                let doubtful = self.ledger.doubtful(&observers, before, DOUBTFUL_MAX);
                let _ = reply.send(doubtful);
            }
            Command::Absent(observer, at, key) => {
                (self.ledger).absent(observer, &key, at, &mut self.samples);
                self.waiting.absent(observer, &key);
            }
            Command::Feed(observer, state) => {
                self.viewer.feed(observer, state);
                if state == FeedState::Gap {
                    *self.gaps.entry(observer).or_default() += 1;
                }
            }
            Command::AwaitSeen(id, observers, reply) => {
                self.waiting.for_write(id, observers, reply);
            }
            Command::AwaitShown(goal, observers, reply) => {
                self.waiting.for_record(&goal, observers, reply);
            }
            Command::WhoHasNotShown(goal, observers, reply) => {
                let _ = reply.send(self.waiting.missing(&goal, &observers));
            }
            Command::AwaitQuiet(observers, reply) => self.waiting.for_quiet(observers, reply),
            Command::WhyNotQuiet(observers, reply) => {
                let _ = reply.send(NotQuiet::why(&self.ledger, &observers, now));
            }
            Command::OwedSince(before, [members, waiting], reply) => {
                let owed = self.ledger.owed_since(before, &members, &waiting, now);
                let _ = reply.send(owed);
            }
            Command::UnderWay(reply) => {
                let _ = reply.send(self.ledger.user_in_flight() + self.ledger.open_len());
            }
            Command::Standing(id, reply) => {
                let _ = reply.send(self.ledger.standing(id));
            }
            Command::Mark(reply) => {
                let _ = reply.send(Mark::now(now, &self.ledger, &self.totals, &self.gaps));
            }
            Command::Report(mark, reply) => {
                let report = Report::since(&mark, now, &self.ledger, &self.totals, &self.gaps);
                let _ = reply.send(report);
            }
            Command::View(reply) => {
                let _ = reply.send(self.viewer.view(now, &self.ledger));
            }
            Command::Intervals(since, reply) => {
                let intervals = self.intervals.since(since);
                let _ = reply.send((intervals, self.intervals.dropped()));
            }
        }
    }

    fn count_samples(&mut self, now: Duration) {
        for sample in self.samples.drain(..) {
            let Some(latency) = sample.latency else {
                continue;
            };
            let Sample {
                class,
                origin,
                observer,
                ..
            } = sample;
            (self.totals.entry((class, origin, observer)).or_default()).record(latency);
            self.intervals.record(origin, observer, latency);
            self.viewer.sample(origin, observer, now, latency);
        }
    }
}
