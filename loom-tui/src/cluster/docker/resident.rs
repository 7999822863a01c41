//! One member of a cluster of containers: the task that carries out what [`Lifecycle`] decides.
//!
//! It takes orders one after the other and believes only what an inspection says, which it makes
//! whenever the engine says that something happened: so somebody else may kill, pause or
//! disconnect the container at any time, and it is seen for what it is.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

use super::container::{Container, Process, Seen};
use super::logs::{self, Upto};
use super::place::Place;
use super::usage::Following;
use super::wipe;
use crate::cluster::clocks::{self, Clocks};
use crate::cluster::desk::{Order, Waiting};
use crate::cluster::lifecycle::{Action, Input, Lifecycle, Limits, Refusal, Signal};
use crate::cluster::local::health;
use crate::cluster::logs::LogBook;
use crate::cluster::{ClusterEvent, Life, Link, Member, MemberStatus};

/// How long to wait for the last lines of a process that has ended.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(1_000);
/// For a process that was found frozen to answer, once it is thawed.
const MENDED_WITHIN: Duration = Duration::from_secs(5);
/// How many of them are worth repeating.
const LAST_WORDS_MAX: usize = 8;

const SEE_ENGINE: &str = "see what `docker ps -a` and `docker logs` say of it";

pub(super) struct Resident {
    pub(super) member: Member,
    pub(super) container: Container,
    pub(super) place: Arc<Place>,
    pub(super) clocks: Arc<Clocks>,
    pub(super) limits: Limits,
    pub(super) log: LogBook,
    pub(super) events: broadcast::Sender<ClusterEvent>,
    pub(super) status: watch::Sender<MemberStatus>,
    /// The engine says that something happened.
    pub(super) hint: Arc<Notify>,
}

/// What comes and goes with each process.
pub(super) struct Now {
    pub(super) lifecycle: Lifecycle<Waiting>,
    pub(super) process: Option<Process>,
    /// Resolves when the process has printed its last line, and says which that was.
    printed: Option<(oneshot::Receiver<()>, oneshot::Receiver<Upto>)>,
    upto: Upto,
    health: Option<BoxFuture<'static, ()>>,
    /// What it costs, kept up to date in its place.
    usage: Option<Following>,
    pub(super) lease: Option<Instant>,
    pub(super) link: Link,
    pub(super) on_network: bool,
    /// Whether the process has answered, so that its link can be set.
    pub(super) answers: bool,
    /// Its address on the network when it was last there.
    pub(super) address: String,
    /// Whether it has been put back with another address: the sockets it had are dead.
    pub(super) severed: bool,
    /// Whether anything was seen yet.
    looked: bool,
    /// Whether its process was there before this controller, and has not answered yet.
    found: bool,
}

impl Resident {
    /// Serves orders until nobody can give any.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut now = Now {
            lifecycle: Lifecycle::new(self.limits),
            process: None,
            printed: None,
            upto: Upto::new(),
            health: None,
            usage: None,
            lease: None,
            link: Link::default(),
            on_network: true,
            answers: false,
            address: String::new(),
            severed: false,
            looked: false,
            found: false,
        };
        self.look(&mut now).await;
        loop {
            let deadline = now.lifecycle.deadline();
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Wish(wish, waiting)) => {
                        self.feed(&mut now, Input::Wish(wish, waiting)).await;
                    }
                    Some(Order::SetLink(link, lease, waiting)) => {
                        waiting.settle(self.set_link(&mut now, link, lease).await);
                    }
                    None => return,
                },
                () = self.hint.notified() => self.look(&mut now).await,
                () = healthy(&mut now.health) => {
                    now.health = None;
                    self.on_healthy(&mut now).await;
                }
                () = at(deadline) => {
                    // The engine may know of an end that it has not told.
                    self.look(&mut now).await;
                    self.feed(&mut now, Input::Deadline).await;
                }
                () = at(now.lease) => {
                    now.lease = None;
                    let healed = self.apply(&mut now, Link::default()).await;
                    self.say_link(&now, healed, "link healed: its lease ran out");
                }
            }
            self.show(&now);
        }
    }

    pub(super) fn show(&self, now: &Now) {
        let life = now.lifecycle.life();
        let pid = now.process.as_ref().and_then(|_| self.place.pid());
        self.status.send_if_modified(|status| {
            let modified = (status.life, status.pid, status.link) != (life, pid, now.link);
            status.life = life;
            status.pid = pid;
            status.link = now.link;
            modified
        });
    }

    async fn feed(&mut self, now: &mut Now, input: Input<Waiting>) {
        let mut inputs = vec![input];
        let mut actions = Vec::new();
        while let Some(input) = inputs.pop() {
            now.lifecycle.handle(input, Instant::now(), &mut actions);
            // Seen by whoever is told next.
            self.show(now);
            let mut failed = None;
            for action in actions.drain(..) {
                match action {
                    Action::Spawn => {
                        if let Err(why) = self.spawn(now).await {
                            inputs.push(Input::NotStarted(why));
                        }
                    }
                    Action::Watch => self.watch(now),
                    Action::Signal(signal) => failed = self.signal(now, signal).await.err(),
                    Action::Wipe(waiting) => waiting.settle(self.wipe().await),
                    Action::Settle(waiting, outcome) => waiting.settle(match &failed {
                        Some(why) => Err(broken(why.clone())),
                        None => outcome,
                    }),
                    Action::Announce { what, unexpected } => {
                        if failed.is_none() {
                            self.announce(what, unexpected);
                        }
                    }
                }
            }
            if failed.is_some() {
                // What is true now is not what was decided.
                self.hint.notify_one();
            }
        }
    }

    async fn signal(&mut self, now: &mut Now, signal: Signal) -> Result<(), String> {
        self.container.signal(signal).await?;
        if signal == Signal::Cont {
            self.mend_found(now).await;
        }
        if signal == Signal::Cont && now.lifecycle.life() == Life::Up {
            // What was set meanwhile could not reach a frozen process.
            let link = now.link;
            self.apply(now, link).await?;
        }
        Ok(())
    }

    /// A frozen process that was found could not be asked what a controller that is gone has left
    /// in it. As soon as it is thawed it can.
    async fn mend_found(&mut self, now: &mut Now) {
        let answered = health::answered(self.place.authority());
        if !now.found || timeout(MENDED_WITHIN, answered).await.is_err() {
            return;
        }
        now.answers = true;
        self.right_clock(now).await;
        let link = now.link;
        let applied = self.apply(now, link).await;
        self.say_link(now, applied, "");
    }

    /// Has a process that answers run by the clock it is to have.
    async fn right_clock(&self, now: &mut Now) {
        let ahead_ms = self.clocks.get(self.member);
        // One that was found may still have what a controller that is gone has set.
        let found = std::mem::take(&mut now.found) && self.member != Member::Relay;
        if (ahead_ms != 0 || found)
            && let Err(error) = clocks::tell(&self.place.authority(), ahead_ms).await
            && (ahead_ms != 0 || error.kind() != io::ErrorKind::Unsupported)
        {
            self.announce(format!("its clock cannot be set: {error}"), true);
        }
    }

    async fn spawn(&mut self, now: &mut Now) -> Result<(), String> {
        // A process begins with a clear link: until it is set, the network keeps it apart.
        let link = now.link;
        self.apply(now, link).await?;
        self.container.start().await?;
        let seen = self.container.look().await?;
        let seen = seen.ok_or("its container is gone")?;
        // One that has ended already is noticed by the next look.
        self.hint.notify_one();
        let process = seen.process.clone().unwrap_or_else(|| Process {
            started_at: String::new(),
            pid: 0,
        });
        self.begin(now, process, &seen);
        self.watch(now);
        Ok(())
    }

    /// Takes note of a process that runs now.
    fn begin(&mut self, now: &mut Now, process: Process, seen: &Seen) {
        self.place.begin(seen, process.pid);
        let (pid, url) = (self.place.pid(), self.place.url());
        self.status.send_modify(|status| {
            status.generation += 1;
            status.pid = pid;
            status.url = url;
        });
        now.process = Some(process);
        (now.answers, now.severed) = (false, false);
        now.address.clone_from(&seen.address);
        let (docker, name) = (self.container.docker.clone(), self.container.name.clone());
        let place = Arc::clone(&self.place);
        now.usage = Some(Following::begin(docker.clone(), name.clone(), place));
        match logs::follow(docker, name, now.upto.clone(), &self.log) {
            Ok(printed) => now.printed = Some(printed),
            Err(error) => {
                let path = self.log.path().display().to_string();
                tracing::warn!(%error, path, "cannot keep what a member prints");
            }
        }
    }

    fn watch(&self, now: &mut Now) {
        now.health = Some(Box::pin(health::answered(self.place.authority())));
    }

    async fn on_healthy(&mut self, now: &mut Now) {
        now.answers = true;
        let link = now.link;
        if let Err(why) = self.apply(now, link).await {
            // It stays off the network, which is more than was asked for, never less.
            self.announce(format!("its link cannot be set: {why}"), true);
        }
        self.right_clock(now).await;
        self.feed(now, Input::Healthy).await;
    }

    /// Finds out what is true, and tells the machine what is news.
    async fn look(&mut self, now: &mut Now) {
        let seen = match self.container.look().await {
            Ok(seen) => seen,
            // That is the engine's trouble, not the member's, and is told as such.
            Err(error) => {
                let name = &self.container.name;
                tracing::warn!(error, name, "cannot look at a container");
                return;
            }
        };
        let first = !std::mem::replace(&mut now.looked, true);
        let process = seen.as_ref().and_then(|seen| seen.process.clone());
        if now.process.is_some() && now.process != process {
            let how = match &seen {
                Some(Seen {
                    process: None,
                    exit,
                    ..
                }) => exit.clone(),
                Some(_) => "it was started anew".to_owned(),
                None => "its container was removed".to_owned(),
            };
            self.on_ended(now, how).await;
        }
        let Some(seen) = seen else { return };
        if let (Some(process), None) = (process, &now.process) {
            self.begin(now, process, &seen);
            if first {
                now.found = true;
                self.recall(now, &seen).await;
            }
            self.feed(now, Input::Found { aloud: !first }).await;
        } else if first {
            self.see_network(now, &seen, first).await;
        }
        match (seen.paused, now.lifecycle.life()) {
            (true, Life::Up | Life::Starting) => self.feed(now, Input::Frozen).await,
            (false, Life::Suspended) if now.process.is_some() => {
                self.feed(now, Input::Thawed).await;
                self.mend_found(now).await;
                let link = now.link;
                let applied = self.apply(now, link).await;
                self.say_link(now, applied, "");
            }
            _ => {}
        }
        if !first {
            self.see_network(now, &seen, first).await;
        }
        self.show(now);
    }

    async fn on_ended(&mut self, now: &mut Now, how: String) {
        now.process = None;
        now.health = None;
        now.usage = None;
        self.place.end();
        self.status.send_modify(|status| {
            status.pid = None;
            status.last_exit = Some(how.clone());
        });
        if let Some((booked, stopped)) = now.printed.take() {
            // An engine that keeps the stream open is not waited for.
            let _ = timeout(LAST_WORDS_WITHIN, booked).await;
            if let Ok(Ok(upto)) = timeout(LAST_WORDS_WITHIN, stopped).await {
                now.upto = upto;
            }
        }
        let words = self.log.tail(LAST_WORDS_MAX).join("\n");
        let how = match words.as_str() {
            "" => how,
            words => format!("{how}; it printed last:\n{words}"),
        };
        self.feed(now, Input::Exited(how)).await;
    }

    async fn wipe(&self) -> Result<(), Refusal> {
        match wipe::wipe(&self.container).await {
            Ok(()) => {
                self.announce("wiped: its data is deleted".to_owned(), false);
                Ok(())
            }
            Err(reason) => Err(broken(reason)),
        }
    }

    pub(super) fn announce(&self, what: String, unexpected: bool) {
        // Nobody may be listening.
        let _ = self.events.send(ClusterEvent {
            at: SystemTime::now(),
            member: Some(self.member),
            what,
            unexpected,
        });
    }
}

pub(super) fn broken(reason: String) -> Refusal {
    Refusal {
        reason,
        next_step: SEE_ENGINE,
        senseless: false,
    }
}

async fn healthy(health: &mut Option<BoxFuture<'static, ()>>) {
    match health {
        Some(health) => health.await,
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
