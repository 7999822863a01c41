//! Panics while the dashboard has the terminal: [`PanicWatch`].
//!
//! A panic of the dashboard's own thread gives the terminal back and is reported as usual. A panic
//! anywhere else (a background task, which the async runtime survives) is logged and handed to
//! the dashboard: printing it would only tear the picture.

use std::io;
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::thread::{self, ThreadId};

use tokio::sync::mpsc;

use super::term::Modes;

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// Watches panics until it is dropped.
pub(super) struct PanicWatch {
    previous: Arc<Hook>,
}

/// Reports beyond this are only in the log.
const REPORTS_MAX: usize = 16;

impl PanicWatch {
    /// Installs the hook. Panics of other threads arrive at the receiver while `modes` are on.
    pub(super) fn install(
        ui_thread: ThreadId,
        modes: Arc<Modes>,
    ) -> (Self, mpsc::Receiver<String>) {
        let (reports, received) = mpsc::channel(REPORTS_MAX);
        let previous: Arc<Hook> = Arc::from(panic::take_hook());
        let report = Arc::clone(&previous);
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == ui_thread {
                modes.undo(&mut io::stdout());
            } else if modes.any() {
                let what = what(info);
                tracing::error!(panic = what, "a background task broke");
                // Full: the first reports are the telling ones.
                let _ = reports.try_send(what);
                return;
            }
            report(info);
        }));
        (Self { previous }, received)
    }
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        // The hook cannot be changed by a panicking thread; with all modes off it only passes on.
        if !thread::panicking() {
            let previous = Arc::clone(&self.previous);
            panic::set_hook(Box::new(move |info| previous(info)));
        }
    }
}

fn what(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = (payload.downcast_ref::<&str>().copied())
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    match info.location() {
        Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hook belongs to the whole process, so there is one test for all of it.
    #[test]
    fn a_panic_of_the_dashboard_restores_and_one_elsewhere_is_told() {
        let modes = Arc::new(Modes::default());
        modes.turn_on_for_test();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let ui = thread::spawn(move || {
            wait.recv().expect("the test is still there");
            panic!("the dashboard's own");
        });
        let (watch, mut reports) = PanicWatch::install(ui.thread().id(), Arc::clone(&modes));

        let task = thread::spawn(|| panic!("a task's"));
        assert!(task.join().is_err());
        assert!(modes.any(), "the terminal stays ours");
        let told = reports.try_recv().expect("a report");
        assert!(told.starts_with("a task's ("), "{told}");

        go.send(()).expect("the dashboard waits");
        assert!(ui.join().is_err());
        assert!(!modes.any(), "the terminal was given back");
        assert!(reports.try_recv().is_err());
        drop(watch);
    }
}
