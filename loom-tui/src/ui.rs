//! The dashboard: reads snapshots, sends requests, and knows nothing of processes or sockets.
//!
//! One owner, no locks: [`update::update`] changes [`app::App`], [`view::render`] draws it, and the
//! loop in `runtime` is the only place that waits. [`run`] is the door.
//!
//! | Queue | Bound | Policy |
//! |---|---|---|
//! | snapshots | 1 (`watch`) | the newest wins |
//! | requests | the engine's | a full queue refuses, and the dashboard says so |
//! | panics of background tasks | 16 | the first are kept |

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::snapshot::{Request, Snapshot};

mod act;
pub mod app;
pub mod command;
pub mod eventlog;
pub mod fmt;
pub mod glyphs;
pub mod key;
pub mod keymap;
pub mod log;
pub mod overlay;
pub mod pace;
mod panics;
pub mod pen;
pub mod plan;
mod runtime;
mod signals;
pub mod standing;
mod summary;
mod term;
pub mod theme;
pub mod undo;
pub mod update;
pub mod view;
pub mod widgets;

use app::App;
use theme::{ColorChoice, Theme};

/// How the dashboard looks and what it mentions when it leaves.
#[derive(Clone, Debug, Default)]
pub struct UiOptions {
    /// Colours; `Auto` reads the environment.
    pub color: ColorChoice,
    /// Plain ASCII marks; `None` decides by the locale.
    pub ascii: Option<bool>,
    /// Where results of runs are, for the summary.
    pub runs: Option<PathBuf>,
}

/// Why the dashboard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Somebody asked to.
    Quit,
    /// A signal with this number.
    Signal(i32),
    /// The terminal was closed.
    TerminalGone,
    /// The engine ended and will never publish again.
    EngineEnded,
    /// The future returned by [`run`] was dropped.
    Cancelled,
}

/// How the dashboard ended. The terminal is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub left: Left,
    /// What to print on stdout after the cluster was stopped; several lines.
    pub summary: String,
}

impl Outcome {
    /// The exit code of a process that did nothing else: 0, or 128 and the signal's number.
    pub fn exit_code(&self) -> u8 {
        match self.left {
            Left::Quit | Left::EngineEnded | Left::Cancelled => 0,
            Left::Signal(number) => u8::try_from(128 + number).unwrap_or(128),
            // As the hang-up that usually comes with it.
            Left::TerminalGone => 129,
        }
    }
}

/// Why the dashboard could not run or go on. The terminal is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    /// Output or input goes elsewhere.
    #[error(
        "the dashboard needs a terminal for input and output; `run`, `up` and `status` work without one"
    )]
    NoTerminal,
    /// Reading or writing failed.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[source] io::Error),
    /// Signals cannot be watched or sent.
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
    /// The dashboard's own thread could not be started.
    #[error("the dashboard's thread cannot be started: {0}")]
    Thread(#[source] io::Error),
    /// A mistake in the dashboard; the report was printed.
    #[error("the dashboard broke; the report is above")]
    Broke,
}

/// Shows the dashboard until somebody leaves. Dropping the future leaves too.
///
/// It runs on a thread of its own: a terminal that does not take its output (a slow link, ctrl-s)
/// then holds up nothing else, and a panic there is told apart from a panic elsewhere.
pub async fn run(
    snapshots: watch::Receiver<Arc<Snapshot>>,
    requests: mpsc::Sender<Request>,
    options: UiOptions,
) -> Result<Outcome, UiError> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(UiError::NoTerminal);
    }
    let cancelled = CancellationToken::new();
    let _leave_when_dropped = cancelled.clone().drop_guard();
    let (done, outcome) = oneshot::channel();
    let body = move || {
        // Nobody is there to be told when the future was dropped.
        let _ = done.send(own_thread(snapshots, requests, &options, cancelled));
    };
    let thread = std::thread::Builder::new().name("loom-ui".to_owned());
    thread.spawn(body).map_err(UiError::Thread)?;
    outcome.await.unwrap_or(Err(UiError::Broke))
}

fn own_thread(
    snapshots: watch::Receiver<Arc<Snapshot>>,
    requests: mpsc::Sender<Request>,
    options: &UiOptions,
    cancelled: CancellationToken,
) -> Result<Outcome, UiError> {
    let theme = Theme::detect(options.color, options.ascii, |name| {
        std::env::var(name).ok()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(UiError::Thread)?;
    let modes = Arc::new(term::Modes::default());
    let me = std::thread::current().id();
    let (_watch, panics) = panics::PanicWatch::install(me, Arc::clone(&modes));
    let mut screen = term::Screen::enter(modes).map_err(UiError::Terminal)?;
    let size = screen.size().map_err(UiError::Terminal)?;
    let mut app = App::new(size);
    let wires = runtime::Wires {
        snapshots,
        requests,
        panics,
        cancelled,
    };
    let left = runtime.block_on(runtime::drive(&mut screen, &mut app, &theme, wires))?;
    drop(screen);
    Ok(Outcome {
        left,
        summary: summary::summary(&app, options.runs.as_deref()),
    })
}
