//! All latencies of one kind since some moment, at three significant digits.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::micros;

/// Latencies above this are counted, not measured: a minute is an outage, not a latency.
pub const LATENCY_LIMIT: Duration = Duration::from_secs(60);

/// Latencies from 1 µs to [`LATENCY_LIMIT`] at three digits, and how many were above.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    above: u64,
    max: Option<Duration>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            // Grows with what it is given: most links never see a second.
            histogram: Histogram::new(3).expect("three digits are allowed"),
            above: 0,
            max: None,
        }
    }
}

impl Latencies {
    /// Takes one more.
    pub fn record(&mut self, latency: Duration) {
        self.max = self.max.max(Some(latency));
        if latency > LATENCY_LIMIT {
            self.above += 1;
        } else {
            (self.histogram.record(micros(latency))).expect("the histogram grows up to the limit");
        }
    }

    /// Takes all of another.
    pub fn merge(&mut self, other: &Self) {
        (self.histogram.add(&other.histogram)).expect("the histogram grows up to the limit");
        self.above += other.above;
        self.max = self.max.max(other.max);
    }

    /// What was recorded after `earlier`, an older copy of this. The largest is then known to
    /// three digits only.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if earlier.is_empty() {
            return self.clone();
        }
        let mut histogram = self.histogram.clone();
        (histogram.subtract(&earlier.histogram)).expect("an older copy holds no more than this");
        let above = self.above - earlier.above;
        let max = if self.max > earlier.max {
            self.max
        } else if above > 0 {
            // All that is left to say: it was above the limit.
            Some(LATENCY_LIMIT)
        } else {
            (!histogram.is_empty()).then(|| Duration::from_micros(histogram.max()))
        };
        Self {
            histogram,
            above,
            max,
        }
    }

    /// How many were recorded, those above the limit included.
    pub fn len(&self) -> u64 {
        self.histogram.len() + self.above
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were above [`LATENCY_LIMIT`].
    pub fn above(&self) -> u64 {
        self.above
    }

    /// The largest.
    pub fn max(&self) -> Option<Duration> {
        self.max
    }

    /// The smallest, unless all were above the limit.
    pub fn min(&self) -> Option<Duration> {
        (!self.histogram.is_empty()).then(|| Duration::from_micros(self.histogram.min()))
    }

    /// The mean of those within the limit.
    pub fn mean(&self) -> Option<Duration> {
        (!self.histogram.is_empty())
            .then(|| Duration::from_secs_f64(self.histogram.mean() / 1_000_000.0))
    }

    /// Those within the limit, in microseconds.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_clipped_silently() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::ZERO);
        latencies.record(LATENCY_LIMIT);
        latencies.record(Duration::from_secs(100));
        assert_eq!((latencies.len(), latencies.above()), (3, 1));
        assert_eq!(latencies.max(), Some(Duration::from_secs(100)));
        assert_eq!(latencies.min(), Some(Duration::from_micros(1)));
    }

    #[test]
    fn since_gives_back_what_came_later() {
        let mut early = Latencies::default();
        for ms in 1..=50 {
            early.record(Duration::from_millis(ms));
        }
        let mut late = early.clone();
        let mut only_late = Latencies::default();
        for ms in [3, 7, 20_000, 70_000] {
            late.record(Duration::from_millis(ms));
            only_late.record(Duration::from_millis(ms));
        }
        let since = late.since(&early);
        assert_eq!(since.histogram(), only_late.histogram());
        assert_eq!((since.len(), since.above()), (4, 1));
        assert_eq!(since.max(), only_late.max());
        assert!(early.since(&early).is_empty());
        assert_eq!(early.since(&early).max(), None);
    }
}
