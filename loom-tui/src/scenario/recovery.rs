//! How long a cluster takes to agree again after each heal and each start.
//!
//! Every mending fault starts a stopwatch. It stops when the nodes that are up and not cut off have
//! shown each other every write made before, and hold the same: equal digests, or, while writes go
//! on, digests that move and differ by no more records than are under way. A fault that breaks
//! something meanwhile interrupts it: what is measured then would be that fault.

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
    pub fn done(&self, action: Action, what: &str, at: Duration) {
        let mut watches = self.lock();
        if !is_mending(action) || watches.len() >= RECOVERIES_MAX {
            return;
        }
        let recovery = Arc::new(Mutex::new(Recovery {
            after: what.to_owned(),
            at_ms: at.as_secs_f64() * 1_000.0,
            ended: Recovered::Not("it was not looked at yet".to_owned()),
        }));
        let timing = time(
            Arc::clone(&self.backend),
            self.probe.clone(),
            self.shared,
            Arc::clone(&recovery),
        );
        watches.push(Watch {
            recovery,
            running: Some(tokio::spawn(timing)),
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
            recovery.ended = Recovered::Interrupted(by.to_owned());
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

async fn time(
    backend: Arc<dyn ClusterBackend>,
    probe: Probe,
    shared: bool,
    recovery: Arc<Mutex<Recovery>>,
) {
    let (begun, before) = (Instant::now(), probe.clock().now());
    let mut last: Option<Digests> = None;
    loop {
        let ended = match look(&*backend, &probe, shared, before, &mut last).await {
            Ok(()) => Recovered::Within(begun.elapsed()),
            Err(why) => Recovered::Not(why),
        };
        let is_over = matches!(ended, Recovered::Within(_));
        recovery
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ended = ended;
        if is_over {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
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
    if let Some(owed) = probe.owed_since(before, &whole).await {
        return Err(owed);
    }
    if shared {
        // What else differs may be others'.
        return Ok(());
    }
    let seen = settle::digests(probe, &whole).await?;
    if seen.are_equal() {
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
    if !is_up(Member::Relay) {
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
