//! Plays one script on a cluster of its own, with a bug planted or without.

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::cases::{Case, Script};
use super::outcome::{Caught, Clean};
use crate::check::convergence::LIMIT_DEFAULT;
use crate::cli::{CliError, Platform};
use crate::cluster::local::Durability;
use crate::report::Report;
use crate::runs::RunFolder;
use crate::scenario::params::Sets;
use crate::scenario::rig::Fresh;
use crate::scenario::runner::{Play, play};
use crate::scenario::settle::Patience;
use crate::scenario::story::Silence;
use crate::snapshot::Verdict;

/// Where clusters are made, and what ends them early.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    /// Where the folder of each run goes.
    pub folder: &'a Path,
    /// Decides all randomness.
    pub seed: u64,
    /// Ends every run.
    pub cancel: &'a CancellationToken,
}

impl Bench<'_> {
    /// Plays a case: did each of its checkers find the bug?
    ///
    /// # Errors
    ///
    /// When the rig broke.
    pub async fn catch(&self, case: Case) -> Result<Caught, CliError> {
        let begun = Instant::now();
        let report = self.play(case.script, case.name, Some(case)).await?;
        Ok(Caught::judge(case, &report, begun.elapsed()))
    }

    /// Plays a script where nothing is wrong: does it pass?
    ///
    /// # Errors
    ///
    /// When the rig broke.
    pub async fn clean(&self, script: Script) -> Result<Clean, CliError> {
        let begun = Instant::now();
        let name = format!("clean-{}", script.name());
        let report = self.play(script, &name, None).await?;
        let is_clean = report.verdict == Verdict::Pass;
        Ok(Clean {
            script: script.name(),
            alarm: (!is_clean).then(|| report.headline()),
            took_ms: begun.elapsed().as_secs_f64() * 1_000.0,
            folder: report.folder,
        })
    }

    async fn play(
        &self,
        script: Script,
        name: &str,
        bug: Option<Case>,
    ) -> Result<Report, CliError> {
        let scenario = script.scenario(name);
        let folder = RunFolder::create(self.folder, name, SystemTime::now());
        let doing = format!("make a folder for the run in {}", self.folder.display());
        let folder = folder.map_err(CliError::io(doing))?;
        let fresh = Fresh {
            nodes: 3,
            platform: Platform::default(),
            durability: Durability::default(),
            plant: bug.and_then(|case| case.plant),
        };
        let rig = fresh.start(folder.path()).await?;
        let sets = Sets::new();
        let played = play(Play {
            scenario: &scenario,
            sets: &sets,
            seed: self.seed,
            backend: Arc::clone(&rig.backend),
            probe: rig.probe,
            shared: false,
            setting: rig.setting,
            folder: &folder,
            story: Arc::new(Silence),
            cancel: self.cancel.clone(),
            converge_within: bug.map_or(LIMIT_DEFAULT, |case| case.converge_within),
            patience: bug.map_or_else(Patience::default, |case| case.patience),
        })
        .await;
        let ended = rig.backend.shutdown().await;
        folder.drop_data();
        let report = played?;
        ended?;
        Ok(report)
    }
}
