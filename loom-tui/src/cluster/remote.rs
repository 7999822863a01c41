//! The backend of a cluster that is known only by its URLs: it can be written, watched and judged,
//! and not broken.
//!
//! [`RemoteCluster::open`] is its one door. Whether a member lives is what `/health` says, asked
//! from a task per member. Every fault is refused with the reason that was given when it was opened,
//! so that a scenario which needs one is skipped for that reason and not failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{ClusterBackend, ClusterEvent, Life, Link, Member, MemberStatus, RigError};

/// Events kept for a slow reader.
const EVENTS_MAX: usize = 1_024;
/// Between two questions to one member.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// For one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Questions in a row without an answer, after which a member counts as dead: one may be lost.
const SILENT_MAX: u32 = 3;
/// How long a member that is down is waited for: whoever runs it may be starting it again.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// Where a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// Base URLs of the nodes, `node-1` first.
    pub nodes: Vec<Url>,
    /// Base URL of the relay, if it can be reached from here.
    pub relay: Option<Url>,
}

/// The base URL of a member: `http://host:port`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(String);

/// A cluster somebody else runs.
#[derive(Debug)]
pub struct RemoteCluster {
    members: Vec<Remote>,
    events: broadcast::Sender<ClusterEvent>,
    no_faults: String,
}

#[derive(Debug)]
struct Remote {
    member: Member,
    url: String,
    seen: Arc<Mutex<Seen>>,
    life: watch::Receiver<Life>,
    asking: JoinHandle<()>,
}

/// What was last seen of a member.
#[derive(Debug, Default)]
struct Seen {
    /// How often it came up.
    generation: u32,
    /// Why it does not answer.
    silent: Option<String>,
}

impl std::str::FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("{text:?} is no address of a member: {why}; write http://HOST:PORT")
        };
        let url = reqwest::Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if url.scheme() != "http" {
            return Err(wrong("members speak plain http"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a path"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it has a user, which members do not ask for"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl RemoteCluster {
    /// Looks at the cluster at these URLs from now on. `no_faults` says what it would take to break
    /// it, as in "needs the engine's socket". Called within the runtime.
    ///
    /// # Errors
    ///
    /// When there is no node among them, or no HTTP to ask with.
    pub fn open(urls: &Urls, no_faults: impl Into<String>) -> Result<Self, RigError> {
        let broken = |reason: String, next_step: &str| RigError {
            doing: "look at a cluster by its URLs".to_owned(),
            reason,
            next_step: next_step.to_owned(),
            refused: false,
        };
        let http = crate::client::http()
            .map_err(|error| broken(error.to_string(), "look at what the system lacks"))?;
        let numbered = urls.nodes.iter().zip(1..=u8::MAX);
        let nodes = numbered.map(|(url, number)| (Member::Node(number), url));
        if urls.nodes.is_empty() || urls.nodes.len() > usize::from(u8::MAX) {
            let reason = format!("{} nodes are named", urls.nodes.len());
            return Err(broken(reason, "name 1 to 255"));
        }
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let relay = urls.relay.iter().map(|url| (Member::Relay, url));
        let members = relay.chain(nodes).map(|(member, url)| {
            let seen = Arc::<Mutex<Seen>>::default();
            let (tell, life) = watch::channel(Life::Starting);
            let asking = Asking {
                member,
                url: format!("{url}/health"),
                http: http.clone(),
                seen: Arc::clone(&seen),
                life: tell,
                events: events.clone(),
            };
            Remote {
                member,
                url: url.to_string(),
                seen,
                life,
                asking: tokio::spawn(asking.run()),
            }
        });
        Ok(Self {
            members: members.collect(),
            events,
            no_faults: no_faults.into(),
        })
    }

    /// Waits until every member answers.
    ///
    /// # Errors
    ///
    /// Who does not, and why.
    pub async fn await_answers(&self) -> Result<(), RigError> {
        for remote in &self.members {
            self.start(remote.member).await?;
        }
        Ok(())
    }

    fn find(&self, doing: &str, member: Member) -> Result<&Remote, RigError> {
        let found = self.members.iter().find(|remote| remote.member == member);
        found.ok_or_else(|| RigError {
            doing: format!("{doing} {member}"),
            reason: "no URL of it is known here".to_owned(),
            next_step: "name it with --urls (nodes) or --relay-url".to_owned(),
            refused: true,
        })
    }

    fn refuse(&self, doing: &str, member: Member) -> Result<(), RigError> {
        self.find(doing, member)?;
        Err(RigError {
            doing: format!("{doing} {member}"),
            reason: "of this cluster only the URLs are known".to_owned(),
            next_step: format!("breaking it {}", self.no_faults),
            refused: true,
        })
    }
}

#[async_trait::async_trait]
impl ClusterBackend for RemoteCluster {
    fn kind(&self) -> &'static str {
        "urls"
    }

    fn without_faults(&self) -> Option<&str> {
        Some(&self.no_faults)
    }

    async fn members(&self) -> Vec<MemberStatus> {
        let statuses = self.members.iter().map(|remote| {
            let seen = lock(&remote.seen);
            MemberStatus {
                life: *remote.life.borrow(),
                generation: seen.generation,
                last_exit: seen.silent.clone(),
                ..MemberStatus::stopped(remote.member, remote.url.clone())
            }
        });
        statuses.collect()
    }

    fn events(&self) -> broadcast::Receiver<ClusterEvent> {
        self.events.subscribe()
    }

    async fn log_tail(&self, _: Member, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn log_file(&self, _: Member) -> Option<std::path::PathBuf> {
        None
    }

    /// Starts nothing: waits until the member answers, because whoever runs it may bring it back.
    async fn start(&self, member: Member) -> Result<(), RigError> {
        let remote = self.find("start", member)?;
        let mut life = remote.life.clone();
        let up = life.wait_for(|life| *life == Life::Up);
        if let Ok(Ok(_)) = timeout(BACK_WITHIN, up).await {
            return Ok(());
        }
        let silent = lock(&remote.seen).silent.clone();
        let silent = silent.unwrap_or_else(|| "no answer yet".to_owned());
        Err(RigError {
            doing: format!("wait for {member}"),
            reason: format!("{} does not answer: {silent}", remote.url),
            next_step: "start it where it runs, and check the URL".to_owned(),
            refused: false,
        })
    }

    async fn stop(&self, member: Member) -> Result<(), RigError> {
        self.refuse("stop", member)
    }

    async fn kill(&self, member: Member) -> Result<(), RigError> {
        self.refuse("kill", member)
    }

    async fn suspend(&self, member: Member) -> Result<(), RigError> {
        self.refuse("suspend", member)
    }

    async fn resume(&self, member: Member) -> Result<(), RigError> {
        // Nobody can have been suspended from here.
        self.find("resume", member).map(drop)
    }

    async fn wipe(&self, member: Member) -> Result<(), RigError> {
        self.refuse("wipe", member)
    }

    async fn set_link(
        &self,
        node: Member,
        link: Link,
        _lease: Option<Duration>,
    ) -> Result<(), RigError> {
        if link.is_clear() {
            return self.find("heal", node).map(drop);
        }
        self.refuse("change the link of", node)
    }

    async fn heal(&self) -> Result<(), RigError> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), RigError> {
        // Nothing was started here but the asking.
        for remote in &self.members {
            remote.asking.abort();
        }
        Ok(())
    }
}

impl Drop for RemoteCluster {
    fn drop(&mut self) {
        for remote in &self.members {
            remote.asking.abort();
        }
    }
}

/// The task that asks one member.
struct Asking {
    member: Member,
    url: String,
    http: reqwest::Client,
    seen: Arc<Mutex<Seen>>,
    life: watch::Sender<Life>,
    events: broadcast::Sender<ClusterEvent>,
}

impl Asking {
    async fn run(self) {
        let mut silent = 0;
        loop {
            let asked = self.http.get(&self.url).timeout(ANSWER_WITHIN).send();
            match asked.await {
                // Whatever it says, it answers; what it says is for whoever uses it.
                Ok(_) => {
                    silent = 0;
                    self.answers();
                }
                Err(error) => {
                    silent += 1;
                    let why = crate::client::outcome::innermost(&error);
                    lock(&self.seen).silent = Some(why.clone());
                    if silent >= SILENT_MAX {
                        self.is_silent(&why);
                    }
                }
            }
            sleep(ASK_EVERY).await;
        }
    }

    fn answers(&self) {
        let came = self.life.send_if_modified(|life| {
            let came = *life != Life::Up;
            if came {
                *life = Life::Up;
                let mut seen = lock(&self.seen);
                seen.generation += 1;
                seen.silent = None;
            }
            came
        });
        if came {
            self.tell("answers".to_owned(), false);
        }
    }

    fn is_silent(&self, why: &str) {
        let went = self.life.send_if_modified(|life| {
            let went = *life == Life::Up;
            if went {
                *life = Life::Dead;
            }
            went
        });
        if went {
            self.tell(format!("does not answer any more: {why}"), true);
        }
    }

    fn tell(&self, what: String, unexpected: bool) {
        // Nobody has to listen.
        let _ = self.events.send(ClusterEvent {
            at: SystemTime::now(),
            member: Some(self.member),
            what,
            unexpected,
        });
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    // What is held is plain data.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        let good = ["http://loom-node-1:3001", "http://127.0.0.1:3001/"];
        for text in good {
            assert!(text.parse::<Url>().is_ok(), "{text}");
        }
        for (text, why) in [
            ("localhost:3001", "plain http"),
            ("https://a:1", "plain http"),
            ("http://", "empty host"),
            ("http://a:1/gun", "has a path"),
            ("http://a:1?x", "has a path"),
            ("http://me@a:1", "has a user"),
            ("http://a:99999", "invalid port"),
            ("", "relative URL"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(error.contains("http://HOST:PORT"), "{error}");
        }
    }
}
