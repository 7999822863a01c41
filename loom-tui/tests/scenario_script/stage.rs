//! A script, a cluster of two nodes that refuse every connection, and what came of them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loom_tui::check::Claims;
use loom_tui::cluster::{
    ClusterBackend, ClusterEvent, Life, Link, Member, MemberStatus, RigError, Usage,
};
use loom_tui::history::{Op, Recorder};
use loom_tui::probe::{Clock, Probe, ProbeOptions, Target};
use loom_tui::report::Metric;
use loom_tui::scenario::host::{Host, Parts};
use loom_tui::scenario::story::Listen;
use loom_tui::scenario::trouble::Ending;
use loom_tui::scenario::{Scenario, engine};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// What came of a script.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) ended: Result<(), Ending>,
    pub(crate) claims: Claims,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) ops: Vec<Op>,
    pub(crate) done: Vec<String>,
}

impl Played {
    /// Why it stopped, for a script that must not come to its end.
    pub(crate) fn stopped(&self) -> String {
        match &self.ended {
            Ok(()) => panic!("it came to its end: {self:?}"),
            Err(ending) => format!("{ending:?}"),
        }
    }
}

/// A script called `my.rhai`.
pub(crate) fn script(source: &str) -> Scenario {
    Scenario {
        name: "my".to_owned(),
        file: "my.rhai".to_owned(),
        source: source.to_owned().into(),
    }
}

/// Plays a script to its end.
pub(crate) async fn play(source: &str) -> Played {
    play_with(source, &[], CancellationToken::new()).await
}

/// Plays a script with parameters, until its end or until it is cancelled.
pub(crate) async fn play_with(
    source: &str,
    sets: &[(&str, &str)],
    cancel: CancellationToken,
) -> Played {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, writer) = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let backend = Arc::new(Puppet::default());
    let host = host(&backend, recorder, sets, cancel).await;
    let (scenario, on) = (script(source), Arc::clone(&host));
    let ended = tokio::task::spawn_blocking(move || on.as_branch(|| engine::run(&scenario, &on)));
    let ended = ended.await.unwrap();
    let (claims, metrics, _) = host.said.all();
    drop(host);
    let ops = writer.finish().await.unwrap();
    let done = backend.done.lock().unwrap().clone();
    Played {
        ended,
        claims,
        metrics,
        ops,
        done,
    }
}

/// A host on the puppet.
pub(crate) async fn host(
    backend: &Arc<Puppet>,
    recorder: Recorder,
    sets: &[(&str, &str)],
    cancel: CancellationToken,
) -> Arc<Host> {
    let options = ProbeOptions {
        canary_every: None,
        ..ProbeOptions::default()
    };
    let targets = [1, 2].map(|number| Target {
        member: Member::Node(number),
        url: nobody(),
    });
    let probe = Probe::start(Clock::start(), &targets, &options).unwrap();
    let mark = probe.mark().await;
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Host::new(Parts {
        backend: Arc::clone(backend) as Arc<dyn ClusterBackend>,
        probe,
        mark,
        recorder,
        story: Arc::new(Stopper(cancel.clone())),
        cancel,
        sets: sets.iter().map(owned).collect(),
        seed: 7,
        file: "my.rhai".to_owned(),
        prefix: "r-".to_owned(),
        shared: false,
    })
}

/// Stops a script that asks for it with `print("stop me")`: it runs by then.
#[derive(Debug)]
struct Stopper(CancellationToken);

impl Listen for Stopper {
    fn step(&self, _: u32, _: &str) {}

    fn note(&self, text: &str) {
        if text == "stop me" {
            self.0.cancel();
        }
    }
}

/// A URL where nobody listens any more.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A cluster that remembers what was done to it.
#[derive(Debug)]
pub(crate) struct Puppet {
    links: Mutex<BTreeMap<Member, Link>>,
    done: Mutex<Vec<String>>,
    events: broadcast::Sender<ClusterEvent>,
}

impl Default for Puppet {
    fn default() -> Self {
        Self {
            links: Mutex::default(),
            done: Mutex::default(),
            events: broadcast::Sender::new(1),
        }
    }
}

impl Puppet {
    fn note(&self, what: String) -> Result<(), RigError> {
        self.done.lock().unwrap().push(what);
        Ok(())
    }
}

#[async_trait::async_trait]
impl ClusterBackend for Puppet {
    fn kind(&self) -> &'static str {
        "puppet"
    }

    async fn members(&self) -> Vec<MemberStatus> {
        let links = self.links.lock().unwrap();
        [Member::Relay, Member::Node(1), Member::Node(2)]
            .map(|member| MemberStatus {
                member,
                life: Life::Up,
                url: nobody(),
                pid: None,
                generation: 1,
                last_exit: None,
                link: links.get(&member).copied().unwrap_or_default(),
                usage: Usage::default(),
                clock_ms: 0,
            })
            .to_vec()
    }

    fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.events.subscribe()
    }

    async fn log_tail(&self, _: Member, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn log_file(&self, _: Member) -> Option<PathBuf> {
        None
    }

    async fn start(&self, member: Member) -> Result<(), RigError> {
        self.note(format!("start {member}"))
    }

    async fn stop(&self, member: Member) -> Result<(), RigError> {
        self.note(format!("stop {member}"))
    }

    async fn kill(&self, member: Member) -> Result<(), RigError> {
        self.note(format!("kill {member}"))
    }

    async fn suspend(&self, member: Member) -> Result<(), RigError> {
        self.note(format!("suspend {member}"))
    }

    async fn resume(&self, member: Member) -> Result<(), RigError> {
        self.note(format!("resume {member}"))
    }

    async fn wipe(&self, member: Member) -> Result<(), RigError> {
        // The relay's folder is out of reach; a node's must not be deleted under it.
        let broken = member == Member::Relay;
        Err(RigError {
            doing: format!("wipe {member}"),
            reason: if broken {
                "cannot delete its folder".to_owned()
            } else {
                "it is running".to_owned()
            },
            next_step: "stop it first".to_owned(),
            refused: !broken,
        })
    }

    async fn set_link(
        &self,
        node: Member,
        link: Link,
        _: Option<Duration>,
    ) -> Result<(), RigError> {
        self.links.lock().unwrap().insert(node, link);
        let way = |flow: loom_tui::cluster::Flow| match (flow.cut, flow.latency.as_millis()) {
            (true, 0) => "cut".to_owned(),
            (true, ms) => format!("cut+{ms}ms"),
            (false, 0) => "clear".to_owned(),
            (false, ms) => format!("{ms}ms"),
        };
        self.note(format!(
            "{node} up {} down {}",
            way(link.up),
            way(link.down)
        ))
    }

    async fn heal(&self) -> Result<(), RigError> {
        self.note("heal".to_owned())
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        Ok(())
    }
}
