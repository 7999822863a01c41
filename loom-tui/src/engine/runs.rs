//! Scenarios: what the engine needs of whoever runs them, and the queue of runs.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::News;
use crate::cluster::{ClusterBackend, Life, Member, MemberStatus, RigError};
use crate::probe::Probe;
use crate::snapshot::{Level, ScenarioRow, ScenarioState, Verdict};

/// Scenarios that may wait.
const QUEUE_MAX: usize = 64;

/// Plays scenarios and judges them.
#[async_trait::async_trait]
pub trait ScenarioRunner: Send + Sync + fmt::Debug {
    /// The catalogue, in the order it is shown.
    fn list(&self) -> Vec<ScenarioInfo>;

    /// Plays one scenario of the catalogue and judges it. Ends soon after `context.cancel` is
    /// cancelled, and heals what it broke in any case.
    async fn run(&self, name: &str, context: ScenarioContext) -> Result<RunEnd, RigError>;
}

/// One scenario of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioInfo {
    /// Its name, such as `partition`.
    pub name: String,
    /// One line of what it shows.
    pub about: String,
}

/// What a scenario works with.
#[derive(Clone, Debug)]
pub struct ScenarioContext {
    /// The cluster.
    pub backend: Arc<dyn ClusterBackend>,
    /// The probe, running.
    pub probe: Probe,
    /// Where it tells how far it is.
    pub progress: Progress,
    /// Cancelled when somebody wants it to end.
    pub cancel: CancellationToken,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// The verdict.
    pub verdict: Verdict,
    /// The first reason it did not pass, or its most telling metric.
    pub note: String,
}

/// Where a scenario tells how far it is. Telling never waits: with a busy listener it is lost.
#[derive(Clone, Debug)]
pub struct Progress {
    news: Option<mpsc::Sender<News>>,
}

impl Progress {
    /// Nobody listens.
    pub fn silent() -> Self {
        Self { news: None }
    }

    pub(super) fn new(news: mpsc::Sender<News>) -> Self {
        Self { news: Some(news) }
    }

    /// A step begins, the `number`th from 1.
    pub fn step(&self, number: u32, text: &str) {
        self.tell(News::Step(number, text.to_owned()));
    }

    /// Something worth a line in the event log.
    pub fn note(&self, level: Level, text: &str) {
        self.tell(News::Note(level, text.to_owned()));
    }

    fn tell(&self, news: News) {
        if let Some(sender) = &self.news {
            let _ = sender.try_send(news);
        }
    }
}

/// The catalogue, what runs, and what waits.
#[derive(Debug)]
pub(super) struct Runs {
    catalogue: Vec<ScenarioInfo>,
    states: BTreeMap<String, ScenarioState>,
    queue: VecDeque<String>,
    running: Option<Running>,
}

/// The run under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) name: String,
    pub(super) since: Duration,
    pub(super) cancel: CancellationToken,
    /// Who was up when it began: a cancelled run leaves the cluster as it found it.
    pub(super) up_before: Vec<Member>,
}

impl Runs {
    pub(super) fn new(catalogue: Vec<ScenarioInfo>) -> Self {
        Self {
            catalogue,
            states: BTreeMap::new(),
            queue: VecDeque::new(),
            running: None,
        }
    }

    /// Puts a scenario behind those that wait.
    ///
    /// # Errors
    ///
    /// A sentence for the person who asked.
    pub(super) fn enqueue(&mut self, name: &str) -> Result<(), String> {
        if !self.catalogue.iter().any(|known| known.name == name) {
            let names: Vec<_> = self.catalogue.iter().map(|known| &*known.name).collect();
            return Err(format!(
                "there is no scenario {name:?}: choose one of {}",
                names.join(", ")
            ));
        }
        if self.queue.iter().any(|waiting| waiting == name) {
            return Err(format!("{name} is already waiting"));
        }
        if self.queue.len() >= QUEUE_MAX {
            return Err(format!("{QUEUE_MAX} scenarios are already waiting"));
        }
        if self.running.as_ref().is_none_or(|run| run.name != name) {
            self.states.insert(name.to_owned(), ScenarioState::Queued);
        }
        self.queue.push_back(name.to_owned());
        Ok(())
    }

    /// The next to run, if none is running; it is running from here on.
    pub(super) fn begin(&mut self, now: Duration, members: &[MemberStatus]) -> Option<&Running> {
        if self.running.is_some() {
            return None;
        }
        let name = self.queue.pop_front()?;
        let state = ScenarioState::Running {
            since: now,
            step: String::new(),
            steps: 0,
        };
        self.states.insert(name.clone(), state);
        let up = members.iter().filter(|status| status.life == Life::Up);
        Some(self.running.insert(Running {
            name,
            since: now,
            cancel: CancellationToken::new(),
            up_before: up.map(|status| status.member).collect(),
        }))
    }

    pub(super) fn step(&mut self, number: u32, text: String) {
        let running = self.running.as_ref().map(|run| &run.name);
        if let Some(name) = running
            && let Some(ScenarioState::Running { step, steps, .. }) = self.states.get_mut(name)
        {
            *step = text;
            *steps = (*steps).max(number);
        }
    }

    pub(super) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    /// Books how the run under way ended.
    pub(super) fn ended(&mut self, now: Duration, end: &RunEnd) -> Option<Running> {
        let run = self.running.take()?;
        let state = if self.queue.contains(&run.name) {
            ScenarioState::Queued
        } else {
            ScenarioState::Done {
                verdict: end.verdict,
                took: now.saturating_sub(run.since),
                note: end.note.clone(),
            }
        };
        self.states.insert(run.name.clone(), state);
        Some(run)
    }

    pub(super) fn rows(&self) -> Vec<ScenarioRow> {
        let rows = self.catalogue.iter().map(|known| ScenarioRow {
            name: known.name.clone(),
            about: known.about.clone(),
            state: self.states.get(&known.name).cloned().unwrap_or_default(),
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Runs {
        let names = ["one", "two"].map(|name| ScenarioInfo {
            name: name.to_owned(),
            about: String::new(),
        });
        Runs::new(names.to_vec())
    }

    #[test]
    fn one_runs_at_a_time_in_the_order_asked_for() {
        let mut runs = runs();
        runs.enqueue("two").unwrap();
        runs.enqueue("one").unwrap();
        assert!(runs.enqueue("one").is_err(), "once is enough");
        assert!(runs.enqueue("three").unwrap_err().contains("one, two"));
        assert_eq!(runs.begin(Duration::ZERO, &[]).unwrap().name, "two");
        assert!(runs.begin(Duration::ZERO, &[]).is_none());
        runs.step(1, "cut".to_owned());
        assert!(
            matches!(&runs.rows()[1].state, ScenarioState::Running { step, steps: 1, .. } if step == "cut")
        );
        let end = RunEnd {
            verdict: Verdict::Pass,
            note: String::new(),
        };
        runs.ended(Duration::from_secs(2), &end);
        assert!(matches!(
            runs.rows()[1].state,
            ScenarioState::Done { verdict: Verdict::Pass, took, .. } if took.as_secs() == 2
        ));
        assert_eq!(runs.rows()[0].state, ScenarioState::Queued);
        assert_eq!(runs.begin(Duration::ZERO, &[]).unwrap().name, "one");
    }
}
