//! Does the tester find what is wrong, and nothing else? Real clusters with planted bugs, each to be
//! caught by the checkers named for it, and the same scripts where nothing is wrong.
//!
//! [`selftest`] is the one door. [`cases`] is the table, [`bench`] plays, [`outcome`] counts.

pub mod bench;
pub mod cases;
pub mod outcome;

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use clap::Args;
use futures_util::StreamExt as _;
use futures_util::future::Either;
use futures_util::stream;

use crate::cli::{CliError, Exit, cancelled_when_asked_to_end, say};
use crate::runs::RunFolder;
use bench::Bench;
use cases::{CASES, Case, clean_scripts};
use outcome::{Caught, Clean, Selftest};

/// How much of it.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  loom-tui selftest                  every planted bug, and every script once without one
  loom-tui selftest --runs 100       more clean runs: is there ever a false alarm?
  loom-tui selftest --bug reverse-tie --runs 0

Exit codes: 0 when every bug was caught by the checkers that must and every clean run passed, else 1;
255 the rig broke. Progress goes to standard error, the table to standard output.")]
pub struct SelftestArgs {
    /// Runs without a bug; as many as there are scripts if not said
    #[arg(long, value_name = "COUNT")]
    runs: Option<usize>,

    /// Only these bugs
    #[arg(long = "bug", value_name = "NAME",
          value_parser = clap::builder::PossibleValuesParser::new(CASES.iter().map(|case| case.name)))]
    bugs: Vec<String>,

    /// Clusters at a time
    #[arg(long, value_name = "COUNT", default_value_t = 4,
          value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,

    /// Decides all randomness
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Where to keep what happened: one folder per selftest, and `latest`
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs_dir: PathBuf,

    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// What one cluster was for.
enum Outcome {
    Bug(Caught),
    Clean(Clean),
}

/// Runs it all.
///
/// # Errors
///
/// When the rig broke.
pub async fn selftest(args: SelftestArgs) -> Result<Exit, CliError> {
    let begun = Instant::now();
    let cancel = cancelled_when_asked_to_end().map_err(CliError::io("listen for signals"))?;

    let folder = RunFolder::create(&args.runs_dir, "selftest", SystemTime::now());
    let doing = format!("make a folder in {}", args.runs_dir.display());
    let folder = folder.map_err(CliError::io(doing))?;
    let bench = Bench {
        folder: folder.path(),
        seed: args.seed,
        cancel: &cancel,
    };
    let scripts = clean_scripts();
    let runs = args.runs.unwrap_or(scripts.len());
    let bugs = CASES.iter().copied().filter(|case| args.wants(*case));
    let planted =
        bugs.map(|case| Either::Left(async move { bench.catch(case).await.map(Outcome::Bug) }));
    let clean = scripts.into_iter().cycle().take(runs);
    let clean = clean
        .map(|script| Either::Right(async move { bench.clean(script).await.map(Outcome::Clean) }));
    let mut under_way = stream::iter(planted.chain(clean)).buffer_unordered(args.jobs.into());
    let (mut bugs, mut clean) = (Vec::new(), Vec::new());
    while let Some(outcome) = under_way.next().await {
        if cancel.is_cancelled() {
            drop(under_way);
            return Ok(Exit::Unknown);
        }
        match outcome? {
            Outcome::Bug(caught) => {
                eprint!("{}", caught.line());
                bugs.push(caught);
            }
            Outcome::Clean(run) => {
                eprint!("{}", run.line());
                clean.push(run);
            }
        }
    }
    let order = |bug: &Caught| CASES.iter().position(|case| case.name == bug.bug);
    bugs.sort_by_key(order);
    let all = Selftest::of(bugs, clean, begun.elapsed(), folder.path().to_owned());
    let json = serde_json::to_string_pretty(&all).expect("texts, numbers and lists of them");
    let kept = std::fs::write(folder.path().join("selftest.json"), format!("{json}\n"));
    kept.map_err(CliError::io("keep the outcome"))?;
    match args.json {
        true => say(&json),
        false => say(all.table().trim_end()),
    }
    Ok(match all.passed() {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

impl SelftestArgs {
    fn wants(&self, case: Case) -> bool {
        self.bugs.is_empty() || self.bugs.iter().any(|bug| bug == case.name)
    }
}
