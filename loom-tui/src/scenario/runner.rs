//! Plays one scenario on a cluster that is up, and judges it: run, record, judge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::host::{Host, Parts};
use super::params::Sets;
use super::settle::{Patience, Settled};
use super::story::Listen;
use super::trouble::Ending;
use super::witness::Witness;
use super::{Scenario, engine, rig, settle};
use crate::check::convergence::{Convergence, Recovered, Recovery};
use crate::check::{self, Evidence, Scope, Stopped};
use crate::cluster::{ClusterBackend, RigError};
use crate::history::attempts;
use crate::history::{Op, Recorder};
use crate::probe::{Class, Probe};
use crate::report::{self, Environment, Expectations, FaultLine, Report, Setting};
use crate::runs::RunFolder;

/// How long a stopped run's cluster may still take to agree: whoever stopped it is waiting.
const SETTLE_AFTER_CANCEL: Duration = Duration::from_secs(2);

/// What is played, and on what.
#[derive(Debug)]
pub struct Play<'a> {
    /// The script.
    pub scenario: &'a Scenario,
    /// What `--set` said.
    pub sets: &'a Sets,
    /// Decides all randomness.
    pub seed: u64,
    /// The cluster, up.
    pub backend: Arc<dyn ClusterBackend>,
    /// Watches it.
    pub probe: Probe,
    /// Whether the cluster is this run's alone.
    pub shared: bool,
    /// What is known about the cluster, for the report.
    pub setting: Setting,
    /// Where the evidence goes.
    pub folder: &'a RunFolder,
    /// Who listens.
    pub story: Arc<dyn Listen>,
    /// Ends the run early.
    pub cancel: CancellationToken,
    /// How long agreement may take after each heal and start, and at the end.
    pub converge_within: Duration,
    /// How long the cluster is waited for when the script has ended.
    pub patience: Patience,
}

/// Plays it. The cluster is mended afterwards, and the report is in the folder.
///
/// # Errors
///
/// When the rig broke: there is evidence in the folder, and no verdict.
pub async fn play(play: Play<'_>) -> Result<Report, RigError> {
    let started = SystemTime::now();
    let (begun, epoch_ms) = (Instant::now(), settle::wall_ms());
    let Play {
        scenario,
        sets,
        seed,
        backend,
        probe,
        folder,
        ..
    } = &play;
    let (recorder, writer) =
        Recorder::create(&folder.history()).map_err(|error| evidence(&error))?;
    let witness = Witness::listen(backend.events());
    let mark = probe.mark().await;
    let prefix = format!("r{:06x}-", rand::random::<u32>() & 0x00ff_ffff);
    let host = Host::new(Parts {
        backend: Arc::clone(backend),
        probe: probe.clone(),
        mark: mark.clone(),
        recorder: recorder.clone(),
        story: Arc::clone(&play.story),
        cancel: play.cancel.clone(),
        sets: (*sets).clone(),
        seed: *seed,
        file: scenario.file.clone(),
        prefix: prefix.clone(),
        shared: play.shared,
    });

    // Scenarios begin on a cluster that is whole, whatever somebody did to it before.
    let ready = async {
        settle::mend(backend, &recorder).await?;
        rig::await_ready(probe).await
    };
    let ended = match ready.await {
        Ok(()) => run_script(scenario, &host).await,
        Err(error) => Err(Ending::Rig(error)),
    };
    let (mut claims, metrics, notes) = host.said.all();
    let mut broke = None;
    match ended {
        Ok(()) => {}
        Err(Ending::Stopped(stopped)) => claims.stopped = Some(stopped),
        Err(Ending::Rig(error)) => broke = Some(error),
    }
    if play.cancel.is_cancelled() {
        claims.stopped = Some(Stopped::Cancelled);
    }

    play.story
        .note("mending, and waiting until the cluster is quiet");
    let mended = settle::mend(backend, &recorder).await;
    let mut patience = play.patience;
    if play.cancel.is_cancelled() {
        patience.within = SETTLE_AFTER_CANCEL;
    }
    let broke = broke.or(mended.err());
    let judged_late = (&mark, play.converge_within);
    let mended_at = recorder.epoch().elapsed();
    let mut settled = match broke {
        None => settle::await_quiet(probe, play.shared, patience, judged_late).await,
        Some(_) => Settled::default(),
    };
    let is_quiet = settled.not_quiet.is_none() || settled.deferred;
    let mut recoveries = host.recoveries.finish(is_quiet).await;
    drop(host);
    let (mut before_poke, mut poked_at) = (None, None);
    if settled.deferred {
        let why = "what is stamped ahead of a node's clock waits until it is due";
        play.story.note(why);
        settled.not_quiet = None;
        recoveries.push(Recovery {
            after: "the script's end".to_owned(),
            at_ms: mended_at.as_secs_f64() * 1_000.0,
            ended: Recovered::NotMeasured(why.to_owned()),
        });
    } else if let Some(busy) = settled.not_quiet.take() {
        play.story.note(&format!("not quiet {busy}"));
        if !play.cancel.is_cancelled() {
            play.story.note("poking every node with one write");
            before_poke = Some(settle::read_all(probe).await.0);
            let at = recorder.epoch().elapsed().as_nanos();
            poked_at = u64::try_from(at).ok();
            settle::poke(probe, &recorder, &prefix).await;
            let poked = settle::await_quiet(probe, play.shared, patience, judged_late).await;
            settled.not_quiet = poked.not_quiet;
        }
        recoveries.push(Recovery {
            after: "the script's end".to_owned(),
            at_ms: mended_at.as_secs_f64() * 1_000.0,
            // What all have lost is lost, and no disagreement.
            ended: match settled.agreed {
                true => Recovered::Within(settled.took),
                false => Recovered::Not(busy.clone()),
            },
        });
        settled.not_quiet.get_or_insert(busy);
    } else if broke.is_none() {
        recoveries.push(Recovery {
            after: "the script's end".to_owned(),
            at_ms: mended_at.as_secs_f64() * 1_000.0,
            ended: Recovered::Within(settled.took),
        });
    }
    let measured = probe.report(&mark).await;
    let log = probe.interval_log(&mark).await;
    let (finals, unread) = match broke {
        None => settle::read_all(probe).await,
        Some(_) => (BTreeMap::new(), Vec::new()),
    };
    let heard = witness.finish().await;
    drop(recorder);
    let ops = writer.finish().await.map_err(|error| evidence(&error))?;

    claims.samples = measured.convergence(Class::User).count;
    let judged = Evidence {
        attempts: attempts::pair(&ops),
        faults: attempts::faults(&ops),
        finals,
        unread,
        scope: if play.shared {
            Scope::Shared { prefix }
        } else {
            Scope::Fresh
        },
        claims,
        crashes: heard.crashes,
        events_missed: heard.missed,
        not_quiet: settled.not_quiet,
        convergence: Convergence {
            recoveries,
            limit: play.converge_within,
            late: (settled.late.into_iter())
                .map(|unseen| (unseen.key, unseen.missing))
                .collect(),
            before_poke,
            poked_at,
        },
        epoch_ms,
        overflow: measured.is_incomplete(),
    };
    let findings = check::judge(&judged);
    let report = Report {
        scenario: scenario.name.clone(),
        about: scenario.about().to_owned(),
        file: scenario.file.clone(),
        args: report::args_of(&scenario.source, sets),
        seed: *seed,
        started: report::utc(started),
        took_ms: begun.elapsed().as_secs_f64() * 1_000.0,
        verdict: check::worst(&findings),
        mistake: match &judged.claims.stopped {
            Some(Stopped::Mistake(why)) => Some(why.clone()),
            _ => None,
        },
        skipped: match &judged.claims.stopped {
            Some(Stopped::Skipped(why)) => Some(why.clone()),
            _ => None,
        },
        rig: broke.as_ref().map(ToString::to_string),
        setting: play.setting.clone(),
        findings,
        thresholds: judged.claims.thresholds.clone(),
        expectations: Expectations::of(&judged.claims.expectations),
        gates: judged.claims.gates.clone(),
        metrics,
        convergence: report::convergence(&judged.convergence),
        latency: report::latency(&measured),
        staleness: report::staleness::of(&judged, &measured),
        operations: report::operations(&judged.attempts),
        faults: fault_lines(&ops),
        notes,
        environment: Environment::here(),
        folder: folder.path().to_owned(),
    };
    let kept = folder.keep(&report, scenario, &log);
    kept.map_err(|error| evidence(&error))?;
    match broke {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// Runs the script on a thread of its own, so that it may wait.
async fn run_script(scenario: &Scenario, host: &Arc<Host>) -> Result<(), Ending> {
    let (scenario, host) = (scenario.clone(), Arc::clone(host));
    let script = tokio::task::spawn_blocking(move || {
        let worker = Arc::clone(&host);
        worker.as_branch(|| engine::run(&scenario, &host))
    });
    script.await.unwrap_or_else(|error| {
        Err(Ending::Rig(RigError {
            doing: "run the script".to_owned(),
            reason: format!("its thread panicked: {error}"),
            next_step: "this is a defect of Loom; the message above says where".to_owned(),
            refused: false,
        }))
    })
}

fn fault_lines(ops: &[Op]) -> Vec<FaultLine> {
    let faults = attempts::faults(ops).into_iter();
    faults
        .map(|fault| FaultLine {
            at_ms: fault.time as f64 / 1e6,
            fault: fault.action,
            member: fault.member,
            value: fault.value,
            error: fault.error,
        })
        .collect()
}

fn evidence(error: &std::io::Error) -> RigError {
    RigError {
        doing: "write down what happened".to_owned(),
        reason: error.to_string(),
        next_step: "check that the runs folder can be written, or name another with --runs-dir"
            .to_owned(),
        refused: false,
    }
}
