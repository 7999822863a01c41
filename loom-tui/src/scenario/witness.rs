//! Who ended although nobody asked for it: listens to the cluster for as long as a run lasts.
//!
//! Events are taken as they come, not when the run is over: the queue they come through holds
//! 1,024, and a long run has more. If some were missed all the same, that is said, and the run
//! cannot know that nobody crashed.

use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterEvent;

/// Crashes remembered; one is enough to fail a run.
const CRASHES_MAX: usize = 1_000;

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Members that ended although nobody asked for it: who, and how.
    pub crashes: Vec<String>,
    /// Events nobody heard, because they came faster than they were taken.
    pub missed: u64,
}

/// Listens until told to stop.
#[derive(Debug)]
pub struct Witness {
    stop: CancellationToken,
    listening: JoinHandle<Heard>,
}

impl Witness {
    /// Listens from now on.
    pub fn listen(mut events: broadcast::Receiver<ClusterEvent>) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let listening = tokio::spawn(async move {
            let mut heard = Heard::default();
            loop {
                let event = tokio::select! {
                    biased;
                    event = events.recv() => event,
                    // Everything sent so far has been heard: `biased` looks there first.
                    () = stopped.cancelled() => return heard,
                };
                match event {
                    Ok(event) => heard.take(&event),
                    Err(broadcast::error::RecvError::Lagged(missed)) => heard.missed += missed,
                    Err(broadcast::error::RecvError::Closed) => return heard,
                }
            }
        });
        Self { stop, listening }
    }

    /// Everything heard up to now.
    pub async fn finish(self) -> Heard {
        self.stop.cancel();
        // Only when the runtime is going down is there nobody to tell.
        self.listening.await.unwrap_or(Heard {
            crashes: Vec::new(),
            missed: 1,
        })
    }
}

impl Heard {
    fn take(&mut self, event: &ClusterEvent) {
        let Some(member) = event.member else { return };
        // A port that is taken moves; nobody ended.
        let ended = event.unexpected && !event.what.starts_with("port ");
        if ended && self.crashes.len() < CRASHES_MAX {
            self.crashes.push(format!("{member} {}", event.what));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::cluster::Member;

    fn event(what: &str, unexpected: bool) -> ClusterEvent {
        ClusterEvent {
            at: SystemTime::UNIX_EPOCH,
            member: Some(Member::Node(2)),
            what: what.to_owned(),
            unexpected,
        }
    }

    #[tokio::test]
    async fn a_crash_is_heard_however_much_happens_after_it() {
        let (sender, events) = broadcast::channel(4);
        let witness = Witness::listen(events);
        sender
            .send(event("exited: signal 11 (SIGSEGV)", true))
            .unwrap();
        for _ in 0..100 {
            // A turn for the witness, as a run has many.
            tokio::task::yield_now().await;
            sender.send(event("link cut", false)).unwrap();
        }
        let heard = witness.finish().await;
        assert_eq!(heard.crashes, ["node-2 exited: signal 11 (SIGSEGV)"]);
        assert_eq!(heard.missed, 0);
    }

    #[tokio::test]
    async fn what_was_missed_is_counted_not_passed_over() {
        let (sender, events) = broadcast::channel(4);
        // Sent before the witness has a turn.
        for _ in 0..10 {
            sender.send(event("exited: exit status 1", true)).unwrap();
        }
        let heard = Witness::listen(events).finish().await;
        assert_eq!(heard.missed, 6);
        assert_eq!(heard.crashes.len(), 4);
    }
}
