//! The dashboard on a cluster of its own: what `loom-tui` does when it is told nothing else.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::{Args, ValueEnum};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::signals::{LEFT_BEHIND, asked_to_end};
use super::{Backend, CliError, ClusterArgs, Exit};
use crate::cluster::{ClusterBackend, RigError};
use crate::control::{Claim, ClaimError, Server};
use crate::engine::{Engine, EngineOptions, Launch};
use crate::scenario::live::LiveScenarios;
use crate::ui::theme::ColorChoice;
use crate::ui::{self, Left, UiError, UiOptions};

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  loom-tui                             the same as `loom-tui dashboard`
  loom-tui dashboard --nodes 5         with five nodes
  loom-tui dashboard --backend docker  in containers, or on what docker-compose has started
  NO_COLOR=1 loom-tui dashboard --ascii

While it runs, other commands reach its cluster from another terminal: `loom-tui status`.")]
pub(super) struct DashboardArgs {
    #[command(flatten)]
    cluster: ClusterArgs,

    /// Plain ASCII marks, also where the locale says UTF-8
    #[arg(long)]
    ascii: bool,

    /// Colours: as the environment says (NO_COLOR, CLICOLOR_FORCE, COLORTERM), always, or never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// Whether there is somebody to show it to and to hear from.
pub(super) fn has_terminal() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Shows the dashboard.
pub(super) async fn dashboard(args: DashboardArgs, control: &Path) -> Result<Exit, CliError> {
    if !has_terminal() {
        let sentence = "the dashboard needs a terminal for its input and output: without one use \
                        `loom-tui run --all`, or `loom-tui up` and its other commands";
        return Err(CliError::Usage(sentence.to_owned()));
    }
    let options = UiOptions {
        color: match args.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        },
        ascii: args.ascii.then_some(true),
        runs: Some(RUNS.into()),
    };
    // Claimed first: whoever comes second must not start anything.
    let claim = Claim::take(control, "dashboard")?;
    let launch = Arc::new(OwnCluster {
        cluster: Mutex::new(args.cluster),
        control: control.to_owned(),
        claim: Mutex::new(Some(claim)),
        desk: Mutex::new(None),
        down: CancellationToken::new(),
        over: CancellationToken::new(),
    });
    let runner = Arc::new(LiveScenarios::new(RUNS.into()));
    let engine = Engine::start(
        Arc::clone(&launch) as Arc<dyn Launch>,
        runner,
        EngineOptions::default(),
    );
    let mut shown = pin!(ui::run(engine.snapshots(), engine.requests(), options));
    let (outcome, ended) = tokio::select! {
        outcome = &mut shown => (outcome, stop(engine).await),
        () = launch.down.cancelled() => {
            // The dashboard leaves by itself when the engine has ended.
            let ended = engine.stop().await;
            (shown.await, ended)
        }
    };
    launch.close().await;
    let outcome = outcome?;
    super::say(outcome.summary.trim_end());
    ended?;
    Ok(match outcome.left {
        Left::Signal(_) | Left::TerminalGone => Exit::Signalled(outcome.exit_code()),
        Left::Quit | Left::EngineEnded | Left::Cancelled => Exit::Ok,
    })
}

/// Where scenarios leave what happened, as `run` does.
const RUNS: &str = "runs";

/// Ends the cluster; a signal meanwhile does not wait for members that take their time.
async fn stop(engine: Engine) -> Result<(), RigError> {
    let Ok(mut signals) = asked_to_end() else {
        return engine.stop().await;
    };
    tokio::select! {
        ended = engine.stop() => ended,
        signal = signals.next() => {
            eprintln!("loom-tui: {signal}: not waiting any longer; {LEFT_BEHIND}");
            Ok(())
        }
    }
}

/// A cluster that other commands can reach.
#[derive(Debug)]
struct OwnCluster {
    cluster: Mutex<ClusterArgs>,
    control: PathBuf,
    claim: Mutex<Option<Claim>>,
    /// The task that serves the control socket.
    desk: Mutex<Option<JoinHandle<()>>>,
    /// Somebody ended the cluster with `loom-tui down`.
    down: CancellationToken,
    /// The socket is not needed any more.
    over: CancellationToken,
}

impl OwnCluster {
    /// Closes the control socket, after answers under way have been read.
    async fn close(&self) {
        self.over.cancel();
        let desk = held(&self.desk).take();
        if let Some(desk) = desk {
            // It ends by itself now, or has panicked and was reported.
            let _ = desk.await;
        }
    }

    fn serve(&self, cluster: Arc<dyn ClusterBackend>) -> Result<(), ClaimError> {
        let claim = held(&self.claim).take();
        let claim = match claim {
            Some(claim) => claim,
            None => Claim::take(&self.control, "dashboard")?,
        };
        let server = Server::open(claim, "dashboard", cluster)?;
        let (down, over) = (self.down.clone(), self.over.clone());
        let desk = tokio::spawn(async move {
            tokio::select! {
                () = server.down() => down.cancel(),
                () = over.cancelled() => {}
            }
            server.close().await;
        });
        *held(&self.desk) = Some(desk);
        Ok(())
    }
}

/// What a lock guards; nothing that can panic is done while it is held.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait::async_trait]
impl Launch for OwnCluster {
    fn kind(&self) -> &'static str {
        held(&self.cluster).backend().name()
    }

    fn offers_local(&self) -> bool {
        held(&self.cluster).backend() != Backend::Local
    }

    fn use_local(&self) {
        let mut cluster = held(&self.cluster);
        *cluster = cluster.clone().locally();
    }

    async fn open(&self) -> Result<Arc<dyn ClusterBackend>, RigError> {
        let cluster = held(&self.cluster).clone();
        let cluster = cluster.open().await;
        let cluster = cluster.map_err(|error| match error {
            CliError::Rig(error) => error,
            error => RigError {
                doing: "open the cluster".to_owned(),
                reason: error.to_string(),
                next_step: "then try again".to_owned(),
                refused: false,
            },
        })?;
        self.serve(Arc::clone(&cluster)).map_err(|error| RigError {
            doing: "opening the control socket".to_owned(),
            reason: error.to_string(),
            next_step: "then try again".to_owned(),
            refused: false,
        })?;
        Ok(cluster)
    }
}

impl From<UiError> for CliError {
    fn from(error: UiError) -> Self {
        Self::Io {
            doing: "show the dashboard".to_owned(),
            error: io::Error::other(error),
        }
    }
}
