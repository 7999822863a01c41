//! How soon the next bytes of a direction may go, under a limit in bytes per second.
//!
//! A [`Pacer`] is shared by all connections of a direction, so the limit is the link's. It lets
//! bytes go in slices of [`SLICE`] worth of time and charges for them afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How much time's worth of bytes may go at once. Shorter would cost wake-ups, longer would show
/// as jumps in latency.
const SLICE: Duration = Duration::from_millis(20);

/// Until when the direction is busy with bytes already let go.
#[derive(Debug)]
pub(super) struct Pacer {
    origin: Instant,
    /// Nanoseconds after `origin`.
    busy_until: AtomicU64,
}

impl Default for Pacer {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            busy_until: AtomicU64::new(0),
        }
    }
}

impl Pacer {
    /// Bytes that may go now, or when to ask again.
    pub(super) fn grant(&self, bytes_per_s: u64, now: Instant) -> Result<usize, Instant> {
        let free_at = self.origin + Duration::from_nanos(self.busy_until.load(Ordering::Relaxed));
        if free_at > now {
            return Err(free_at);
        }
        let slice = u128::from(bytes_per_s) * SLICE.as_nanos() / Duration::from_secs(1).as_nanos();
        Ok(usize::try_from(slice).unwrap_or(usize::MAX).max(1))
    }

    /// Books `bytes` that went.
    pub(super) fn charge(&self, bytes: usize, bytes_per_s: u64, now: Instant) {
        let now = nanos(now.saturating_duration_since(self.origin));
        let cost =
            bytes as u128 * Duration::from_secs(1).as_nanos() / u128::from(bytes_per_s.max(1));
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let book = |busy_until: u64| Some(busy_until.max(now).saturating_add(cost));
        // Never refused: the closure always has an answer.
        let _ = self
            .busy_until
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, book);
    }

    /// Forgets what is booked, so that a new limit holds from now on.
    pub(super) fn reset(&self) {
        self.busy_until.store(0, Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_carries_what_the_limit_says() {
        let pacer = Pacer::default();
        let mut now = pacer.origin;
        let end = now + Duration::from_secs(1);
        let mut sent = 0;
        while now < end {
            match pacer.grant(125_000, now) {
                Ok(bytes) => {
                    sent += bytes;
                    pacer.charge(bytes, 125_000, now);
                }
                Err(later) => now = later,
            }
        }
        assert!((122_500..=127_500).contains(&sent), "{sent}");
    }

    #[test]
    fn a_limit_below_a_byte_per_slice_still_moves() {
        let pacer = Pacer::default();
        assert_eq!(pacer.grant(1, pacer.origin), Ok(1));
        pacer.charge(1, 1, pacer.origin);
        assert_eq!(
            pacer.grant(1, pacer.origin),
            Err(pacer.origin + Duration::from_secs(1))
        );
        pacer.reset();
        assert_eq!(pacer.grant(1, pacer.origin), Ok(1));
    }
}
