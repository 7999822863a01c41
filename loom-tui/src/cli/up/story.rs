//! A line per event while a cluster runs in the foreground.

use std::time::SystemTime;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::say;
use crate::cluster::{ClusterBackend, ClusterEvent};

/// Prints events until it is ended.
pub(super) struct Story {
    telling: JoinHandle<()>,
    end: tokio::sync::oneshot::Sender<()>,
}

impl Story {
    pub(super) fn tell(backend: &dyn ClusterBackend) -> Self {
        let mut events = backend.events();
        let (end, mut ended) = tokio::sync::oneshot::channel();
        let begun = SystemTime::now();
        let telling = tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    event = events.recv() => match event {
                        Ok(event) => say(&line(&event, begun)),
                        Err(RecvError::Lagged(missed)) => say(&format!("({missed} events missed)")),
                        Err(RecvError::Closed) => return,
                    },
                    _ = &mut ended => return tell_rest(&mut events, begun),
                }
            }
        });
        Self { telling, end }
    }

    /// Prints what has happened so far and stops.
    pub(super) async fn end(self) {
        // It may have ended already.
        let _ = self.end.send(());
        let _ = self.telling.await;
    }
}

fn tell_rest(events: &mut broadcast::Receiver<ClusterEvent>, begun: SystemTime) {
    while let Ok(event) = events.try_recv() {
        say(&line(&event, begun));
    }
}

/// `  12.345  node-2   killed (SIGKILL)`, with `!` before what nobody asked for.
fn line(event: &ClusterEvent, begun: SystemTime) -> String {
    let since = event.at.duration_since(begun).unwrap_or_default();
    let who = event
        .member
        .map_or("cluster".to_owned(), |member| member.to_string());
    let mark = if event.unexpected { '!' } else { ' ' };
    format!(
        "{:>9.3} {mark} {who:<8} {}",
        since.as_secs_f64(),
        event.what
    )
}
