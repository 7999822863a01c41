//! `run` and `scenarios`: scenarios without a terminal, ending in a verdict and an exit code.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::params::{Sets, check, declared, parse_set};
use super::place::{Place, PlaceArgs};
use super::runner::{Play, play};
use super::settle::Patience;
use super::story::{Lines, Listen};
use super::{Scenario, catalogue, engine, find};
use crate::cli::quantity;
use crate::cli::{CliError, Exit, cancelled_when_asked_to_end, say};
use crate::report::junit::{self, Case};
use crate::report::{Report, json, table};
use crate::runs::RunFolder;
use crate::snapshot::Verdict;

/// Which scenarios to play, and on what.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  loom-tui run partition                     a built-in one, on a fresh cluster of three nodes
  loom-tui run --all                         all of them, one after the other
  loom-tui run high-volume --set count=5000
  loom-tui run ./mine.rhai --nodes 5         your own; docs/scenarios.md lists what it can call
  loom-tui run --all --backend docker        each on containers of its own
  loom-tui run partition --attach            on the cluster that `up` or the dashboard runs
  loom-tui run --all --urls http://10.0.0.1:3001,http://10.0.0.2:3002
                                             on any cluster; what needs a fault is skipped
  loom-tui run basic-sync --plant lose-acked with a fault built in: this must fail
  loom-tui run --all --junit verdicts.xml    for a CI service that shows JUnit files

Exit codes: 0 pass, 1 fail, 2 unknown, 254 bad arguments or script, 255 the rig broke; of several
runs, the worst. Progress goes to standard error, the report to standard output.")]
pub struct RunArgs {
    /// Names of built-in scenarios, or files that end in .rhai
    #[arg(value_name = "NAME|FILE.rhai", required_unless_present = "all")]
    scenarios: Vec<String>,

    /// All built-in scenarios
    #[arg(long, conflicts_with = "scenarios")]
    all: bool,

    /// Set a parameter of the scenario; `loom-tui scenarios` lists them
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_set)]
    sets: Vec<(String, String)>,

    /// Decides all randomness; the report names the one that was used
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    #[command(flatten)]
    place: PlaceArgs,

    /// How long the nodes may take to agree after each heal and start, and at the end
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = quantity::duration)]
    converge_within: Duration,

    /// Where to keep what happened: one folder per run, and `latest`
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs_dir: PathBuf,

    /// Print the report as JSON: one object, or an array for several runs
    #[arg(long)]
    json: bool,

    /// Also write the verdicts as a JUnit file, for CI services; what proved nothing is skipped
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Keep what the nodes stored, beside the report
    #[arg(long)]
    keep: bool,
}

/// How to list scenarios.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
Examples:
  loom-tui scenarios
  loom-tui scenarios --json")]
pub struct ScenariosArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Plays scenarios, one after the other, each on a cluster of its own unless attached.
///
/// # Errors
///
/// Bad arguments, and a rig that broke.
pub async fn run(args: RunArgs, control: &Path) -> Result<Exit, CliError> {
    let scenarios = args.chosen()?;
    let sets: Sets = args.sets.iter().cloned().collect();
    check(&sets, &scenarios).map_err(CliError::Usage)?;
    for scenario in &scenarios {
        engine::check(scenario).map_err(CliError::Usage)?;
    }
    let place = args.place.choose(|name| std::env::var(name).ok())?;
    if args.keep && place.stores_in_volumes() {
        let text = "--keep is for processes: what containers store is in volumes, which are \
                    removed with them; use `loom-tui up --backend docker` and --attach";
        return Err(CliError::Usage(text.to_owned()));
    }

    if let Some(file) = &args.junit {
        // What cannot be written in the end should not be played for.
        let doing = format!("write {}", file.display());
        std::fs::write(file, "").map_err(CliError::io(doing))?;
    }

    let cancel = cancelled_when_asked_to_end().map_err(CliError::io("listen for signals"))?;

    let mut reports = Vec::with_capacity(scenarios.len());
    let mut broke = None;
    for scenario in &scenarios {
        if cancel.is_cancelled() {
            break;
        }
        match args.play(scenario, &sets, &place, control, &cancel).await {
            Ok(report) => {
                if !args.json {
                    say(table::print(&report).trim_end());
                    say("");
                }
                reports.push(report);
            }
            // What broke now would break again.
            Err(error) => {
                broke = Some((error.to_string(), error));
                break;
            }
        }
    }
    let all_played = reports.len() == scenarios.len();
    if let Some(file) = &args.junit {
        let why = broke.as_ref().map(|(why, _)| why.as_str());
        let cases = cases(&scenarios, &reports, why);
        let doing = format!("write {}", file.display());
        std::fs::write(file, junit::print(&cases)).map_err(CliError::io(doing))?;
    }
    if args.json {
        match reports.as_slice() {
            [only] if scenarios.len() == 1 => say(&json::print(only)),
            several => say(&json::print_all(several)),
        }
    } else if reports.len() > 1 {
        say(table::print_all(&reports).trim_end());
    }
    if let Some((_, error)) = broke {
        return Err(error);
    }
    let exit = exit_of_all(&reports, all_played);
    if !args.json && scenarios.len() > 1 {
        let unplayed = scenarios.len() - reports.len();
        let sum = table::sum(&reports, unplayed);
        say(&format!("{sum}: {}", word_of(exit)));
    }
    Ok(exit)
}

/// What became of each scenario: those after one under which the rig broke were not played.
fn cases<'a>(
    scenarios: &'a [Scenario],
    reports: &'a [Report],
    broke: Option<&'a str>,
) -> Vec<Case<'a>> {
    let cases = scenarios.iter().enumerate().map(|(at, scenario)| {
        let scenario = &scenario.name;
        match (reports.get(at), broke) {
            (Some(report), _) => Case::Played(report),
            (None, Some(why)) if at == reports.len() => Case::Broke { scenario, why },
            (None, _) => Case::NotPlayed { scenario },
        }
    });
    cases.collect()
}

/// Lists the built-in scenarios.
///
/// # Errors
///
/// None today.
pub fn scenarios(args: ScenariosArgs) -> Result<Exit, CliError> {
    let listed: Vec<_> = catalogue()
        .map(|scenario| {
            serde_json::json!({
                "name": scenario.name,
                "about": scenario.about(),
                "description": scenario.comment().skip(1).collect::<Vec<_>>().join("\n").trim(),
                "parameters": declared(&scenario.source),
            })
        })
        .collect();
    if args.json {
        let text = serde_json::to_string_pretty(&listed);
        say(&text.expect("lists of texts are always JSON"));
        return Ok(Exit::Ok);
    }
    for scenario in catalogue() {
        say(&format!("{:<19} {}", scenario.name, scenario.about()));
        for param in declared(&scenario.source) {
            say(&format!(
                "{:<19}   --set {}={}",
                "", param.name, param.default
            ));
        }
    }
    say("");
    say("Run one: loom-tui run NAME. Write your own: docs/scenarios.md, loom-tui run FILE.rhai.");
    Ok(Exit::Ok)
}

impl RunArgs {
    fn chosen(&self) -> Result<Vec<Scenario>, CliError> {
        if self.all {
            return Ok(catalogue().collect());
        }
        let found = self.scenarios.iter().map(|name| find(name));
        found
            .collect::<Result<_, _>>()
            .map_err(|error| CliError::Usage(error.to_string()))
    }

    async fn play(
        &self,
        scenario: &Scenario,
        sets: &Sets,
        place: &Place,
        control: &Path,
        cancel: &CancellationToken,
    ) -> Result<Report, CliError> {
        let folder = RunFolder::create(&self.runs_dir, &scenario.name, SystemTime::now());
        let doing = format!("make a folder for the run in {}", self.runs_dir.display());
        let folder = folder.map_err(CliError::io(doing))?;
        let story: Arc<dyn Listen> = Arc::new(Lines::begin());
        let name = &scenario.name;
        let rig = place.rig(name, control, folder.path(), &*story).await?;
        if let Some(planted) = &rig.setting.planted {
            story.note(&format!("planted on purpose: {planted}"));
        }
        let played = play(Play {
            scenario,
            sets,
            seed: self
                .seed
                .unwrap_or_else(|| u64::from(rand::random::<u32>())),
            backend: Arc::clone(&rig.backend),
            probe: rig.probe,
            shared: rig.setting.shared,
            setting: rig.setting,
            folder: &folder,
            story,
            cancel: cancel.clone(),
            converge_within: self.converge_within,
            patience: Patience::default(),
        })
        .await;
        // Of an attached cluster, only the faults made here end.
        let ended = rig.backend.shutdown().await;
        if !self.keep {
            folder.drop_data();
        }
        let report = played?;
        // What was found stands, whatever became of the cluster afterwards.
        if let Err(error) = ended {
            eprintln!("loom-tui: after {name}: {error}");
        }
        Ok(report)
    }
}

/// The worst of them. Those that were not played are unknown.
fn exit_of_all(reports: &[Report], all_played: bool) -> Exit {
    let worst = reports
        .iter()
        .map(exit_of)
        .max_by_key(|exit| badness(*exit));
    match worst {
        Some(exit) if all_played => exit,
        Some(exit) if badness(exit) > badness(Exit::Unknown) => exit,
        _ => Exit::Unknown,
    }
}

fn exit_of(report: &Report) -> Exit {
    if report.mistake.is_some() {
        return Exit::Usage;
    }
    match report.verdict {
        Verdict::Pass => Exit::Ok,
        Verdict::Fail => Exit::Failed,
        Verdict::Unknown => Exit::Unknown,
    }
}

fn word_of(exit: Exit) -> &'static str {
    match exit {
        Exit::Ok => "PASS (exit 0)",
        Exit::Failed => "FAIL (exit 1)",
        Exit::Unknown => "UNKNOWN (exit 2)",
        Exit::Usage => "MISTAKE IN A SCRIPT (exit 254)",
        Exit::Rig | Exit::Signalled(_) => "THE RIG BROKE (exit 255)",
    }
}

/// Which of several exits is the worst: a failure is worse than not knowing.
fn badness(exit: Exit) -> u8 {
    match exit {
        Exit::Ok => 0,
        Exit::Unknown => 1,
        Exit::Failed => 2,
        Exit::Usage => 3,
        Exit::Rig | Exit::Signalled(_) => 4,
    }
}
