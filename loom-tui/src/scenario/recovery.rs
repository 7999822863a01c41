//! How long a cluster takes to agree again after each heal and each start.
//!
//! Every mending fault starts a stopwatch. It stops when the nodes that are up and not cut off hold
//! the same: equal digests, or, while writes go on, every write made before shown by all, and digests
//! that move and differ by no more records than are under way; or, while somebody waits for its clock,
//! every write made before that is due shown by all. A fault that breaks something
//! meanwhile interrupts it, and one that still keeps the mended member apart leaves nothing to be
//! measured: it would be that fault.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::settle::{self, Digests};
use crate::check::convergence::{Recovered, Recovery};
use crate::cluster::{ClusterBackend, Life, Member};
use crate::history::Action;
use crate::probe::Probe;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Records two nodes may differ by while writes go on, beside those that are known to be under way:
/// two nodes are not asked at the same moment.
const SKEW_MAX: u64 = 64;
/// Stopwatches of one run; more are counted and not timed.
const RECOVERIES_MAX: usize = 10_000;
/// How long a cluster that was seen to be quiet may take to be seen so by its stopwatches.
const LAST_LOOK_WITHIN: Duration = Duration::from_secs(2);

/// Every stopwatch of a run.
#[derive(Debug)]
pub struct Recoveries {
    backend: Arc<dyn ClusterBackend>,
    probe: Probe,
    shared: bool,
    watches: Mutex<Vec<Watch>>,
}

#[derive(Debug)]
struct Watch {
    recovery: Arc<Mutex<Recovery>>,
    running: Option<JoinHandle<()>>,
}

impl Recoveries {
    /// None yet.
    pub fn new(backend: Arc<dyn ClusterBackend>, probe: Probe, shared: bool) -> Self {
        Self {
            backend,
            probe,
            shared,
            watches: Mutex::default(),
        }
    }

    /// Something is about to be done: what breaks the cluster interrupts every stopwatch.
    pub fn begins(&self, action: Action, what: &str) {
        if is_mending(action) && action != Action::Restart {
            return;
        }
        for watch in self.lock().iter_mut() {
            watch.interrupt(what);
        }
    }

    /// Something was done at `at` of the run: what mends the cluster starts a stopwatch. Called within
    /// the runtime.
    pub fn done(&self, action: Action, member: Option<Member>, what: &str, at: Duration) {
        let mut watches = self.lock();
        if !is_mending(action) || watches.len() >= RECOVERIES_MAX {
            return;
        }
        let recovery = Arc::new(Mutex::new(Recovery {
            after: what.to_owned(),
            at_ms: at.as_secs_f64() * 1_000.0,
            ended: Recovered::Not("it was not looked at yet".to_owned()),
        }));
        let timing = Timing {
            backend: Arc::clone(&self.backend),
            probe: self.probe.clone(),
            shared: self.shared,
            member,
            recovery: Arc::clone(&recovery),
        };
        watches.push(Watch {
            recovery,
            running: Some(tokio::spawn(timing.run())),
        });
    }

    /// All of them, once the run is over. A cluster that is quiet has been seen to agree.
    pub async fn finish(&self, is_quiet: bool) -> Vec<Recovery> {
        let watches = std::mem::take(&mut *self.lock());
        let until = tokio::time::Instant::now() + LAST_LOOK_WITHIN;
        let mut all = Vec::with_capacity(watches.len());
        for mut watch in watches {
            if let Some(mut running) = watch.running.take() {
                if is_quiet {
                    let _ = tokio::time::timeout_at(until, &mut running).await;
                }
                running.abort();
            }
            all.push(
                watch
                    .recovery
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone(),
            );
        }
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watch>> {
        // What is held is plain data.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    fn interrupt(&mut self, by: &str) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.abort();
        let mut recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        if let Recovered::Not(_) = recovery.ended {
            recovery.ended = Recovered::NotMeasured(format!("{by} came before agreement"));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn is_mending(action: Action) -> bool {
    matches!(
        action,
        Action::Heal | Action::HealAll | Action::Start | Action::Restart | Action::Resume
    )
}

/// One stopwatch while it runs.
struct Timing {
    backend: Arc<dyn ClusterBackend>,
    probe: Probe,
    shared: bool,
    /// Who was mended; `None` for the cluster.
    member: Option<Member>,
    recovery: Arc<Mutex<Recovery>>,
}

impl Timing {
    async fn run(self) {
        let Self { backend, probe, .. } = &self;
        let (begun, before) = (Instant::now(), probe.clock().now());
        let apart = match (whole(&**backend, probe).await, self.member) {
            (Err(why), _) => Some(why),
            (Ok(whole), Some(node @ Member::Node(_))) if !whole.contains(&node) => {
                Some(format!("{node} was still kept apart"))
            }
            (Ok(_), _) => None,
        };
        if let Some(why) = apart {
            return self.tell(Recovered::NotMeasured(why));
        }
        let mut last: Option<Digests> = None;
        loop {
            let looked = look(&**backend, probe, self.shared, before, &mut last).await;
            match looked {
                Ok(()) => return self.tell(Recovered::Within(begun.elapsed())),
                Err(why) => self.tell(Recovered::Not(why)),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn tell(&self, ended: Recovered) {
        let mut recovery = self.recovery.lock().unwrap_or_else(PoisonError::into_inner);
        recovery.ended = ended;
    }
}

/// Whether the nodes that can hear each other agree; else why not.
async fn look(
    backend: &dyn ClusterBackend,
    probe: &Probe,
    shared: bool,
    before: Duration,
    last: &mut Option<Digests>,
) -> Result<(), String> {
    let whole = whole(backend, probe).await?;
    let seen = settle::digests(probe, &whole).await?;
    if seen.are_equal() {
        return Ok(());
    }
    let waiting = seen.waiting();
    if let Some(owed) = probe.owed_since(before, &whole, &waiting).await {
        return Err(owed);
    }
    if shared || !waiting.is_empty() {
        // What else differs may be others', or not due yet.
        return Ok(());
    }
    let moved = last.as_ref().is_some_and(|last| *last != seen);
    let spread = seen.spread();
    let difference = seen.difference();
    *last = Some(seen);
    let under_way = probe.under_way().await;
    if moved && under_way > 0 && spread <= under_way.saturating_add(SKEW_MAX) {
        return Ok(());
    }
    Err(difference)
}

/// The nodes that are up and not cut off; at least two of them.
async fn whole(backend: &dyn ClusterBackend, probe: &Probe) -> Result<Vec<Member>, String> {
    let statuses = backend.members().await;
    let is_up = |member| {
        let mut up = statuses.iter().filter(|status| status.life == Life::Up);
        up.any(|status| status.member == member)
    };
    // A cluster that is known by its nodes' URLs lists no relay.
    let lists_relay = statuses.iter().any(|status| status.member == Member::Relay);
    if lists_relay && !is_up(Member::Relay) {
        return Err("the relay was down".to_owned());
    }
    let whole: Vec<_> = statuses
        .iter()
        .filter(|status| probe.members().contains(&status.member) && is_up(status.member))
        .filter(|status| !status.link.up.cut && !status.link.down.cut)
        .map(|status| status.member)
        .collect();
    if whole.len() < 2.min(probe.members().len()) {
        return Err("no two nodes could hear each other".to_owned());
    }
    Ok(whole)
}
