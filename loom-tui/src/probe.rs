//! Measures a cluster from outside: one process, one monotonic clock.
//!
//! [`Probe`] is the door, cheap to clone. It sends writes and books them before they leave, follows
//! every node's change feed, sings a canary on every node, and keeps in its [`ledger`] what became
//! of each write and who has shown it. Latency is from the *intended* moment of sending to the
//! change event at an observer, so a late sender or a stalled node shows as latency and never as a
//! gap in the data.
//!
//! One task, the [`desk`], owns the books; everything reaches it through one bounded queue in the
//! order it was sent.

mod alarm;
mod canary;
mod desk;
mod doubt;
pub mod ledger;
pub mod load;
mod report;
mod view;
mod waiting;
mod watcher;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::desk::{Command, Desk};
pub use self::ledger::{Class, Intent, Ledger, Limits, Standing, Tally, Unseen, WriteId};
pub use self::load::{Load, LoadReport, Mix, Pace, ReadJob, Until, WriteJob, Writes};
pub use self::report::{Mark, PairReport, Report, Summary, UNSEEN_LISTED_MAX};
pub use self::view::{ObserverView, View};
pub use self::waiting::{Goal, NotQuiet, NotSeen, Want};
use crate::client::{self, EdgeFilter, NodeClient, Outcome, VertexFilter, WriteOp, Written};
use crate::cluster::Member;

/// Commands waiting for the desk; when it is full, whoever has something to book waits.
const DESK_QUEUE_CAP: usize = 4_096;
/// How often nodes are asked for what they may have told nobody, while quiet is waited for.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// The probe's clock: everything the probe and the engine time is the age of one of these.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall: SystemTime,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// How long it has been running.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Its reading at `instant`; zero before its start.
    pub fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.start)
    }

    /// The moment it read `age`.
    pub fn instant(&self, age: Duration) -> Instant {
        self.start + age
    }

    /// What the wall clock read when this started.
    pub fn wall_start(&self) -> SystemTime {
        self.wall
    }
}

/// A node to write to and to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Who.
    pub member: Member,
    /// Base URL of its HTTP side.
    pub url: String,
}

/// How to probe.
#[derive(Clone, Debug)]
pub struct ProbeOptions {
    /// How often a canary is sung on each node; `None` for silence.
    pub canary_every: Option<Duration>,
    /// How long a canary may take before its outcome is unknown.
    pub canary_timeout: Duration,
    /// How long a write may take before its outcome is unknown.
    pub write_timeout: Duration,
    /// How the feeds are followed.
    pub feed: client::feed::FeedOptions,
    /// Bounds of the ledger.
    pub limits: Limits,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            canary_every: Some(Duration::from_millis(500)),
            canary_timeout: Duration::from_secs(2),
            write_timeout: client::CALL_TIMEOUT,
            feed: client::feed::FeedOptions {
                canary: true,
                ..client::feed::FeedOptions::default()
            },
            limits: Limits::default(),
        }
    }
}

/// The probe cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Too many nodes.
    #[error("{0} nodes are more than a probe can watch; the most is {max}", max = ledger::OBSERVERS_MAX)]
    TooManyTargets(usize),
    /// The HTTP stack.
    #[error("HTTP cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
}

/// Numbers writes.
#[derive(Clone, Debug)]
struct Ids(Arc<AtomicU64>);

impl Ids {
    fn next(&self) -> WriteId {
        WriteId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Follows writes through a cluster. See the top of this file.
#[derive(Clone, Debug)]
pub struct Probe {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    members: Vec<Member>,
    http: reqwest::Client,
    clients: BTreeMap<Member, NodeClient>,
    desk: Desk,
    ids: Ids,
    /// The watchers and canaries end with the last clone.
    _stop: DropGuard,
}

/// What became of one followed write.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Names it to [`Probe::await_seen`].
    pub id: WriteId,
    /// What the node answered.
    pub outcome: Outcome<Written>,
    /// When the answer came or was given up, by the probe's clock.
    pub done: Duration,
}

impl Probe {
    /// Starts watching. Returns at once; feeds connect in the background and for ever.
    ///
    /// # Errors
    ///
    /// [`ProbeError`].
    pub fn start(
        clock: Clock,
        targets: &[Target],
        options: &ProbeOptions,
    ) -> Result<Self, ProbeError> {
        if targets.len() > ledger::OBSERVERS_MAX {
            return Err(ProbeError::TooManyTargets(targets.len()));
        }
        let http = client::http()?;
        let members: Vec<_> = targets.iter().map(|target| target.member).collect();
        let stop = CancellationToken::new();
        let (desk, desk_queue) = mpsc::channel(DESK_QUEUE_CAP);
        let ledger = Ledger::new(members.clone(), options.limits).started_at(clock.wall_start());
        tokio::spawn(desk::run(ledger, clock, desk_queue));
        let desk = Desk(desk);
        let voice = canary::Voice::new();
        let ids = Ids(Arc::new(AtomicU64::new(1)));
        let mut clients = BTreeMap::new();
        let turns = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        for (nth, target) in (0_u32..).zip(targets) {
            let client = NodeClient::new(http.clone(), &target.url);
            tokio::spawn(watcher::watch(
                target.member,
                client.clone(),
                options.feed.clone(),
                clock,
                voice.clone(),
                desk.clone(),
                stop.clone(),
            ));
            if let Some(every) = options.canary_every {
                // A canary holds the desk, not the probe, or the probe would never end.
                let canary = canary::Canary {
                    origin: target.member,
                    client: client.clone().with_timeout(options.canary_timeout),
                    every,
                    offset: every * nth / turns,
                    voice: voice.clone(),
                    ids: ids.clone(),
                    clock,
                    desk: desk.clone(),
                };
                tokio::spawn(canary.sing(stop.clone()));
            }
            clients.insert(target.member, client.with_timeout(options.write_timeout));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                clock,
                members,
                http,
                clients,
                desk,
                ids,
                _stop: stop.drop_guard(),
            }),
        })
    }

    /// The clock everything is timed by.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// The connection pool its clients share.
    pub fn http(&self) -> &reqwest::Client {
        &self.shared.http
    }

    /// Who is written to and watched.
    pub fn members(&self) -> &[Member] {
        &self.shared.members
    }

    /// The plain client of a node, for reads and for writes nobody follows.
    pub fn client(&self, member: Member) -> Option<&NodeClient> {
        self.shared.clients.get(&member)
    }

    /// Books one write, sends it, and books the answer. A create without an id gets one of ours,
    /// so that it can be followed from the start.
    ///
    /// The write is carried through even when the caller stops waiting.
    ///
    /// # Panics
    ///
    /// When `origin` is not one of [`Probe::members`].
    pub async fn write(&self, origin: Member, op: WriteOp, intended: Duration) -> Sent {
        let client = self
            .client(origin)
            .expect("origins are members of the probe")
            .clone();
        let id = self.shared.ids.next();
        let op = op.with_id(|| format!("{origin}-{:x}-{:x}", rand::random::<u32>(), id.0));
        let desk = self.shared.desk.clone();
        let clock = self.shared.clock;
        let sending = tokio::spawn(async move {
            let key = op.key().expect("it was just given an id");
            let intent = Intent {
                origin,
                key,
                class: Class::User,
                delete: op.is_delete(),
                stamp: None,
                intended,
            };
            desk.tell(Command::Intend(id, intent)).await;
            let outcome = client.write(&op).await;
            let done = clock.now();
            desk.tell(match &outcome {
                Outcome::Ok(written) => Command::Acked(id, written.state),
                Outcome::Fail(_) => Command::Refused(id),
                Outcome::Info(_) => Command::Unknown(id),
            })
            .await;
            (outcome, done)
        });
        let (outcome, done) = sending.await.unwrap_or_else(|error| {
            // Only when the runtime is going down.
            let why = format!("given up: {error}");
            (Outcome::Info(why), clock.now())
        });
        Sent { id, outcome, done }
    }

    /// Waits until these observers have shown an acked write; all members when none are named.
    /// Tells the worst latency among all members, if all have shown it and it was measured.
    ///
    /// # Errors
    ///
    /// [`NotSeen`] when the time is up or the write is not followed.
    pub async fn await_seen(
        &self,
        id: WriteId,
        observers: &[Member],
        within: Duration,
    ) -> Result<Option<Duration>, NotSeen> {
        let observers = self.named(observers);
        let (reply, seen) = oneshot::channel();
        self.shared
            .desk
            .tell(Command::AwaitSeen(id, observers.clone(), reply))
            .await;
        match tokio::time::timeout(within, seen).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotSeen::Stopped),
            Err(_) => Err(match self.standing(id).await {
                Standing::Missing(missing) => NotSeen::Missing(
                    missing
                        .into_iter()
                        .filter(|m| observers.contains(m))
                        .collect(),
                ),
                Standing::InFlight => NotSeen::NotAcked,
                // It showed while we were asking.
                Standing::Seen(worst) => return Ok(worst),
                Standing::NotFollowed => NotSeen::NotFollowed,
            }),
        }
    }

    /// Waits until a record is as wanted on each of these observers, whoever wrote it; all members
    /// when none are named. Observers are asked once, then listened to.
    ///
    /// # Errors
    ///
    /// [`NotSeen`] with those who did not in time.
    pub async fn await_shown(
        &self,
        goal: &Goal,
        observers: &[Member],
        within: Duration,
    ) -> Result<(), NotSeen> {
        let observers = self.named(observers);
        waiting::await_shown(self, goal, observers, within).await
    }

    /// Waits until no user write is in flight and these observers have shown every acked one; all
    /// members when none are named. Observed quiescence: nothing is assumed after a pause.
    ///
    /// # Errors
    ///
    /// [`NotQuiet`] with what is outstanding.
    pub async fn await_quiet(
        &self,
        observers: &[Member],
        within: Duration,
    ) -> Result<(), NotQuiet> {
        let observers = self.named(observers);
        let (reply, quiet) = oneshot::channel();
        (self.shared.desk)
            .tell(Command::AwaitQuiet(observers.clone(), reply))
            .await;
        let asking = async {
            loop {
                tokio::time::sleep(ASK_EVERY).await;
                doubt::ask(self, &observers).await;
            }
        };
        let quiet = tokio::time::timeout(within, async {
            tokio::select! {
                quiet = quiet => quiet,
                () = asking => unreachable!("asking has no end"),
            }
        });
        match quiet.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                // Whoever only looks in has not waited to be told.
                doubt::ask(self, &observers).await;
                let (reply, why) = oneshot::channel();
                (self.shared.desk)
                    .tell(Command::WhyNotQuiet(observers, reply))
                    .await;
                match why.await {
                    Ok(None) => Ok(()),
                    Ok(Some(why)) => Err(why),
                    Err(_) => Err(NotQuiet::default()),
                }
            }
        }
    }

    /// Asks members for everything they hold and books it. A record that was deleted before its
    /// creation had arrived shows by its absence only, and no feed tells of that.
    pub async fn relist(&self, members: impl IntoIterator<Item = Member>) {
        let lists = members.into_iter().map(|member| async move {
            let client = self.client(member)?;
            let vertices = client.vertices_shown(&VertexFilter::default()).await;
            let edges = client.edges_shown(&EdgeFilter::default()).await;
            let (vertices, edges) = (vertices.ok()?, edges.ok()?);
            let records = vertices.into_iter().chain(edges);
            let records = records.map(|shown| (shown.key, shown.state)).collect();
            let at = self.clock().now();
            self.shared
                .desk
                .tell(Command::Listed(member, at, records))
                .await;
            Some(())
        });
        // Whoever does not answer has shown nothing.
        futures_util::future::join_all(lists).await;
    }

    /// Which acked user write made before `before` at one of these members another of them has not
    /// shown: the oldest, in words. Those that are `waiting` for their clocks owe only what is due.
    pub async fn owed_since(
        &self,
        before: Duration,
        members: &[Member],
        waiting: &[Member],
    ) -> Option<String> {
        let (reply, owed) = oneshot::channel();
        let among = [members.to_vec(), waiting.to_vec()];
        let question = Command::OwedSince(before, among, reply);
        self.shared.desk.tell(question).await;
        owed.await.unwrap_or_default()
    }

    /// User writes that are in flight or that somebody has not shown.
    pub async fn under_way(&self) -> u64 {
        let (reply, count) = oneshot::channel();
        self.shared.desk.tell(Command::UnderWay(reply)).await;
        count.await.unwrap_or_default()
    }

    /// Where a write stands now.
    pub async fn standing(&self, id: WriteId) -> Standing {
        let (reply, standing) = oneshot::channel();
        self.shared.desk.tell(Command::Standing(id, reply)).await;
        standing.await.unwrap_or(Standing::NotFollowed)
    }

    /// Remembers this moment, for [`Probe::report`].
    pub async fn mark(&self) -> Mark {
        let (reply, mark) = oneshot::channel();
        self.shared.desk.tell(Command::Mark(reply)).await;
        mark.await.expect("the desk outlives every probe")
    }

    /// What was measured since `mark`.
    pub async fn report(&self, mark: &Mark) -> Report {
        let (reply, report) = oneshot::channel();
        (self.shared.desk)
            .tell(Command::Report(Box::new(mark.clone()), reply))
            .await;
        report.await.expect("the desk outlives every probe")
    }

    /// The state of affairs, for showing. Computed when asked for.
    pub async fn view(&self) -> Arc<View> {
        let (reply, view) = oneshot::channel();
        self.shared.desk.tell(Command::View(reply)).await;
        view.await.expect("the desk outlives every probe")
    }

    /// Latencies since `since` as an HdrHistogram V2 interval log; see
    /// [`crate::stats::interval_log`].
    pub async fn interval_log(&self, since: &Mark) -> Vec<u8> {
        let (reply, intervals) = oneshot::channel();
        (self.shared.desk)
            .tell(Command::Intervals(since.at, reply))
            .await;
        let (intervals, dropped) = intervals.await.expect("the desk outlives every probe");
        crate::stats::interval_log(&intervals, self.shared.clock.wall_start(), dropped)
    }

    fn named(&self, observers: &[Member]) -> Vec<Member> {
        if observers.is_empty() {
            self.shared.members.clone()
        } else {
            observers.to_vec()
        }
    }
}
