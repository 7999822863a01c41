//! Scenarios on the dashboard's own cluster: the same scripts, judged as on a shared one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::params::Sets;
use super::runner::{Play, play};
use super::settle::Patience;
use super::story::Listen;
use super::{catalogue, find};
use crate::check::convergence::LIMIT_DEFAULT;
use crate::cluster::RigError;
use crate::engine::{Progress, RunEnd, ScenarioContext, ScenarioInfo, ScenarioRunner};
use crate::report::Setting;
use crate::runs::RunFolder;
use crate::snapshot::Level;

/// Plays the built-in scenarios for an engine.
#[derive(Clone, Debug)]
pub struct LiveScenarios {
    runs: PathBuf,
}

impl LiveScenarios {
    /// Keeps what it plays under `runs`.
    pub fn new(runs: PathBuf) -> Self {
        Self { runs }
    }
}

#[async_trait::async_trait]
impl ScenarioRunner for LiveScenarios {
    fn list(&self) -> Vec<ScenarioInfo> {
        let scenarios = catalogue().map(|scenario| ScenarioInfo {
            about: scenario.about().to_owned(),
            name: scenario.name,
        });
        scenarios.collect()
    }

    async fn run(&self, name: &str, context: ScenarioContext) -> Result<RunEnd, RigError> {
        let scenario = find(name).map_err(|error| RigError {
            doing: format!("run {name}"),
            reason: error.to_string(),
            next_step: "choose one of the list".to_owned(),
            refused: false,
        })?;
        let folder = RunFolder::create(&self.runs, &scenario.name, SystemTime::now());
        let folder = folder.map_err(|error| RigError {
            doing: format!("make a folder for the run in {}", self.runs.display()),
            reason: error.to_string(),
            next_step: "start the dashboard where it can write".to_owned(),
            refused: false,
        })?;
        let report = play(Play {
            scenario: &scenario,
            sets: &Sets::new(),
            seed: rand::random(),
            setting: Setting {
                backend: context.backend.kind().to_owned(),
                nodes: context.probe.members().len(),
                durability: None,
                shared: true,
                planted: None,
            },
            backend: context.backend,
            probe: context.probe,
            shared: true,
            folder: &folder,
            story: Arc::new(Told(context.progress)),
            cancel: context.cancel,
            converge_within: LIMIT_DEFAULT,
            patience: Patience::default(),
        })
        .await?;
        Ok(RunEnd {
            verdict: report.verdict,
            note: report.headline(),
        })
    }
}

/// Passes a run's story on to an engine.
#[derive(Debug)]
struct Told(Progress);

impl Listen for Told {
    fn step(&self, number: u32, text: &str) {
        self.0.step(number, text);
    }

    fn note(&self, text: &str) {
        self.0.note(Level::Info, text);
    }
}
