//! What a running script stands on: the cluster, the history, and what it has claimed so far.
//!
//! One [`Host`] per run, shared by all branches of its script. Every operation goes through it, so
//! that none can happen without being recorded.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rhai::Position;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::params::Sets;
use super::recovery::Recoveries;
use super::story::Listen;
use super::trouble::{Trouble, place};
use crate::check::{Claims, Comparison, Expectation, Threshold};
use crate::client::{Json, Key, Kind, Outcome, Shown, Stamp, WriteOp, Written};
use crate::cluster::{ClusterBackend, Life, Member, RigError};
use crate::history::processes::Worker;
use crate::history::recorder::Asked;
use crate::history::{Action, Recorder};
use crate::probe::{Mark, Probe};
use crate::report::Metric;

/// What a script stands on.
#[derive(Debug)]
pub struct Host {
    /// Where asynchronous work is done; the script's own thread waits for it.
    pub runtime: Handle,
    /// The cluster.
    pub backend: Arc<dyn ClusterBackend>,
    /// Writes and watches.
    pub probe: Probe,
    /// When the run began, for what was measured since.
    pub mark: Mark,
    /// The history.
    pub recorder: Recorder,
    /// Whom to tell.
    pub story: Arc<dyn Listen>,
    /// Cancelled when somebody wants the run to end.
    pub cancel: CancellationToken,
    /// What `--set` said.
    pub sets: Sets,
    /// Decides all randomness.
    pub seed: u64,
    /// What messages call the script.
    pub file: String,
    /// What every id this run makes begins with.
    pub prefix: String,
    /// Whether others use the cluster too.
    pub shared: bool,
    /// What the script said so far.
    pub said: Said,
    /// How long the cluster took to agree after each heal and start.
    pub recoveries: Recoveries,
    known: Mutex<BTreeMap<String, Known>>,
    ids: AtomicU64,
    steps: AtomicU32,
}

/// What a script said so far.
#[derive(Debug, Default)]
pub struct Said {
    claims: Mutex<Claims>,
    metrics: Mutex<Vec<Metric>>,
    limits: Mutex<Vec<Limit>>,
    notes: Mutex<Vec<String>>,
}

/// A threshold on a metric, judged when the run is over.
#[derive(Clone, Debug)]
struct Limit {
    name: String,
    op: Comparison,
    limit: f64,
}

/// What is known about a record this run wrote.
#[derive(Clone, Debug)]
pub struct Known {
    /// Vertex or edge.
    pub key: Key,
    /// Its type.
    pub kind: String,
    /// The stamp of the last write that was acknowledged.
    pub stamp: Stamp,
}

thread_local! {
    /// The worker of this thread: each branch of a script is a process of its own.
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// What a host is made of.
#[derive(Debug)]
pub struct Parts {
    /// See [`Host::backend`].
    pub backend: Arc<dyn ClusterBackend>,
    /// See [`Host::probe`].
    pub probe: Probe,
    /// See [`Host::mark`].
    pub mark: Mark,
    /// See [`Host::recorder`].
    pub recorder: Recorder,
    /// See [`Host::story`].
    pub story: Arc<dyn Listen>,
    /// See [`Host::cancel`].
    pub cancel: CancellationToken,
    /// See [`Host::sets`].
    pub sets: Sets,
    /// See [`Host::seed`].
    pub seed: u64,
    /// See [`Host::file`].
    pub file: String,
    /// See [`Host::prefix`].
    pub prefix: String,
    /// See [`Host::shared`].
    pub shared: bool,
}

impl Host {
    /// A host for one run; called within the runtime it is to use.
    pub fn new(parts: Parts) -> Arc<Self> {
        let backend = Arc::clone(&parts.backend);
        Arc::new(Self {
            recoveries: Recoveries::new(backend, parts.probe.clone(), parts.shared),
            runtime: Handle::current(),
            backend: parts.backend,
            probe: parts.probe,
            mark: parts.mark,
            recorder: parts.recorder,
            story: parts.story,
            cancel: parts.cancel,
            sets: parts.sets,
            seed: parts.seed,
            file: parts.file,
            prefix: parts.prefix,
            shared: parts.shared,
            said: Said::default(),
            known: Mutex::default(),
            ids: AtomicU64::new(1),
            steps: AtomicU32::new(0),
        })
    }

    /// Waits for something asynchronous, or for the run to be stopped.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(Trouble::Cancelled),
                done = work => Ok(done),
            }
        })
    }

    /// An id nobody else uses.
    pub fn fresh_id(&self, letter: char) -> String {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        format!("{}{letter}{number}", self.prefix)
    }

    /// All nodes, by number.
    pub fn nodes(&self) -> &[Member] {
        self.probe.members()
    }

    /// Nodes that can be expected to show anything: up, and not frozen.
    pub async fn up(&self) -> Vec<Member> {
        let members = self.backend.members().await;
        let up = members.iter().filter(|status| {
            status.life == Life::Up && self.probe.members().contains(&status.member)
        });
        up.map(|status| status.member).collect()
    }

    /// Makes a write and records it. Returns what was written.
    ///
    /// # Errors
    ///
    /// [`Trouble::Refused`] and [`Trouble::Unknown`].
    pub fn write(&self, node: Member, action: Action, op: WriteOp) -> Result<Written, Trouble> {
        let asked = Asked {
            action,
            node,
            key: op.key(),
            value: asked(&op),
        };
        let doing = doing(&asked);
        let sent = self.with_worker(|worker| {
            self.wait(async {
                let pending = self.recorder.begin(worker, asked).await;
                let now = self.probe.clock().now();
                let sent = self.probe.write(node, op, now).await;
                match &sent.outcome {
                    Outcome::Ok(written) => {
                        pending
                            .ok(written.record.clone(), Some(written.state.0))
                            .await;
                    }
                    Outcome::Fail(refusal) => pending.fail(refusal.to_string()).await,
                    Outcome::Info(why) => pending.info(why.clone()).await,
                }
                sent
            })
        })?;
        settled(&doing, sent.outcome)
    }

    /// Asks something of a node and records it; `shown` says what the answer was.
    ///
    /// # Errors
    ///
    /// [`Trouble::Refused`] and [`Trouble::Unknown`].
    pub fn read<T>(
        &self,
        asked: Asked,
        question: impl Future<Output = Outcome<T>>,
        shown: impl FnOnce(&T) -> (Option<Json>, Option<f64>),
    ) -> Result<T, Trouble> {
        let doing = doing(&asked);
        let answer = self.with_worker(|worker| {
            self.wait(async {
                let pending = self.recorder.begin(worker, asked).await;
                let answer = question.await;
                match &answer {
                    Outcome::Ok(answer) => {
                        let (value, state) = shown(answer);
                        pending.ok(value, state).await;
                    }
                    Outcome::Fail(refusal) => pending.fail(refusal.to_string()).await,
                    Outcome::Info(why) => pending.info(why.clone()).await,
                }
                answer
            })
        })?;
        settled(&doing, answer)
    }

    /// Does something to the cluster and records both ends of it.
    ///
    /// # Errors
    ///
    /// [`Trouble::Refused`] when it makes no sense as things are, [`Trouble::Skipped`] when no fault
    /// can be made here at all, [`Trouble::Rig`] when the backend cannot do it.
    pub fn fault(
        &self,
        action: Action,
        member: Option<Member>,
        value: Option<Json>,
        work: impl Future<Output = Result<(), RigError>>,
    ) -> Result<(), Trouble> {
        let mut what = action.to_string();
        if let Some(member) = member {
            what.push_str(&format!(" {member}"));
        }
        if let Some(value) = &value {
            what.push_str(&format!(" {}", value.text()));
        }
        if self.cancel.is_cancelled() {
            return Err(Trouble::Cancelled);
        }
        self.story.note(&what);
        self.recoveries.begins(action, &what);
        // Carried through even when the run is stopped: half a fault could not be mended. Backends
        // are bounded in time.
        let done = self.runtime.block_on(async {
            let injecting = self.recorder.inject(action, member, value).await;
            let done = work.await;
            let error = done.as_ref().err().map(ToString::to_string);
            injecting.done(error).await;
            if done.is_ok() {
                let at = self.recorder.epoch().elapsed();
                self.recoveries.done(action, member, &what, at);
            }
            done
        });
        done.map_err(
            |error| match (error.refused, self.backend.without_faults()) {
                (true, Some(needs)) => Trouble::Skipped(format!("`{what}` {needs}")),
                (true, None) => Trouble::Refused(error.to_string()),
                (false, _) => Trouble::Rig(error),
            },
        )
    }

    /// Remembers what was written, so that it can be waited for by its id alone.
    pub fn learn(&self, key: Key, kind: &str, stamp: Stamp) {
        let mut known = lock(&self.known);
        let id = key.id.to_string();
        let entry = known.entry(id).or_insert_with(|| Known {
            key,
            kind: kind.to_owned(),
            stamp,
        });
        entry.kind = kind.to_owned();
        entry.stamp = entry.stamp.max(stamp);
    }

    /// What is known about an id; a vertex at any stamp if this run never wrote it.
    pub fn known(&self, id: &str) -> Known {
        let known = lock(&self.known).get(id).cloned();
        known.unwrap_or_else(|| Known {
            key: Key::vertex(id),
            kind: "custom".to_owned(),
            stamp: Stamp(f64::NEG_INFINITY),
        })
    }

    /// Begins the next step.
    pub fn step(&self, text: &str) {
        let number = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        self.story.step(number, text);
    }

    /// Records something that should hold. Returns whether it does.
    pub fn claim(&self, held: bool, text: String, position: Position) -> bool {
        if !held {
            self.story.note(&format!("does not hold: {text}"));
        }
        lock(&self.said.claims).expectations.push(Expectation {
            text,
            held,
            place: Some(place(&self.file, position)),
        });
        held
    }

    /// Records a claim that did not hold and makes an error of it.
    pub fn broken(&self, text: String, position: Position) -> Trouble {
        self.claim(false, text.clone(), position);
        Trouble::Claim(text)
    }

    /// Gives this thread a worker of its own while `work` runs.
    pub fn as_branch<T>(&self, work: impl FnOnce() -> T) -> T {
        // Timers are made before they are waited for; a plain thread has no runtime to make them.
        let _runtime = self.runtime.enter();
        WORKER.with_borrow_mut(|worker| *worker = Some(self.recorder.worker()));
        let done = work();
        // The recorder's end is waited for: nothing of it may stay behind in a thread.
        WORKER.with_borrow_mut(|worker| *worker = None);
        done
    }

    fn with_worker<T>(&self, work: impl FnOnce(&Worker) -> T) -> T {
        WORKER.with_borrow(|worker| match worker {
            Some(worker) => work(worker),
            None => work(&self.recorder.worker()),
        })
    }
}

impl Said {
    /// Records whether an interesting state was reached.
    pub fn gate(&self, held: bool, text: String, place: String) {
        lock(&self.claims).gates.push(Expectation {
            text,
            held,
            place: Some(place),
        });
    }

    /// Records a number.
    pub fn metric(&self, name: &str, value: f64, unit: &str) {
        lock(&self.metrics).push(Metric {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        });
    }

    /// Demands something of a metric, now or later recorded.
    pub fn limit(&self, name: &str, op: Comparison, limit: f64) {
        lock(&self.limits).push(Limit {
            name: name.to_owned(),
            op,
            limit,
        });
    }

    /// Records a measured number and its limit; without a number it is unknown.
    pub fn threshold(&self, threshold: Threshold) {
        lock(&self.claims).thresholds.push(threshold);
    }

    /// Records a line for the report.
    pub fn note(&self, text: String) {
        lock(&self.notes).push(text);
    }

    /// Everything said, once the script has ended: claims, metrics and notes.
    pub fn all(&self) -> (Claims, Vec<Metric>, Vec<String>) {
        let metrics = std::mem::take(&mut *lock(&self.metrics));
        let mut claims = std::mem::take(&mut *lock(&self.claims));
        for limit in lock(&self.limits).drain(..) {
            // A loop may have recorded it many times: the worst of them must hold, too.
            let named = metrics.iter().filter(|metric| metric.name == limit.name);
            let metric = named.max_by(|a, b| limit.op.worse(limit.limit, a.value, b.value));
            claims.thresholds.push(Threshold {
                name: limit.name,
                value: metric.map(|metric| metric.value),
                op: limit.op,
                limit: limit.limit,
                unit: metric.map(|metric| metric.unit.clone()).unwrap_or_default(),
            });
        }
        (claims, metrics, std::mem::take(&mut *lock(&self.notes)))
    }
}

/// What a record is called in the history when it is shown.
pub fn of_shown(shown: &Shown) -> (Option<Json>, Option<f64>) {
    (Some(shown.record.clone()), Some(shown.state.0))
}

/// The body of a write, as the history keeps it.
pub fn asked(op: &WriteOp) -> Option<Json> {
    let body = match op {
        WriteOp::CreateVertex(body)
        | WriteOp::PutVertex(_, body)
        | WriteOp::PatchVertex(_, body) => serde_json::to_value(body),
        WriteOp::CreateEdge(body) | WriteOp::PutEdge(_, body) | WriteOp::PatchEdge(_, body) => {
            serde_json::to_value(body)
        }
        WriteOp::DeleteVertex(_) | WriteOp::DeleteEdge(_) => return None,
    };
    Some(Json::of(
        &body.expect("maps with text keys are always JSON"),
    ))
}

/// What the history calls a write.
pub fn action(op: &WriteOp) -> Action {
    match op {
        WriteOp::CreateVertex(_) => Action::Create,
        WriteOp::PutVertex(..) => Action::Update,
        WriteOp::PatchVertex(..) => Action::Patch,
        WriteOp::DeleteVertex(_) => Action::Delete,
        WriteOp::CreateEdge(_) | WriteOp::PutEdge(..) | WriteOp::PatchEdge(..) => {
            Action::CreateEdge
        }
        WriteOp::DeleteEdge(_) => Action::DeleteEdge,
    }
}

/// The key of a record by its id, in the table of `kind`.
pub fn key(kind: Kind, id: &str) -> Key {
    Key {
        kind,
        id: id.into(),
    }
}

/// `250ms` and `2s` as people read them in messages.
pub fn spoken(duration: Duration) -> String {
    format!("{duration:?}")
}

fn doing(asked: &Asked) -> String {
    match &asked.key {
        Some(key) => format!("{} {key} on {}", asked.action, asked.node),
        None => format!("{} on {}", asked.action, asked.node),
    }
}

fn settled<T>(doing: &str, outcome: Outcome<T>) -> Result<T, Trouble> {
    match outcome {
        Outcome::Ok(value) => Ok(value),
        Outcome::Fail(refusal) => Err(Trouble::Refused(format!("{doing} was refused: {refusal}"))),
        Outcome::Info(why) => Err(Trouble::Unknown(format!("{doing} has no answer: {why}"))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is held is plain data; a branch that panicked left it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
