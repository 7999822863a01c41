//! Distributions of durations: totals, sliding windows, lag over time, and what is exported.
//!
//! Histograms are merged, never percentiles averaged. Nothing is clipped silently: what lies
//! beyond a histogram's range is counted beside it, and a write that has not been seen yet counts
//! at its present age.

mod intervals;
mod lag;
mod latencies;
mod quantile;
mod window;

pub use self::intervals::{Interval, Intervals, interval_log};
pub use self::lag::{LAG_SECONDS, LagTrace};
pub use self::latencies::{LATENCY_LIMIT, Latencies};
pub use self::quantile::{Quantile, quantile};
pub use self::window::{WINDOW_SLOTS, Window, WindowFigures, figures};

use std::time::Duration;

/// Whole microseconds, at least one: histograms cannot hold zero, and nothing takes no time.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros())
        .unwrap_or(u64::MAX)
        .max(1)
}
