//! The last minute of latencies, in slots of one second, at two digits: for the dashboard.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::micros;
use crate::snapshot::{LATENCY_BINS, LATENCY_MAX, LATENCY_MIN};

/// Seconds a window reaches back.
pub const WINDOW_SLOTS: usize = 60;

/// A sliding minute of latencies.
#[derive(Clone, Debug)]
pub struct Window {
    /// Newest last; the last one is the current second.
    slots: VecDeque<Histogram<u32>>,
    /// The sum of all slots (no minute has four billion samples), kept as they come and go.
    sum: Histogram<u32>,
    /// Which second the newest slot is.
    second: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            slots: VecDeque::from([slot()]),
            sum: Histogram::new(2).expect("two digits are allowed"),
            second: 0,
        }
    }
}

fn slot() -> Histogram<u32> {
    Histogram::new(2).expect("two digits are allowed")
}

impl Window {
    /// Takes one sample of the current second.
    pub fn record(&mut self, latency: Duration) {
        let us = micros(latency);
        if let Some(slot) = self.slots.back_mut() {
            slot.record(us).expect("the histogram grows");
        }
        self.sum.record(us).expect("the histogram grows");
    }

    /// Moves on to `now`, forgetting what is older than the window. True if anything was.
    pub fn roll(&mut self, now: Duration) -> bool {
        let mut forgot = false;
        let passed = now.as_secs().saturating_sub(self.second);
        self.second += passed;
        for _ in 0..passed.min(WINDOW_SLOTS as u64) {
            let mut newest = slot();
            if self.slots.len() == WINDOW_SLOTS
                && let Some(oldest) = self.slots.pop_front()
            {
                forgot |= !oldest.is_empty();
                (self.sum.subtract(&oldest)).expect("the sum holds every slot");
                newest = oldest;
                newest.reset();
            }
            self.slots.push_back(newest);
        }
        forgot
    }

    /// Everything in the window, in microseconds.
    pub fn sum(&self) -> &Histogram<u32> {
        &self.sum
    }
}

/// What is shown of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowFigures {
    /// Samples.
    pub count: u64,
    /// Median.
    pub p50: Option<Duration>,
    /// 95th percentile.
    pub p95: Option<Duration>,
    /// 99th percentile; the maximum with fewer than 100 samples.
    pub p99: Option<Duration>,
    /// Largest.
    pub max: Option<Duration>,
    /// Counts in [`LATENCY_BINS`] log-spaced bins from [`LATENCY_MIN`] to [`LATENCY_MAX`]; what is
    /// faster than the first bin is in the first.
    pub bins: Vec<u64>,
    /// Samples above [`LATENCY_MAX`].
    pub above: u64,
}

/// The figures of everything in these windows together.
pub fn figures<'a>(windows: impl IntoIterator<Item = &'a Window>) -> WindowFigures {
    let mut all: Histogram<u32> = Histogram::new(2).expect("two digits are allowed");
    for window in windows {
        all.add(&window.sum).expect("the histogram grows");
    }
    let count = all.len();
    let at = |share: f64| {
        let us = all.value_at_quantile(share).min(all.max());
        (count > 0).then(|| Duration::from_micros(us))
    };
    let mut bins = vec![0; LATENCY_BINS];
    let mut above = 0;
    for cell in all.iter_recorded() {
        let count = u64::from(cell.count_at_value());
        match bin(Duration::from_micros(cell.value_iterated_to())) {
            Some(index) => bins[index] += count,
            None => above += count,
        }
    }
    WindowFigures {
        count,
        p50: at(0.5),
        p95: at(0.95),
        p99: at(if count < 100 { 1.0 } else { 0.99 }),
        max: at(1.0),
        bins,
        above,
    }
}

/// Which log-spaced bin a latency falls in; `None` above the last.
fn bin(latency: Duration) -> Option<usize> {
    if latency > LATENCY_MAX {
        return None;
    }
    let span = (LATENCY_MAX.as_secs_f64() / LATENCY_MIN.as_secs_f64()).ln();
    let share = (latency.as_secs_f64() / LATENCY_MIN.as_secs_f64()).ln() / span;
    let index = (share * LATENCY_BINS as f64).max(0.0) as usize;
    Some(index.min(LATENCY_BINS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_is_gone() {
        let mut window = Window::default();
        for second in 0..200 {
            window.roll(Duration::from_secs(second));
            window.record(Duration::from_millis(second + 1));
        }
        assert_eq!(window.sum().len(), 60);
        let minute = figures([&window]);
        assert_eq!(minute.count, 60);
        assert!(minute.max.unwrap() >= Duration::from_millis(200));
        assert!(window.roll(Duration::from_secs(10_000)));
        assert_eq!(window.sum().len(), 0);
        assert_eq!(figures([&window]).p99, None);
    }

    #[test]
    fn bins_cover_the_range_and_the_rest_is_counted() {
        assert_eq!(bin(Duration::from_micros(1)), Some(0));
        assert_eq!(bin(LATENCY_MIN), Some(0));
        assert_eq!(bin(LATENCY_MAX), Some(LATENCY_BINS - 1));
        assert_eq!(bin(LATENCY_MAX + Duration::from_micros(1)), None);
        // Half way up five decades, in the logarithm.
        let middle = Duration::from_micros(31_700);
        assert_eq!(bin(middle), Some(LATENCY_BINS / 2));
        let mut window = Window::default();
        for ms in [1, 10, 100, 1_000, 20_000] {
            window.record(Duration::from_millis(ms));
        }
        let figures = figures([&window]);
        assert_eq!(figures.bins.iter().sum::<u64>(), 4);
        assert_eq!(figures.above, 1);
    }

    #[test]
    fn p99_of_few_samples_is_the_maximum() {
        let mut window = Window::default();
        for _ in 0..98 {
            window.record(Duration::from_millis(1));
        }
        window.record(Duration::from_secs(1));
        assert!(figures([&window]).p99.unwrap() >= Duration::from_secs(1));
        for _ in 0..200 {
            window.record(Duration::from_millis(1));
        }
        assert!(figures([&window]).p99.unwrap() < Duration::from_millis(2));
    }
}
