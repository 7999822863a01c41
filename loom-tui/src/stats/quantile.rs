//! Percentiles that do not flatter: what has not ended yet counts at its present age.

use std::fmt;
use std::time::Duration;

use super::latencies::{LATENCY_LIMIT, Latencies};
use super::micros;

/// A percentile, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantile {
    /// Nothing was measured.
    Empty,
    /// This.
    Known(Duration),
    /// This or more: something that counts into it has not ended.
    AtLeast(Duration),
}

impl Quantile {
    /// The figure, if it is final.
    pub fn known(self) -> Option<Duration> {
        match self {
            Self::Known(duration) => Some(duration),
            Self::Empty | Self::AtLeast(_) => None,
        }
    }

    /// The figure, final or not.
    pub fn lower_bound(self) -> Option<Duration> {
        match self {
            Self::Known(duration) | Self::AtLeast(duration) => Some(duration),
            Self::Empty => None,
        }
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing measured"),
            Self::Known(duration) => write!(f, "{duration:?}"),
            Self::AtLeast(duration) => write!(f, "at least {duration:?}"),
        }
    }
}

/// The latency that `share` (0 to 1) of all writes stayed within, counting each write that has
/// not been seen at its present age. It is only known when no unseen write could still raise it.
pub fn quantile(latencies: &Latencies, unseen_ages: &[Duration], share: f64) -> Quantile {
    let total = latencies.len() + unseen_ages.len() as u64;
    if total == 0 {
        return Quantile::Empty;
    }
    let rank = ((share.clamp(0.0, 1.0) * total as f64).ceil() as u64).clamp(1, total);
    let mut histogram = latencies.histogram().clone();
    for age in unseen_ages.iter().filter(|age| **age <= LATENCY_LIMIT) {
        (histogram.record(micros(*age))).expect("the histogram grows up to the limit");
    }
    if rank > histogram.len() {
        return Quantile::AtLeast(LATENCY_LIMIT);
    }
    // Not `share` itself: the histogram lacks those above the limit.
    let within = rank as f64 / histogram.len() as f64;
    let value = histogram.value_at_quantile(within).min(histogram.max());
    let could_rise = unseen_ages.iter().any(|age| micros(*age) <= value);
    let value = Duration::from_micros(value);
    if could_rise {
        Quantile::AtLeast(value)
    } else {
        Quantile::Known(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        for ms in millis {
            latencies.record(Duration::from_millis(ms));
        }
        latencies
    }

    fn ms(quantile: Quantile) -> Option<u128> {
        quantile.lower_bound().map(|at| at.as_millis())
    }

    #[test]
    fn one_unseen_write_poisons_the_percentiles_it_counts_into() {
        let hundred = of(1..=100);
        assert_eq!(ms(quantile(&hundred, &[], 0.99)), Some(99));
        assert!(quantile(&hundred, &[], 0.99).known().is_some());
        // Young: it may yet end anywhere above 5 ms, so even the median is only a lower bound.
        let young = [Duration::from_millis(5)];
        assert_eq!(quantile(&hundred, &young, 0.5).known(), None);
        // Old: the median is out of its reach, the maximum is not.
        let old = [Duration::from_secs(30)];
        assert_eq!(ms(quantile(&hundred, &old, 0.5)), Some(51));
        assert!(quantile(&hundred, &old, 0.5).known().is_some());
        assert_eq!(quantile(&hundred, &old, 1.0).known(), None);
        assert_eq!(
            ms(quantile(&hundred, &old, 1.0)).map(|ms| ms / 100),
            Some(300)
        );
    }

    #[test]
    fn beyond_the_limit_is_at_least_the_limit() {
        let latencies = of([1, 2, 70_000]);
        assert_eq!(ms(quantile(&latencies, &[], 0.5)), Some(2));
        assert_eq!(
            quantile(&latencies, &[], 0.99),
            Quantile::AtLeast(LATENCY_LIMIT)
        );
        assert_eq!(quantile(&of([]), &[], 0.5), Quantile::Empty);
    }
}
