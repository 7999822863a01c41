//! One member of a local cluster: the task that owns its process, its port and its link's lease.
//!
//! [`Resident::run`] carries out what [`Lifecycle`] decides. It never waits for the process it
//! looks after: while a start awaits health, a kill is heard.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

use super::config::LocalConfig;
use super::health;
use crate::cluster::child::{Nursery, Running};
use crate::cluster::clocks::Clocks;
use crate::cluster::desk::{Order, Waiting};
use crate::cluster::lifecycle::{Action, Input, Lifecycle, Limits, Refusal};
use crate::cluster::logs::LogBook;
use crate::cluster::ports::{Port, address};
use crate::cluster::proxy::LinkProxy;
use crate::cluster::{ClusterEvent, Link, Member, MemberStatus};

/// How often a start is tried on another port when the one it had was lost.
const PORTS_MAX: u32 = 3;
/// How long to wait for the last lines of a process that has ended.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);
/// How many of them are worth repeating.
const LAST_WORDS_MAX: usize = 8;

pub(super) struct Resident {
    pub(super) config: Arc<LocalConfig>,
    pub(super) nursery: Nursery,
    pub(super) log: LogBook,
    pub(super) events: broadcast::Sender<ClusterEvent>,
    pub(super) status: watch::Sender<MemberStatus>,
    pub(super) port: Port,
    /// A node's own; what it dials.
    pub(super) link: Option<Arc<LinkProxy>>,
    /// The relay's: every node's, to be told when the relay moves to another port.
    pub(super) links_to_it: Vec<Arc<LinkProxy>>,
    pub(super) clocks: Arc<Clocks>,
    pub(super) member: Member,
}

/// What comes and goes with each process.
struct Now {
    lifecycle: Lifecycle<Waiting>,
    running: Option<Running>,
    /// Resolves when the process has printed its last line.
    printed: Option<oneshot::Receiver<()>>,
    health: Option<BoxFuture<'static, ()>>,
    lease: Option<Instant>,
    ports_lost: u32,
}

impl Resident {
    /// Serves orders until nobody can give any; then its process is killed.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let limits = Limits {
            ready_within: self.config.ready_within,
            grace: self.config.grace,
        };
        let mut now = Now {
            lifecycle: Lifecycle::new(limits),
            running: None,
            printed: None,
            health: None,
            lease: None,
            ports_lost: 0,
        };
        loop {
            let deadline = now.lifecycle.deadline();
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Wish(wish, waiting)) => {
                        self.feed(&mut now, Input::Wish(wish, waiting)).await;
                    }
                    Some(Order::SetLink(link, lease, waiting)) => {
                        self.set_link(&mut now, link, lease);
                        waiting.settle(Ok(()));
                    }
                    None => return,
                },
                how = ended(&mut now.running) => self.on_ended(&mut now, how).await,
                () = healthy(&mut now.health) => {
                    now.health = None;
                    self.feed(&mut now, Input::Healthy).await;
                }
                () = at(deadline) => self.feed(&mut now, Input::Deadline).await,
                () = at(now.lease) => {
                    now.lease = None;
                    self.relink(Link::default(), "link healed: its lease ran out");
                }
            }
            let life = now.lifecycle.life();
            let pid = now.running.as_ref().map(Running::pid);
            self.status.send_if_modified(|status| {
                let modified = status.life != life || status.pid != pid;
                status.life = life;
                status.pid = pid;
                modified
            });
        }
    }

    async fn feed(&mut self, now: &mut Now, input: Input<Waiting>) {
        let mut inputs = vec![input];
        let mut actions = Vec::new();
        while let Some(input) = inputs.pop() {
            now.lifecycle.handle(input, Instant::now(), &mut actions);
            // Seen by whoever is told next.
            self.status
                .send_modify(|status| status.life = now.lifecycle.life());
            for action in actions.drain(..) {
                match action {
                    Action::Spawn => {
                        now.ports_lost = 0;
                        if let Err(why) = self.spawn_somewhere(now).await {
                            inputs.push(Input::NotStarted(why));
                        }
                    }
                    Action::Watch => self.watch(now),
                    Action::Signal(signal) => {
                        if let Some(running) = &now.running {
                            running.signal(signal);
                        }
                    }
                    Action::Wipe(waiting) => waiting.settle(self.wipe().await),
                    Action::Settle(waiting, outcome) => waiting.settle(outcome),
                    Action::Announce { what, unexpected } => self.announce(what, unexpected),
                }
            }
        }
    }

    /// Starts a process on the port there is, or on another if somebody listens on it by now:
    /// whoever that is might answer `/health` before the process has found out.
    async fn spawn_somewhere(&mut self, now: &mut Now) -> Result<(), String> {
        if self.port.is_lost() {
            let moved = self.move_port();
            moved.map_err(|error| format!("no free port: {error}"))?;
        }
        self.spawn(now).await
    }

    async fn spawn(&self, now: &mut Now) -> Result<(), String> {
        let (wanted, port) = (self.config.wanted_port(self.member), self.port.number());
        let first = self.status.borrow().generation == 0;
        if first && wanted != 0 && wanted != port {
            self.announce(format!("port {wanted} is taken: using {port}"), true);
        }
        let (output, printed) = self
            .log
            .open()
            .map_err(|error| format!("cannot write {}: {error}", self.log.path().display()))?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let relay = self.link.as_ref().map(|link| link.address());
        let mut command = self.config.command(self.member, self.port.number(), relay);
        if let Member::Node(_) = self.member {
            let ahead_ms = self.clocks.get(self.member);
            command.args(["--fault-api", &format!("--clock-offset-ms={ahead_ms}")]);
        }
        command.stdout(output).stderr(errors);
        let program = self.config.program.display();
        let running = self
            .nursery
            .start(command)
            .await
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        self.status.send_modify(|status| {
            status.generation += 1;
            status.pid = Some(running.pid());
        });
        now.running = Some(running);
        now.printed = Some(printed);
        self.watch(now);
        Ok(())
    }

    fn watch(&self, now: &mut Now) {
        let address = address(self.port.number()).to_string();
        now.health = Some(Box::pin(health::answered(address)));
    }

    async fn on_ended(&mut self, now: &mut Now, how: String) {
        let starting = now.lifecycle.is_starting();
        now.running = None;
        now.health = None;
        self.status.send_modify(|status| {
            status.pid = None;
            status.last_exit = Some(how.clone());
        });
        if let Some(printed) = now.printed.take() {
            // A grandchild may hold the pipe open: then what was booked so far must do.
            let _ = timeout(LAST_WORDS_WITHIN, printed).await;
        }
        if starting && self.port.is_lost() && now.ports_lost < PORTS_MAX {
            now.ports_lost += 1;
            match self.spawn_somewhere(now).await {
                Ok(()) => return,
                Err(why) => return self.feed(now, Input::NotStarted(why)).await,
            }
        }
        let words = self.log.tail(LAST_WORDS_MAX).join("\n");
        let how = match words.as_str() {
            "" => how,
            words => format!("{how}; it printed last:\n{words}"),
        };
        self.feed(now, Input::Exited(how)).await;
    }

    /// Takes another port and tells everybody who has to know.
    fn move_port(&mut self) -> std::io::Result<()> {
        let lost = self.port.number();
        self.port = Port::take(0)?;
        let here = address(self.port.number());
        for link in &self.links_to_it {
            link.retarget(here);
        }
        self.status
            .send_modify(|status| status.url = format!("http://{here}"));
        let what = format!("port {lost} was taken meanwhile: using {}", here.port());
        self.announce(what, true);
        Ok(())
    }

    async fn wipe(&self) -> Result<(), Refusal> {
        let path = self.config.data_path(self.member);
        let shown = path.display().to_string();
        match tokio::task::spawn_blocking(move || remove(&path)).await {
            Ok(Ok(())) => {
                self.announce("wiped: its data is deleted".to_owned(), false);
                Ok(())
            }
            Ok(Err(error)) => Err(Refusal {
                reason: format!("cannot delete {shown}: {error}"),
                next_step: "check who owns that folder",
                senseless: false,
            }),
            Err(_) => Err(Refusal {
                reason: format!("deleting {shown} was interrupted"),
                next_step: "try again",
                senseless: false,
            }),
        }
    }

    fn set_link(&self, now: &mut Now, link: Link, lease: Option<Duration>) {
        // A clear link needs nobody to heal it.
        let lease = lease.filter(|_| !link.is_clear());
        now.lease = lease.map(|lease| Instant::now() + lease);
        let what = link.told(lease);
        self.relink(link, &what);
    }

    fn relink(&self, link: Link, what: &str) {
        let Some(proxy) = &self.link else { return };
        if proxy.link() == link {
            return;
        }
        proxy.set(link);
        self.status.send_modify(|status| status.link = link);
        self.announce(what.to_owned(), false);
    }

    fn announce(&self, what: String, unexpected: bool) {
        // Nobody may be listening.
        let _ = self.events.send(ClusterEvent {
            at: SystemTime::now(),
            member: Some(self.member),
            what,
            unexpected,
        });
    }
}

async fn ended(running: &mut Option<Running>) -> String {
    match running {
        Some(running) => running.ended().await,
        None => std::future::pending().await,
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

fn remove(path: &PathBuf) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
