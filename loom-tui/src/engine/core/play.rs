//! Begins runs, books their ends, and leaves the cluster as a cancelled run found it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{Core, News};
use crate::cluster::{ClusterBackend, Life, Member, RigError};
use crate::engine::runs::{Progress, RunEnd, Running, ScenarioContext, ScenarioRunner};
use crate::snapshot::{Level, Phase, Verdict};

impl Core {
    /// Begins the next run, if the cluster is up and nothing else runs.
    pub(super) fn begin_run(&mut self) {
        let (Some(backend), Some(probe)) = (&self.backend, &self.probe) else {
            return;
        };
        if self.phase != Phase::Ready || self.restoring {
            return;
        }
        let Some(Running { name, cancel, .. }) = self.runs.begin(self.clock.now(), &self.members)
        else {
            return;
        };
        let (name, cancel) = (name.clone(), cancel.clone());
        let context = ScenarioContext {
            backend: Arc::clone(backend),
            probe: probe.clone(),
            progress: Progress::new(self.news.clone()),
            cancel: cancel.clone(),
        };
        let (runner, news) = (Arc::clone(&self.runner), self.news.clone());
        let within = self.options.cancel_within;
        tokio::spawn(play(runner, name.clone(), context, cancel, within, news));
        self.say(Level::Info, "scenario", format!("{name} begins"));
        self.look();
    }

    pub(super) fn on_run_ended(&mut self, result: Result<RunEnd, RigError>) {
        let broke = result.is_err();
        let end = result.unwrap_or_else(|error| RunEnd {
            verdict: Verdict::Unknown,
            note: error.to_string(),
        });
        let Some(run) = self.runs.ended(self.clock.now(), &end) else {
            return;
        };
        let (level, verdict) = match end.verdict {
            _ if broke => (Level::Error, "could not be played"),
            Verdict::Pass => (Level::Info, "passed"),
            Verdict::Unknown => (Level::Warn, "is unknown"),
            Verdict::Fail => (Level::Error, "failed"),
        };
        let note = if end.note.is_empty() {
            String::new()
        } else {
            format!(": {}", end.note)
        };
        self.say(level, "scenario", format!("{} {verdict}{note}", run.name));
        if let Some(backend) = &self.backend
            && (broke || run.cancel.is_cancelled())
        {
            self.restoring = true;
            tokio::spawn(restore(
                Arc::clone(backend),
                run.up_before,
                self.news.clone(),
            ));
        } else {
            self.begin_run();
        }
        self.look();
    }

    /// Ends what runs, then the cluster.
    pub(super) async fn shut_down(
        &mut self,
        brought: &mut mpsc::Receiver<News>,
    ) -> Result<(), RigError> {
        /// Longer than any part of a backend's opening may take.
        const SETTLE_WITHIN: Duration = Duration::from_secs(10);
        if let Some(run) = self.runs.running() {
            run.cancel.cancel();
        }
        let settle = async {
            // A backend that is just being opened must not outlive us; nor must a run.
            while self.runs.running().is_some()
                || (self.backend.is_none() && matches!(self.phase, Phase::Starting(_)))
            {
                match brought.recv().await {
                    Some(News::Opened(backend)) => self.backend = Some(backend),
                    Some(News::Raised(Err(error))) => self.phase = Phase::Failed(error.to_string()),
                    Some(News::RunEnded(result)) => {
                        let now = self.clock.now();
                        let end = result.unwrap_or_else(|error| RunEnd {
                            verdict: Verdict::Unknown,
                            note: error.to_string(),
                        });
                        self.runs.ended(now, &end);
                    }
                    Some(_) => {}
                    None => return,
                }
            }
        };
        // What has not settled by then is ended by the backend's end.
        let _ = tokio::time::timeout(SETTLE_WITHIN + self.options.cancel_within, settle).await;
        self.probe = None;
        match self.backend.take() {
            Some(backend) => backend.shutdown().await,
            None => Ok(()),
        }
    }
}

/// Plays one scenario to its end, or until it was cancelled and did not end in time.
async fn play(
    runner: Arc<dyn ScenarioRunner>,
    name: String,
    context: ScenarioContext,
    cancel: CancellationToken,
    cancel_within: Duration,
    news: mpsc::Sender<News>,
) {
    let mut run = tokio::spawn({
        let name = name.clone();
        async move { runner.run(&name, context).await }
    });
    let overdue = async {
        cancel.cancelled().await;
        tokio::time::sleep(cancel_within).await;
    };
    let result = tokio::select! {
        ended = &mut run => ended.unwrap_or_else(|error| Err(broken(&name, &error))),
        () = overdue => {
            run.abort();
            Ok(RunEnd {
                verdict: Verdict::Unknown,
                note: format!("cancelled; it did not end within {cancel_within:?} and was cut short"),
            })
        }
    };
    let _ = news.send(News::RunEnded(result)).await;
}

fn broken(name: &str, error: &JoinError) -> RigError {
    RigError {
        doing: format!("run {name}"),
        reason: format!("its player broke: {error}"),
        next_step: "this is a defect of loom-tui: report it with the scenario".to_owned(),
        refused: false,
    }
}

/// Ends every fault and starts whoever was up before.
async fn restore(
    backend: Arc<dyn ClusterBackend>,
    up_before: Vec<Member>,
    news: mpsc::Sender<News>,
) {
    let mut result = backend.heal().await;
    for status in backend.members().await {
        let down = matches!(status.life, Life::Dead | Life::Stopped);
        if down && up_before.contains(&status.member) {
            result = result.and(backend.start(status.member).await);
        }
    }
    let _ = news.send(News::Restored(result)).await;
}
