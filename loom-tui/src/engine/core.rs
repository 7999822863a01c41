//! The task that owns the engine's state: takes news and requests, publishes snapshots.

mod look;
mod play;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::look::Look;
use super::health::{self, Reading};
use super::log::EventLog;
use super::marks::Marks;
use super::requests::{self, Lanes};
use super::rows::{self, Faults};
use super::runs::{RunEnd, Runs, ScenarioRunner};
use super::{EngineOptions, Launch};
use crate::client;
use crate::cluster::{ClusterBackend, ClusterEvent, Member, MemberStatus, RigError};
use crate::probe::{Clock, Probe, Target, View};
use crate::snapshot::{Level, MemberLog, Phase, Request, Snapshot};

/// News waiting for the core.
const NEWS_CAP: usize = 1_024;
/// At most five snapshots a second.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Parts {
    pub(super) launch: Arc<dyn Launch>,
    pub(super) runner: Arc<dyn ScenarioRunner>,
    pub(super) options: EngineOptions,
    pub(super) clock: Clock,
    pub(super) requested: mpsc::Receiver<Request>,
    pub(super) publish: watch::Sender<Arc<Snapshot>>,
    pub(super) stopped: oneshot::Receiver<oneshot::Sender<Result<(), RigError>>>,
}

/// What tasks of the engine bring back.
#[derive(Debug)]
pub(super) enum News {
    /// The backend is there.
    Opened(Arc<dyn ClusterBackend>),
    /// The cluster is up, or the rig could not make it so.
    Raised(Result<(), RigError>),
    /// A look at members and probe.
    Looked(Look),
    /// A member's own account.
    Health(Member, Reading),
    /// A request was carried out.
    Performed(Request, Result<(), RigError>),
    /// A step of the running scenario began.
    Step(u32, String),
    /// The running scenario has something to say.
    Note(Level, String),
    /// The running scenario ended.
    RunEnded(Result<RunEnd, RigError>),
    /// The cluster was put right again after a cancelled run.
    Restored(Result<(), RigError>),
}

/// The engine's state.
struct Core {
    launch: Arc<dyn Launch>,
    runner: Arc<dyn ScenarioRunner>,
    options: EngineOptions,
    clock: Clock,
    http: Option<reqwest::Client>,
    news: mpsc::Sender<News>,
    backend: Option<Arc<dyn ClusterBackend>>,
    probe: Option<Probe>,
    phase: Phase,
    members: Vec<MemberStatus>,
    view: Option<Arc<View>>,
    /// Whose log is followed, and what was last seen of it.
    following: Option<Member>,
    member_log: Option<Arc<MemberLog>>,
    readings: BTreeMap<Member, Reading>,
    /// Members that were asked and have not answered yet.
    asking: BTreeSet<Member>,
    faults: Faults,
    marks: Marks,
    log: EventLog,
    runs: Runs,
    /// A cancelled run's damage is being repaired; nothing runs meanwhile.
    restoring: bool,
    lanes: Lanes,
    /// A look is under way.
    looking: bool,
    looked: Duration,
    /// When to look again, at the latest by the next poll.
    look_due: Option<Duration>,
    /// Something to show that is not in the last snapshot.
    changed: bool,
    published: Duration,
}

/// Runs the engine until it is stopped or nobody can ask it anything or see what it knows.
pub(super) async fn run(parts: Parts) {
    let (news, mut brought) = mpsc::channel(NEWS_CAP);
    let Parts {
        mut requested,
        publish,
        mut stopped,
        ..
    } = parts;
    let mut core = Core {
        runs: Runs::new(parts.runner.list()),
        launch: parts.launch,
        runner: parts.runner,
        options: parts.options,
        clock: parts.clock,
        http: client::http().ok(),
        news,
        backend: None,
        probe: None,
        phase: Phase::Unknown,
        members: Vec::new(),
        view: None,
        following: None,
        member_log: None,
        readings: BTreeMap::new(),
        asking: BTreeSet::new(),
        faults: Faults::default(),
        marks: Marks::default(),
        log: EventLog::default(),
        restoring: false,
        lanes: Lanes::default(),
        looking: false,
        looked: Duration::ZERO,
        look_due: None,
        changed: true,
        published: Duration::ZERO,
    };
    core.bring_up();
    publish.send_replace(Arc::new(core.snapshot()));
    let mut events: Option<broadcast::Receiver<ClusterEvent>> = None;
    let mut poll = tokio::time::interval(core.options.poll_every);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let wake = core.wake();
        tokio::select! {
            biased;
            stop = &mut stopped => {
                if let Ok(reply) = stop {
                    let _ = reply.send(core.shut_down(&mut brought).await);
                }
                return;
            }
            Some(request) = requested.recv() => core.on_request(request),
            Some(news) = brought.recv() => {
                if let News::Opened(backend) = &news {
                    events = Some(backend.events());
                }
                core.on_news(news);
            }
            event = next(&mut events) => core.on_event(event),
            _ = poll.tick() => core.poll(),
            () = until(core.clock, wake) => {}
        }
        core.look_if_due();
        if core.changed && core.clock.now() >= core.published + PUBLISH_EVERY {
            core.published = core.clock.now();
            core.changed = false;
            publish.send_replace(Arc::new(core.snapshot()));
        }
    }
}

async fn until(clock: Clock, moment: Option<Duration>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(clock.instant(moment).into()).await,
        None => std::future::pending().await,
    }
}

async fn next(
    events: &mut Option<broadcast::Receiver<ClusterEvent>>,
) -> Result<ClusterEvent, broadcast::error::RecvError> {
    let received = match events {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    };
    if matches!(received, Err(broadcast::error::RecvError::Closed)) {
        *events = None;
    }
    received
}

impl Core {
    fn say(&mut self, level: Level, source: &str, text: String) {
        self.log.say(self.clock.now(), level, source, text);
        self.changed = true;
    }

    /// What was opened stays: only a backend that could not be opened is replaced.
    fn offers_local(&self) -> bool {
        matches!(self.phase, Phase::Failed(_))
            && self.backend.is_none()
            && self.launch.offers_local()
    }

    /// Opens the backend if there is none and starts every member.
    fn bring_up(&mut self) {
        self.phase = Phase::Starting("starting the cluster".to_owned());
        self.changed = true;
        let (launch, news) = (Arc::clone(&self.launch), self.news.clone());
        let backend = self.backend.clone();
        tokio::spawn(async move {
            let up = async {
                let backend = match backend {
                    Some(backend) => backend,
                    None => {
                        let backend = launch.open().await?;
                        let _ = news.send(News::Opened(Arc::clone(&backend))).await;
                        backend
                    }
                };
                launch.raise(&backend).await
            };
            let raised = up.await;
            let _ = news.send(News::Raised(raised)).await;
        });
    }

    fn on_request(&mut self, request: Request) {
        if let Some(what) = requests::describe(&request) {
            self.say(Level::Info, "you", what.clone());
            let Some(backend) = self.backend.clone() else {
                self.say(
                    Level::Warn,
                    "rig",
                    format!("{what}: there is no cluster yet"),
                );
                return;
            };
            let members = self.members.iter().map(|status| status.member);
            let news = self.news.clone();
            if !self.lanes.start(request, backend, members, news) {
                self.say(
                    Level::Warn,
                    "rig",
                    format!("{what}: too much is under way, ask again later"),
                );
            }
            return;
        }
        match request {
            Request::Run(name) => match self.runs.enqueue(&name) {
                Ok(()) => {
                    self.say(Level::Info, "you", format!("run {name}"));
                    self.begin_run();
                }
                Err(why) => self.say(Level::Warn, "rig", why),
            },
            Request::CancelRun => match self.runs.running() {
                Some(run) if run.cancel.is_cancelled() => {}
                Some(run) => {
                    run.cancel.cancel();
                    let text = format!("cancel {}", run.name);
                    self.say(Level::Info, "you", text);
                }
                None => self.say(Level::Warn, "rig", "nothing is running".to_owned()),
            },
            Request::Retry => {
                if matches!(self.phase, Phase::Failed(_)) {
                    self.say(Level::Info, "you", "retry".to_owned());
                    self.bring_up();
                }
            }
            Request::UseLocal => {
                if self.offers_local() {
                    self.say(Level::Info, "you", "use local processes".to_owned());
                    self.launch.use_local();
                    self.bring_up();
                }
            }
            Request::Follow(member) => self.follow(member),
            _ => unreachable!("everything else has a description"),
        }
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Opened(backend) => {
                self.backend = Some(backend);
                self.look();
            }
            News::Raised(Ok(())) => {
                self.phase = Phase::Ready;
                self.say(Level::Info, "rig", "the cluster is up".to_owned());
                self.poll();
                self.begin_run();
            }
            News::Raised(Err(error)) => {
                self.phase = Phase::Failed(error.to_string());
                self.say(Level::Error, "rig", error.to_string());
                self.look();
            }
            News::Looked(look) => self.on_look(look),
            News::Health(member, reading) => {
                self.asking.remove(&member);
                let before = self.readings.insert(member, reading.clone());
                if before.is_none_or(|before| before.connected != reading.connected) {
                    self.changed = true;
                }
            }
            News::Performed(request, result) => {
                self.lanes.ended();
                if let Err(error) = result {
                    self.say(Level::Error, "rig", error.to_string());
                } else if matches!(request, Request::HealAll) {
                    self.say(Level::Info, "rig", "everything is healed".to_owned());
                }
                self.look();
            }
            News::Step(number, text) => {
                self.runs.step(number, text);
                self.changed = true;
            }
            News::Note(level, text) => self.say(level, "scenario", text),
            News::RunEnded(result) => self.on_run_ended(result),
            News::Restored(result) => {
                self.restoring = false;
                if let Err(error) = result {
                    self.say(Level::Error, "rig", error.to_string());
                }
                self.begin_run();
            }
        }
    }

    fn on_event(&mut self, event: Result<ClusterEvent, broadcast::error::RecvError>) {
        match event {
            Ok(event) => {
                let source = event.member.map_or("rig".to_owned(), |m| m.to_string());
                let level = if event.unexpected {
                    Level::Error
                } else {
                    Level::Info
                };
                if let Phase::Starting(doing) = &mut self.phase {
                    *doing = format!("{source}: {}", event.what);
                }
                self.say(level, &source, event.what);
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                self.say(Level::Warn, "rig", format!("{missed} events were missed"));
            }
            Err(broadcast::error::RecvError::Closed) => {
                self.say(Level::Warn, "rig", "the backend has ended".to_owned());
            }
        }
        self.look();
    }

    /// Starts the probe once it is known where the nodes are.
    fn start_probe(&mut self) {
        if self.probe.is_some() || self.backend.is_none() {
            return;
        }
        let nodes = self.members.iter().filter(|s| s.member != Member::Relay);
        let targets: Vec<_> = nodes
            .map(|status| Target {
                member: status.member,
                url: status.url.clone(),
            })
            .collect();
        if targets.is_empty() {
            return;
        }
        match Probe::start(self.clock, &targets, &self.options.probe) {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => self.phase = Phase::Failed(error.to_string()),
        }
        self.begin_run();
    }

    /// Once a second: ask members how they are, look at everything.
    fn poll(&mut self) {
        if let Some(http) = &self.http {
            for status in &self.members {
                // One question at a time: a frozen member must not collect them.
                if !self.asking.insert(status.member) {
                    continue;
                }
                let (http, status) = (http.clone(), status.clone());
                let (news, within) = (self.news.clone(), self.options.poll_timeout);
                tokio::spawn(async move {
                    let member = status.member;
                    let reading = health::ask(http, status, within).await;
                    let _ = news.send(News::Health(member, reading)).await;
                });
            }
        }
        self.look();
    }

    /// When there is something to do without news: a look that is due, or something to publish.
    fn wake(&self) -> Option<Duration> {
        let look = self
            .look_due
            .filter(|_| !self.looking && self.backend.is_some());
        let publish = self.changed.then_some(self.published + PUBLISH_EVERY);
        look.into_iter().chain(publish).min()
    }

    fn snapshot(&self) -> Snapshot {
        let now = self.clock.now();
        let view = self.view.as_deref();
        let backend = (self.backend.as_ref()).map_or(self.launch.kind(), |b| b.kind());
        Snapshot {
            at: now,
            backend,
            phase: self.phase.clone(),
            offers_local: self.offers_local(),
            members: rows::rows(now, &self.members, &self.readings, &self.faults, view),
            ops_per_s: view.map_or(0.0, |view| view.ops_per_s),
            latency: view.map(|view| view.latency.clone()).unwrap_or_default(),
            lag: view.map(rows::lag).unwrap_or_default(),
            marks: self.marks.all().clone(),
            scenarios: self.runs.rows(),
            events: self.log.lines().clone(),
            log: self.member_log.clone(),
        }
    }
}
