//! The engine over a backend that is told what to do wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use loom_tui::cluster::{
    ClusterBackend, ClusterEvent, Life, Link, Member, MemberStatus, RigError, Usage,
};
use loom_tui::engine::{
    Engine, EngineOptions, Launch, RunEnd, ScenarioContext, ScenarioInfo, ScenarioRunner,
};
use loom_tui::snapshot::{Level, Phase, Request, ScenarioState, Snapshot, Verdict};
use tokio::sync::{Notify, broadcast};

const WITHIN: Duration = Duration::from_secs(10);
const N1: Member = Member::Node(1);
const N2: Member = Member::Node(2);

/// A cluster that exists only in a table.
#[derive(Debug)]
struct Fake {
    members: Mutex<Vec<MemberStatus>>,
    calls: Mutex<Vec<String>>,
    events: broadcast::Sender<ClusterEvent>,
    /// Calls that hang until they are let go.
    hangs: Mutex<BTreeSet<String>>,
    let_go: Notify,
    /// Starts that fail before one succeeds.
    failing_starts: Mutex<u32>,
}

impl Fake {
    fn new() -> Arc<Self> {
        let members = [Member::Relay, N1, N2].map(|member| MemberStatus {
            member,
            life: Life::Stopped,
            // Nobody listens on the port of "discard".
            url: "http://127.0.0.1:9".to_owned(),
            pid: Some(std::process::id()),
            generation: 0,
            last_exit: None,
            link: Link::default(),
            usage: Usage::default(),
            clock_ms: 0,
        });
        Arc::new(Self {
            members: Mutex::new(members.to_vec()),
            calls: Mutex::default(),
            events: broadcast::Sender::new(64),
            hangs: Mutex::default(),
            let_go: Notify::new(),
            failing_starts: Mutex::new(0),
        })
    }

    async fn called(&self, call: &str, member: Option<Member>) {
        let call = match member {
            Some(member) => format!("{call} {member}"),
            None => call.to_owned(),
        };
        loop {
            let let_go = self.let_go.notified();
            if !self.hangs.lock().expect("no panics").contains(&call) {
                break;
            }
            let_go.await;
        }
        self.calls.lock().expect("no panics").push(call);
    }

    fn set(&self, member: Member, what: &str, change: impl FnOnce(&mut MemberStatus)) {
        let mut members = self.members.lock().expect("no panics");
        let status = members.iter_mut().find(|status| status.member == member);
        change(status.expect("it is in the table"));
        let _ = self.events.send(ClusterEvent {
            at: SystemTime::now(),
            member: Some(member),
            what: what.to_owned(),
            unexpected: false,
        });
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no panics").clone()
    }
}

#[async_trait::async_trait]
impl ClusterBackend for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn members(&self) -> Vec<MemberStatus> {
        self.members.lock().expect("no panics").clone()
    }

    fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.events.subscribe()
    }

    async fn log_tail(&self, member: Member, lines: usize) -> Vec<String> {
        let calls = self.calls().len();
        vec![format!("{calls} calls, {member}"); lines.min(2)]
    }

    fn log_file(&self, _: Member) -> Option<PathBuf> {
        None
    }

    async fn start(&self, member: Member) -> Result<(), RigError> {
        self.called("start", Some(member)).await;
        {
            let mut failing = self.failing_starts.lock().expect("no panics");
            if *failing > 0 {
                *failing -= 1;
                return Err(RigError {
                    doing: format!("start {member}"),
                    reason: "the port is taken".to_owned(),
                    next_step: "free it".to_owned(),
                    refused: false,
                });
            }
        }
        self.set(member, "up", |status| {
            status.life = Life::Up;
            status.generation += 1;
        });
        Ok(())
    }

    async fn stop(&self, member: Member) -> Result<(), RigError> {
        self.called("stop", Some(member)).await;
        self.set(member, "stopped", |status| status.life = Life::Stopped);
        Ok(())
    }

    async fn kill(&self, member: Member) -> Result<(), RigError> {
        self.called("kill", Some(member)).await;
        self.set(member, "killed (SIGKILL)", |status| {
            status.life = Life::Dead;
            status.last_exit = Some("signal 9 (SIGKILL)".to_owned());
        });
        Ok(())
    }

    async fn suspend(&self, member: Member) -> Result<(), RigError> {
        self.called("suspend", Some(member)).await;
        self.set(member, "suspended", |status| status.life = Life::Suspended);
        Ok(())
    }

    async fn resume(&self, member: Member) -> Result<(), RigError> {
        self.called("resume", Some(member)).await;
        self.set(member, "resumed", |status| status.life = Life::Up);
        Ok(())
    }

    async fn wipe(&self, member: Member) -> Result<(), RigError> {
        self.called("wipe", Some(member)).await;
        Ok(())
    }

    async fn set_link(
        &self,
        node: Member,
        link: Link,
        _: Option<Duration>,
    ) -> Result<(), RigError> {
        if node == Member::Relay {
            return Err(RigError {
                doing: "cut relay".to_owned(),
                reason: "the relay has no link of its own".to_owned(),
                next_step: "name a node".to_owned(),
                refused: false,
            });
        }
        self.called("link", Some(node)).await;
        self.set(node, "link changed", |status| status.link = link);
        Ok(())
    }

    async fn heal(&self) -> Result<(), RigError> {
        self.called("heal", None).await;
        for member in [N1, N2] {
            self.set(member, "healed", |status| status.link = Link::default());
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        self.called("shutdown", None).await;
        Ok(())
    }
}

#[derive(Debug)]
struct Ready(Arc<Fake>);

#[async_trait::async_trait]
impl Launch for Ready {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn open(&self) -> Result<Arc<dyn ClusterBackend>, RigError> {
        Ok(self.0.clone())
    }
}

/// Scenarios that do what their names say.
#[derive(Debug)]
struct Player;

#[async_trait::async_trait]
impl ScenarioRunner for Player {
    fn list(&self) -> Vec<ScenarioInfo> {
        let names = ["quick", "breaks-things", "stubborn", "panics", "rig-breaks"];
        let infos = names.map(|name| ScenarioInfo {
            name: name.to_owned(),
            about: format!("it is {name}"),
        });
        infos.to_vec()
    }

    async fn run(&self, name: &str, context: ScenarioContext) -> Result<RunEnd, RigError> {
        context.progress.step(1, "begin");
        match name {
            "quick" => context.progress.note(Level::Warn, "that was quick"),
            "breaks-things" => {
                context.backend.kill(N1).await?;
                context.backend.set_link(N2, Link::cut(), None).await?;
                context.progress.step(2, "all is broken");
                context.cancel.cancelled().await;
            }
            "stubborn" => std::future::pending().await,
            "panics" => panic!("this is what it does"),
            _ => {
                return Err(RigError {
                    doing: "play".to_owned(),
                    reason: "no".to_owned(),
                    next_step: "none".to_owned(),
                    refused: false,
                });
            }
        }
        Ok(RunEnd {
            verdict: Verdict::Pass,
            note: "fine".to_owned(),
        })
    }
}

struct Desk {
    fake: Arc<Fake>,
    engine: Engine,
}

impl Desk {
    fn with(fake: Arc<Fake>) -> Self {
        let options = EngineOptions {
            cancel_within: Duration::from_millis(300),
            ..EngineOptions::default()
        };
        let launch = Arc::new(Ready(fake.clone()));
        Self {
            fake,
            engine: Engine::start(launch, Arc::new(Player), options),
        }
    }

    async fn ready() -> Self {
        let desk = Self::with(Fake::new());
        desk.wait("ready", |snapshot| snapshot.phase == Phase::Ready)
            .await;
        desk
    }

    async fn ask(&self, request: Request) {
        let requests = self.engine.requests();
        requests.send(request).await.expect("the engine runs");
    }

    async fn wait(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut snapshots = self.engine.snapshots();
        let found = tokio::time::timeout(WITHIN, snapshots.wait_for(|s| holds(s))).await;
        match found {
            Ok(snapshot) => snapshot.expect("the engine runs").clone(),
            Err(_) => panic!("never: {what}; {:#?}", self.engine.snapshots().borrow()),
        }
    }
}

fn says(snapshot: &Snapshot, source: &str, text: &str) -> bool {
    let mut events = snapshot.events.iter();
    events.any(|event| event.source == source && event.text.contains(text))
}

fn state<'a>(snapshot: &'a Snapshot, name: &str) -> &'a ScenarioState {
    let row = snapshot.scenarios.iter().find(|row| row.name == name);
    &row.expect("it is in the catalogue").state
}

fn life(snapshot: &Snapshot, member: Member) -> Option<Life> {
    let row = snapshot
        .members
        .iter()
        .find(|row| row.status.member == member);
    row.map(|row| row.status.life)
}

#[tokio::test]
async fn a_cluster_that_cannot_be_started_says_why_and_starts_when_asked_again() {
    let fake = Fake::new();
    *fake.failing_starts.lock().unwrap() = 1;
    let desk = Desk::with(fake);
    let failed = desk
        .wait("failed", |s| matches!(s.phase, Phase::Failed(_)))
        .await;
    let Phase::Failed(why) = &failed.phase else {
        unreachable!("waited for it")
    };
    assert!(why.contains("the port is taken; free it"), "{why}");
    assert!(says(&failed, "rig", "the port is taken"));
    // Scenarios wait for a cluster.
    desk.ask(Request::Run("quick".to_owned())).await;
    desk.wait("queued", |s| *state(s, "quick") == ScenarioState::Queued)
        .await;
    desk.ask(Request::Retry).await;
    desk.wait("ready", |s| s.phase == Phase::Ready).await;
    desk.wait("played", |s| {
        matches!(state(s, "quick"), ScenarioState::Done { .. })
    })
    .await;
}

#[tokio::test]
async fn the_relay_is_started_before_the_nodes() {
    let desk = Desk::ready().await;
    assert_eq!(desk.fake.calls()[0], "start relay");
    assert_eq!(desk.engine.snapshots().borrow().backend, "fake");
}

#[tokio::test]
async fn requests_reach_the_cluster_and_become_events_rows_and_marks() {
    let desk = Desk::ready().await;
    desk.ask(Request::Cut(N2)).await;
    let cut = desk
        .wait("cut", |s| s.marks.iter().any(|mark| mark.letter == 'C'))
        .await;
    assert!(says(&cut, "you", "cut node-2"));
    assert!(says(&cut, "node-2", "link changed"));
    let later = desk
        .wait("a fault that ages", |s| {
            let row = s.members.iter().find(|row| row.status.member == N2);
            row.is_some_and(|row| row.fault_since > Some(Duration::from_millis(300)))
        })
        .await;
    assert_eq!(later.members.len(), 3);
    assert!(
        later.members.iter().all(|row| row.connected.is_none()),
        "nobody answers there"
    );
    desk.ask(Request::HealAll).await;
    desk.wait("healed", |s| says(s, "rig", "everything is healed"))
        .await;
    desk.wait("marked", |s| s.marks.iter().any(|mark| mark.letter == 'H'))
        .await;

    desk.ask(Request::Cut(Member::Relay)).await;
    let refused = desk
        .wait("a refusal", |s| says(s, "rig", "the relay has no link"))
        .await;
    let line = refused.events.back().unwrap();
    assert_eq!(line.level, Level::Error);
}

#[tokio::test]
async fn requests_on_one_member_keep_their_order_and_hold_up_nobody_else() {
    let desk = Desk::ready().await;
    let before = desk.fake.calls().len();
    desk.fake
        .hangs
        .lock()
        .unwrap()
        .insert("kill node-1".to_owned());
    desk.ask(Request::Kill(N1)).await;
    desk.ask(Request::Restart(N1)).await;
    desk.ask(Request::Suspend(N2)).await;
    desk.wait("node-2 suspended", |s| life(s, N2) == Some(Life::Suspended))
        .await;
    assert_eq!(desk.fake.calls()[before..], ["suspend node-2"]);
    desk.fake.hangs.lock().unwrap().clear();
    desk.fake.let_go.notify_waiters();
    desk.wait("node-1 back", |s| {
        let row = s.members.iter().find(|row| row.status.member == N1);
        row.is_some_and(|row| row.status.generation == 2)
    })
    .await;
    let calls = desk.fake.calls();
    assert_eq!(
        calls[before..],
        ["suspend node-2", "kill node-1", "start node-1"]
    );
}

#[tokio::test]
async fn scenarios_run_one_after_another_and_tell_how_far_they_are() {
    let desk = Desk::ready().await;
    desk.ask(Request::Run("breaks-things".to_owned())).await;
    desk.ask(Request::Run("quick".to_owned())).await;
    desk.ask(Request::Run("nonsense".to_owned())).await;
    let running = desk
        .wait("two steps", |s| {
            matches!(
                state(s, "breaks-things"),
                ScenarioState::Running { steps: 2, .. }
            )
        })
        .await;
    assert_eq!(*state(&running, "quick"), ScenarioState::Queued);
    assert!(says(
        &running,
        "rig",
        "there is no scenario \"nonsense\": choose one of quick"
    ));
    desk.wait("the damage", |s| life(s, N1) == Some(Life::Dead))
        .await;

    desk.ask(Request::CancelRun).await;
    let done = desk
        .wait("quick played", |s| {
            matches!(state(s, "quick"), ScenarioState::Done { .. })
        })
        .await;
    assert!(says(&done, "scenario", "that was quick"));
    assert!(says(&done, "scenario", "quick passed: fine"));
    let calls = desk.fake.calls();
    let heal = calls.iter().position(|call| call == "heal").unwrap();
    assert_eq!(calls[heal..], ["heal", "start node-1"], "as it was before");
    desk.wait("node-1 up again", |s| life(s, N1) == Some(Life::Up))
        .await;
}

#[tokio::test]
async fn a_scenario_that_does_not_end_is_cut_short_and_proves_nothing() {
    let desk = Desk::ready().await;
    desk.ask(Request::Run("stubborn".to_owned())).await;
    desk.wait("running", |s| {
        matches!(state(s, "stubborn"), ScenarioState::Running { .. })
    })
    .await;
    desk.ask(Request::CancelRun).await;
    let done = desk
        .wait("cut short", |s| {
            matches!(state(s, "stubborn"), ScenarioState::Done { .. })
        })
        .await;
    assert!(matches!(
        state(&done, "stubborn"),
        ScenarioState::Done { verdict: Verdict::Unknown, note, .. } if note.contains("cut short")
    ));
}

#[tokio::test]
async fn a_player_that_panics_or_a_broken_rig_is_no_verdict_on_the_cluster() {
    let desk = Desk::ready().await;
    for (name, word) in [("panics", "broke"), ("rig-breaks", "none")] {
        desk.ask(Request::Run(name.to_owned())).await;
        let done = desk
            .wait("done", |s| {
                matches!(state(s, name), ScenarioState::Done { .. })
            })
            .await;
        assert!(matches!(
            state(&done, name),
            ScenarioState::Done { verdict: Verdict::Unknown, note, .. } if note.contains(word)
        ));
        assert!(says(&done, "scenario", "could not be played"));
    }
}

#[tokio::test]
async fn a_calm_cluster_is_published_about_once_a_second_and_a_busy_one_at_most_five_times() {
    let desk = Desk::ready().await;
    let count = async |span: Duration| {
        let mut snapshots = desk.engine.snapshots();
        snapshots.mark_unchanged();
        let (began, mut count) = (Instant::now(), 0);
        while let Ok(Ok(())) =
            tokio::time::timeout(span.saturating_sub(began.elapsed()), snapshots.changed()).await
        {
            count += 1;
        }
        count
    };
    // What is left of the start goes by.
    count(Duration::from_millis(1_500)).await;
    let calm = count(Duration::from_secs(3)).await;
    assert!((2..=4).contains(&calm), "{calm} in 3 s");
    let noise = async {
        loop {
            desk.fake.set(N1, "noise", |_| {});
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        busy = count(Duration::from_secs(2)) => assert!((3..=11).contains(&busy), "{busy} in 2 s"),
        () = noise => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn stopping_cancels_what_runs_and_shuts_the_cluster_down() {
    let desk = Desk::ready().await;
    desk.ask(Request::Run("breaks-things".to_owned())).await;
    desk.wait("running", |s| {
        matches!(state(s, "breaks-things"), ScenarioState::Running { .. })
    })
    .await;
    let (fake, mut snapshots) = (desk.fake.clone(), desk.engine.snapshots());
    tokio::time::timeout(WITHIN, desk.engine.stop())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fake.calls().last().map(String::as_str), Some("shutdown"));
    while snapshots.changed().await.is_ok() {}
}

#[tokio::test]
async fn a_followed_log_is_shown_as_it_grows_and_is_gone_when_nobody_follows() {
    let desk = Desk::ready().await;
    let shows = |snapshot: &Snapshot, member, text: &str| {
        let log = snapshot.log.as_ref();
        log.is_some_and(|log| log.member == member && log.lines[0].starts_with(text))
    };
    desk.ask(Request::Follow(Some(N1))).await;
    desk.wait("followed", |s| shows(s, N1, "")).await;
    let calls = desk.fake.calls().len() + 1;
    desk.ask(Request::Kill(N2)).await;
    desk.wait("grown", |s| shows(s, N1, &format!("{calls} calls")))
        .await;
    desk.ask(Request::Follow(Some(N2))).await;
    desk.wait("another", |s| shows(s, N2, "")).await;
    desk.ask(Request::Follow(None)).await;
    desk.wait("nobody", |s| s.log.is_none()).await;
}
