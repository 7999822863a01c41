//! Wakes a task at a moment, to within a tenth of a millisecond: [`until`] is the door.
//!
//! The runtime's own timers work in whole milliseconds and round up. Every write is timed from the
//! moment it was meant to leave, so with them the probe would measure its own lateness, which is
//! more than the whole way of a write through an idle cluster.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Below this, waiting is left to the alarm's own thread alone.
const RUNTIME_PRECISION: Duration = Duration::from_millis(3);

/// Returns at `moment`, or at once when it has passed.
///
/// The runtime sleeps until shortly before, so that a long wait costs its thread nothing and a
/// dropped one leaves nothing behind.
pub(super) async fn until(moment: Instant) {
    if let Some(early) = moment.checked_sub(RUNTIME_PRECISION) {
        tokio::time::sleep_until(early.into()).await;
    }
    if Instant::now() >= moment {
        return;
    }
    let (ring, rung) = oneshot::channel();
    CLOCK.set(moment, ring);
    // The thread lives as long as the process and rings every bell it was given.
    let _ = rung.await;
}

static CLOCK: LazyLock<&'static Clock> = LazyLock::new(|| {
    let clock: &'static Clock = Box::leak(Box::default());
    std::thread::Builder::new()
        .name("alarm".into())
        .spawn(|| clock.run())
        .expect("a process that can run a cluster can start one more thread");
    clock
});

#[derive(Debug, Default)]
struct Clock {
    due: Mutex<BinaryHeap<Reverse<Bell>>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Bell {
    moment: Instant,
    ring: oneshot::Sender<()>,
}

impl Clock {
    fn set(&self, moment: Instant, ring: oneshot::Sender<()>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.push(Reverse(Bell { moment, ring }));
        self.changed.notify_one();
    }

    fn run(&self) -> ! {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            while due.peek().is_some_and(|Reverse(next)| next.moment <= now) {
                if let Some(Reverse(bell)) = due.pop() {
                    // Whoever waited may have left.
                    let _ = bell.ring.send(());
                }
            }
            due = match due.peek() {
                Some(Reverse(next)) => {
                    let wait = next.moment.saturating_duration_since(now);
                    self.changed
                        .wait_timeout(due, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .changed
                    .wait(due)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl PartialEq for Bell {
    fn eq(&self, other: &Self) -> bool {
        self.moment == other.moment
    }
}

impl Eq for Bell {}

impl PartialOrd for Bell {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bell {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.moment.cmp(&other.moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_bell_rings_and_none_before_its_moment() {
        let start = Instant::now();
        let waits = [7, 1, 4, 0, 4, 2, 9].map(|ms| {
            let moment = start + Duration::from_millis(ms);
            async move {
                until(moment).await;
                Instant::now() >= moment
            }
        });
        assert!(
            futures_util::future::join_all(waits)
                .await
                .into_iter()
                .all(|kept| kept)
        );
    }

    #[tokio::test]
    async fn a_wait_given_up_harms_nobody() {
        let soon = Instant::now() + Duration::from_millis(2);
        tokio::select! {
            biased;
            () = until(soon + Duration::from_millis(500)) => panic!("too early"),
            () = until(soon) => {}
        }
        until(Instant::now() + Duration::from_millis(1)).await;
    }
}
