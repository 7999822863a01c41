//! Load: writes, and reads between them, on a schedule or as fast as answers come; the same ones
//! for the same seed.
//!
//! [`run`] is the door. In an open loop every write has an intended moment; one that leaves late is
//! charged from that moment and none is ever skipped, so a stalled cluster shows as the latency it
//! caused. Writes go through [`Writes`], so whoever keeps a history sees each of them.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::plan::{LoadOp, Mix, Planner};
use super::{Clock, Probe, Sent, alarm};
use crate::client::{Key, Outcome, WriteOp};
use crate::cluster::Member;
use crate::stats::Latencies;

/// What load to make.
#[derive(Clone, Debug)]
pub struct Load {
    /// The nodes written to, in turn.
    pub origins: Vec<Member>,
    /// How fast.
    pub pace: Pace,
    /// How much.
    pub until: Until,
    /// Of what.
    pub mix: Mix,
    /// Bytes of payload in each record's properties.
    pub payload_bytes: usize,
    /// Decides which writes are made: the same seed and load make the same ones, whatever the
    /// cluster answers.
    pub seed: u64,
    /// Ids begin with this; choose one that no earlier load used on this cluster.
    pub id_prefix: String,
}

/// How fast to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// This many a second in all, on schedule, whatever the cluster does.
    Open {
        /// Writes per second; nothing is written unless it is above zero.
        per_s: f64,
    },
    /// This many clients, each writing again as soon as it was answered.
    Closed {
        /// Clients.
        clients: usize,
    },
}

/// How much to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// This many writes.
    Count(u64),
    /// For this long.
    For(Duration),
}

/// Writes an open loop has under way at most; when this many are, the next waits, and is charged
/// from its intended moment all the same.
pub const IN_FLIGHT_MAX: usize = 4_096;

/// One write to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteJob {
    /// Who makes it. A worker does one thing at a time.
    pub worker: usize,
    /// Where it is sent.
    pub origin: Member,
    /// What.
    pub op: WriteOp,
    /// When it was to be sent, by the probe's clock.
    pub intended: Duration,
}

/// One record to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadJob {
    /// Who reads it. A worker does one thing at a time.
    pub worker: usize,
    /// Which node is asked.
    pub origin: Member,
    /// What is asked for.
    pub key: Key,
}

/// Whoever makes writes and reads: the probe itself, or a history that passes them on to it.
#[async_trait::async_trait]
pub trait Writes: Send + Sync {
    /// Makes one write and tells what became of it.
    async fn write(&self, job: WriteJob) -> Sent;

    /// Reads one record and tells whether there was an answer, be it that there is no such record.
    async fn read(&self, job: ReadJob) -> Outcome<()>;
}

#[async_trait::async_trait]
impl Writes for Probe {
    async fn write(&self, job: WriteJob) -> Sent {
        Self::write(self, job.origin, job.op, job.intended).await
    }

    async fn read(&self, job: ReadJob) -> Outcome<()> {
        match self.client(job.origin) {
            Some(client) => client.shown(&job.key).await.map(drop),
            None => Outcome::Info(format!("{} is not watched", job.origin)),
        }
    }
}

/// What became of one operation of a load.
enum Done {
    Wrote(&'static str, Duration, Sent),
    Read(Outcome<()>),
}

async fn carry_out(
    writes: Arc<dyn Writes>,
    worker: usize,
    origin: Member,
    op: LoadOp,
    intended: Duration,
) -> Done {
    match op {
        LoadOp::Write(op) => {
            let name = op.name();
            let job = WriteJob {
                worker,
                origin,
                op,
                intended,
            };
            Done::Wrote(name, intended, writes.write(job).await)
        }
        LoadOp::Read(key) => {
            let job = ReadJob {
                worker,
                origin,
                key,
            };
            Done::Read(writes.read(job).await)
        }
    }
}

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// Writes by operation name: how many were answered with a yes, with a no, or not at all.
    pub by_op: BTreeMap<&'static str, Answers>,
    /// Reads.
    pub reads: Answers,
    /// Intended send to answer, of those that were acked.
    pub acks: Latencies,
    /// Intended send to giving up, of those whose outcome is unknown: they are part of the tail.
    pub unknown: Latencies,
    /// How late the latest send was.
    pub late_max: Duration,
    /// From the first intended send to the last answer.
    pub took: Duration,
    /// Some refusals and unknowns, word for word.
    pub complaints: Vec<String>,
}

/// How writes were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Yes.
    pub acked: u64,
    /// No.
    pub refused: u64,
    /// No answer.
    pub unknown: u64,
}

const COMPLAINTS_MAX: usize = 5;

impl Answers {
    fn add(&mut self, other: Self) {
        self.acked += other.acked;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }
}

impl LoadReport {
    /// All writes together.
    pub fn answers(&self) -> Answers {
        self.by_op
            .values()
            .fold(Answers::default(), |sum, one| Answers {
                acked: sum.acked + one.acked,
                refused: sum.refused + one.refused,
                unknown: sum.unknown + one.unknown,
            })
    }

    /// Writes made.
    pub fn sent(&self) -> u64 {
        let Answers {
            acked,
            refused,
            unknown,
        } = self.answers();
        acked + refused + unknown
    }

    /// Acked writes per second.
    pub fn ops_per_s(&self) -> f64 {
        if self.took.is_zero() {
            return 0.0;
        }
        self.answers().acked as f64 / self.took.as_secs_f64()
    }

    fn count(&mut self, done: &Done) {
        let (name, intended, sent) = match done {
            Done::Wrote(name, intended, sent) => (*name, *intended, sent),
            Done::Read(Outcome::Ok(())) => {
                self.reads.acked += 1;
                return;
            }
            Done::Read(Outcome::Fail(refusal)) => {
                self.reads.refused += 1;
                return self.complain(format!("read refused: {refusal}"));
            }
            Done::Read(Outcome::Info(why)) => {
                self.reads.unknown += 1;
                return self.complain(format!("read unknown: {why}"));
            }
        };
        let answers = self.by_op.entry(name).or_default();
        let latency = sent.done.saturating_sub(intended);
        let complaint = match &sent.outcome {
            Outcome::Ok(_) => {
                answers.acked += 1;
                self.acks.record(latency);
                None
            }
            Outcome::Fail(refusal) => {
                answers.refused += 1;
                Some(format!("{name} refused: {refusal}"))
            }
            Outcome::Info(why) => {
                answers.unknown += 1;
                self.unknown.record(latency);
                Some(format!("{name} unknown: {why}"))
            }
        };
        if let Some(complaint) = complaint {
            self.complain(complaint);
        }
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }

    fn merge(&mut self, other: Self) {
        self.reads.add(other.reads);
        for (name, answers) in other.by_op {
            self.by_op.entry(name).or_default().add(answers);
        }
        self.acks.merge(&other.acks);
        self.unknown.merge(&other.unknown);
        self.late_max = self.late_max.max(other.late_max);
        let room = COMPLAINTS_MAX.saturating_sub(self.complaints.len());
        self.complaints
            .extend(other.complaints.into_iter().take(room));
    }
}

/// Makes the load. Ends early, with what was done so far, when `cancel` is.
pub async fn run(
    writes: Arc<dyn Writes>,
    clock: Clock,
    load: &Load,
    cancel: &CancellationToken,
) -> LoadReport {
    let paced = match load.pace {
        Pace::Open { per_s } => per_s.is_finite() && per_s > 0.0,
        Pace::Closed { clients } => clients > 0,
    };
    if load.origins.is_empty() || !paced {
        return LoadReport::default();
    }
    let start = clock.now();
    let mut report = match load.pace {
        Pace::Open { per_s } => open_loop(writes, clock, load, per_s, start, cancel).await,
        Pace::Closed { clients } => closed_loop(writes, clock, load, clients, start, cancel).await,
    };
    report.took = clock.now().saturating_sub(start);
    report
}

async fn open_loop(
    writes: Arc<dyn Writes>,
    clock: Clock,
    load: &Load,
    per_s: f64,
    start: Duration,
    cancel: &CancellationToken,
) -> LoadReport {
    let mut planner = Planner::new(load, 0);
    let mut report = LoadReport::default();
    let mut under_way: JoinSet<(usize, Done)> = JoinSet::new();
    // Worker numbers nobody uses; the lowest is taken first.
    let mut idle: std::collections::BTreeSet<usize> = (0..IN_FLIGHT_MAX).collect();
    let mut n = 0_u64;
    loop {
        let intended = start + Duration::from_secs_f64(n as f64 / per_s);
        let over = match load.until {
            Until::Count(count) => n >= count,
            Until::For(span) => intended >= start + span,
        };
        if over || cancel.is_cancelled() {
            break;
        }
        let mut done = |joined: Result<(usize, Done), _>| {
            // A write that panicked took its worker with it; the panic was printed where it was.
            if let Ok((worker, done)) = joined {
                report.count(&done);
                idle.insert(worker);
            }
        };
        let at = clock.instant(intended);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = alarm::until(at), if under_way.len() < IN_FLIGHT_MAX => break,
                Some(joined) = under_way.join_next() => done(joined),
            }
        }
        while let Some(joined) = under_way.try_join_next() {
            done(joined);
        }
        if cancel.is_cancelled() {
            break;
        }
        let Some(worker) = idle.pop_first() else {
            break; // every worker panicked
        };
        report.late_max = report.late_max.max(clock.now().saturating_sub(intended));
        let origin = load.origins[(n % load.origins.len() as u64) as usize];
        let doing = carry_out(
            Arc::clone(&writes),
            worker,
            origin,
            planner.next(origin),
            intended,
        );
        under_way.spawn(async move { (worker, doing.await) });
        n += 1;
    }
    while let Some(joined) = under_way.join_next().await {
        if let Ok((_, done)) = joined {
            report.count(&done);
        }
    }
    report
}

async fn closed_loop(
    writes: Arc<dyn Writes>,
    clock: Clock,
    load: &Load,
    clients: usize,
    start: Duration,
    cancel: &CancellationToken,
) -> LoadReport {
    let mut tasks = JoinSet::new();
    for worker in 0..clients {
        let (writes, cancel, load) = (Arc::clone(&writes), cancel.clone(), load.clone());
        tasks.spawn(async move {
            let origin = load.origins[worker % load.origins.len()];
            let share = |count: u64| {
                let (each, rest) = (count / clients as u64, count % clients as u64);
                each + u64::from((worker as u64) < rest)
            };
            let mut planner = Planner::new(&load, worker as u64);
            let mut report = LoadReport::default();
            let mut n = 0;
            loop {
                let over = match load.until {
                    Until::Count(count) => n >= share(count),
                    Until::For(span) => clock.now() >= start + span,
                };
                if over || cancel.is_cancelled() {
                    return report;
                }
                let (op, intended) = (planner.next(origin), clock.now());
                let doing = carry_out(Arc::clone(&writes), worker, origin, op, intended);
                report.count(&doing.await);
                n += 1;
            }
        });
    }
    let mut report = LoadReport::default();
    while let Some(joined) = tasks.join_next().await {
        if let Ok(part) = joined {
            report.merge(part);
        }
    }
    report
}
