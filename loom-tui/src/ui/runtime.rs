//! The dashboard's loop: wait, drain, update, draw once. The only place that waits.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use ratatui::crossterm::event::{Event, EventStream};
use ratatui::layout::Size;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::snapshot::{Request, Snapshot};

use super::app::App;
use super::key::Key;
use super::pace::Pace;
use super::signals::{Caught, Signals, stop_self};
use super::term::Screen;
use super::theme::Theme;
use super::update::{Cmd, Msg, Urgency, update};
use super::{Left, UiError, view};

/// Where messages come from and requests go.
pub(super) struct Wires {
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) panics: mpsc::Receiver<String>,
    pub(super) cancelled: CancellationToken,
}

const TICK: Duration = Duration::from_secs(1);
/// Terminal events taken at one wake-up, before a frame is drawn.
const EVENTS_PER_WAKE_MAX: usize = 512;

/// Runs the dashboard until somebody leaves.
pub(super) async fn drive(
    screen: &mut Screen,
    app: &mut App,
    theme: &Theme,
    wires: Wires,
) -> Result<Left, UiError> {
    let signals = Signals::listen().map_err(UiError::Signals)?;
    let mut ui = Driver {
        screen,
        app,
        theme,
        requests: wires.requests,
        pace: Pace::default(),
        started: Instant::now(),
        stopped: false,
    };
    ui.pace.want(Urgency::Now);
    let keys = EventStream::new();
    ui.run(
        wires.snapshots,
        wires.panics,
        keys,
        signals,
        wires.cancelled,
    )
    .await
}

struct Driver<'a> {
    screen: &'a mut Screen,
    app: &'a mut App,
    theme: &'a Theme,
    requests: mpsc::Sender<Request>,
    pace: Pace,
    started: Instant,
    /// The terminal belongs to the shell until SIGCONT.
    stopped: bool,
}

impl Driver<'_> {
    async fn run(
        &mut self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        mut panics: mpsc::Receiver<String>,
        mut keys: impl Stream<Item = io::Result<Event>> + Unpin,
        mut signals: Signals,
        cancelled: CancellationToken,
    ) -> Result<Left, UiError> {
        // What was published before we came is news to us.
        snapshots.mark_changed();
        let mut ticked = Instant::now();
        loop {
            let draw_at = self.pace.due().filter(|_| !self.stopped);
            let draw_at = draw_at.map(|due| self.started + due);
            let tick_at = self.app.wants_tick().then(|| ticked + TICK);
            let left = tokio::select! {
                biased;
                () = cancelled.cancelled() => Some(Left::Cancelled),
                caught = signals.next() => self.on_signal(caught)?,
                event = keys.next() => self.on_events(event, &mut keys)?,
                changed = snapshots.changed() => match changed {
                    Ok(()) => {
                        let newest = Arc::clone(&snapshots.borrow_and_update());
                        ticked = Instant::now();
                        self.take(Msg::Snapshot(newest))?
                    }
                    Err(_) => Some(Left::EngineEnded),
                },
                Some(what) = panics.recv() => self.take(Msg::TaskBroke(what))?,
                () = at(draw_at) => {
                    let (app, theme) = (&*self.app, self.theme);
                    self.screen
                        .draw(|buffer| view::render(buffer, app, theme))
                        .map_err(UiError::Terminal)?;
                    self.pace.drawn(self.started.elapsed());
                    None
                }
                () = at(tick_at) => {
                    ticked = Instant::now();
                    self.take(Msg::Tick)?
                }
            };
            if let Some(left) = left {
                return Ok(left);
            }
        }
    }

    /// Takes the first event and all that are waiting behind it.
    fn on_events(
        &mut self,
        first: Option<io::Result<Event>>,
        keys: &mut (impl Stream<Item = io::Result<Event>> + Unpin),
    ) -> Result<Option<Left>, UiError> {
        let mut next = Some(first);
        for _ in 0..EVENTS_PER_WAKE_MAX {
            let Some(event) = next else {
                return Ok(None);
            };
            // The end of the stream is the end of the terminal, as a hang-up is.
            let Some(event) = event else {
                return Ok(Some(Left::TerminalGone));
            };
            let event = event.map_err(UiError::Terminal)?;
            if let Some(left) = self.on_event(event)? {
                return Ok(Some(left));
            }
            next = keys.next().now_or_never();
        }
        Ok(None)
    }

    fn on_event(&mut self, event: Event) -> Result<Option<Left>, UiError> {
        let msg = match event {
            Event::Key(key) => Key::from_event(key).map(Msg::Key),
            Event::Paste(text) => Some(Msg::Paste(text)),
            Event::Resize(width, height) => Some(Msg::Resize(Size::new(width, height))),
            Event::FocusGained => {
                self.pace.focus(true);
                self.pace.want(Urgency::Now);
                None
            }
            Event::FocusLost => {
                self.pace.focus(false);
                None
            }
            Event::Mouse(_) => None,
        };
        msg.map_or(Ok(None), |msg| self.take(msg))
    }

    fn on_signal(&mut self, caught: Caught) -> Result<Option<Left>, UiError> {
        match caught {
            Caught::Leave(number) => return Ok(Some(Left::Signal(number))),
            Caught::Stop => self.stop()?,
            Caught::Continued => {
                self.stopped = false;
                self.screen.reenter().map_err(UiError::Terminal)?;
                let size = self.screen.size().map_err(UiError::Terminal)?;
                return self.take(Msg::Resize(size));
            }
        }
        Ok(None)
    }

    fn stop(&mut self) -> Result<(), UiError> {
        self.screen.leave();
        self.stopped = true;
        stop_self().map_err(UiError::Signals)
    }

    fn take(&mut self, msg: Msg) -> Result<Option<Left>, UiError> {
        let mut cmds = std::collections::VecDeque::from(update(self.app, msg));
        while let Some(cmd) = cmds.pop_front() {
            match cmd {
                Cmd::Draw(urgency) => self.pace.want(urgency),
                Cmd::Request(request) => {
                    // Never awaited: a busy engine must not hold up keys.
                    let refused = match self.requests.try_send(request) {
                        Ok(()) => continue,
                        Err(TrySendError::Full(request)) => {
                            Msg::Refused(request, "the engine is busy, try again")
                        }
                        Err(TrySendError::Closed(request)) => {
                            Msg::Refused(request, "the engine has stopped")
                        }
                    };
                    cmds.extend(update(self.app, refused));
                }
                Cmd::Copy(text) => self.screen.copy(&text).map_err(UiError::Terminal)?,
                Cmd::Repaint => self.screen.forget().map_err(UiError::Terminal)?,
                Cmd::Suspend => self.stop()?,
                Cmd::Quit => return Ok(Some(Left::Quit)),
            }
        }
        Ok(None)
    }
}

/// Waits until then; for ever without a time.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
