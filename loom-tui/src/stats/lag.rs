//! The worst lag of one observer in each of the last five minutes' seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// Seconds remembered.
pub const LAG_SECONDS: usize = 300;

/// Worst lag per second. Lag grows with the clock and falls when something is shown, so its peaks
/// are the latencies of what was shown and the ages of what was outstanding as a second ended.
#[derive(Clone, Debug, Default)]
pub struct LagTrace {
    /// Newest last; the second itself and its worst lag.
    seconds: VecDeque<(u64, Option<Duration>)>,
    /// The second that is running.
    second: u64,
    worst: Option<Duration>,
    known: bool,
}

impl LagTrace {
    /// Something of another origin was shown, this long after it was to be sent.
    pub fn shown(&mut self, latency: Duration) {
        self.worst = self.worst.max(Some(latency));
        self.known = true;
    }

    /// Whether anything was ever known.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Moves on to `now`; `oldest` is when the oldest thing still outstanding was to be sent.
    /// True if a second ended.
    pub fn roll(&mut self, now: Duration, oldest: Option<Duration>) -> bool {
        self.known |= oldest.is_some();
        let target = now.as_secs();
        let ended = self.second < target;
        // After a long sleep only the remembered seconds are worth filling in.
        self.second = self.second.max(target.saturating_sub(LAG_SECONDS as u64));
        while self.second < target {
            let end = Duration::from_secs(self.second + 1);
            let age = oldest.and_then(|oldest| end.checked_sub(oldest));
            let worst = self.worst.take().max(age);
            self.seconds.push_back((self.second, worst));
            if self.seconds.len() > LAG_SECONDS {
                self.seconds.pop_front();
            }
            self.second += 1;
        }
        ended
    }

    /// (start of the second, worst lag in it), newest last; `None` where nothing was known.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = (Duration, Option<Duration>)> + '_ {
        (self.seconds.iter()).map(|(second, worst)| (Duration::from_secs(*second), *worst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_grows_by_the_clock_while_something_is_outstanding() {
        let ms = Duration::from_millis;
        let mut trace = LagTrace::default();
        assert!(!trace.roll(ms(500), None));
        trace.roll(ms(1_200), None);
        trace.shown(ms(3));
        trace.shown(ms(2));
        // Outstanding since 1.5 s, and nobody looked until 4.2 s.
        trace.roll(ms(4_200), Some(ms(1_500)));
        trace.shown(ms(2_700));
        trace.roll(ms(6_000), None);
        let points: Vec<_> = trace.points().map(|(_, worst)| worst).collect();
        assert_eq!(
            points,
            [None, Some(500), Some(1_500), Some(2_500), Some(2_700), None]
                .map(|worst| worst.map(ms))
        );
    }

    #[test]
    fn five_minutes_are_remembered() {
        let mut trace = LagTrace::default();
        trace.roll(Duration::from_secs(100_000), None);
        assert_eq!(trace.points().count(), LAG_SECONDS);
        assert_eq!(trace.points().next_back().unwrap().0.as_secs(), 99_999);
    }
}
