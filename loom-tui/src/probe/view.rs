//! The state of affairs as the dashboard shows it: lag, percentiles, rates.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::desk::FeedState;
use super::ledger::{Class, Ledger};
use crate::cluster::Member;
use crate::snapshot::LatencyWindow;
use crate::stats::{LagTrace, WINDOW_SLOTS, Window, WindowFigures, figures};

/// What there is to show at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Every observer, in the probe's order.
    pub observers: Vec<ObserverView>,
    /// Convergence latency at other nodes over the last minute, canaries included.
    pub latency: LatencyWindow,
    /// Acknowledged user writes per second over the last few seconds.
    pub ops_per_s: f64,
    /// User writes sent and not answered.
    pub in_flight: u64,
    /// Writes nobody could follow for lack of room: figures are not the whole truth then.
    pub overflow: u64,
}

/// One observer.
#[derive(Clone, Debug)]
pub struct ObserverView {
    /// Who.
    pub member: Member,
    /// Age of the oldest write of another node it has not shown; zero when it has shown all,
    /// `None` before anything was known.
    pub lag: Option<Duration>,
    /// Writes of other nodes it has not shown.
    pub behind: u64,
    /// 99th percentile as seen here over the last minute; the maximum under 100 samples.
    pub p99: Option<Duration>,
    /// Whether its change feed is connected.
    pub feed_up: bool,
    /// Worst lag per second, newest last, at most [`crate::stats::LAG_SECONDS`].
    pub trace: Vec<(Duration, Option<Duration>)>,
}

/// Keeps what the view is made of, and makes it when asked.
#[derive(Debug)]
pub(super) struct Viewer {
    observers: Vec<Member>,
    windows: BTreeMap<(Member, Member), Window>,
    traces: BTreeMap<Member, LagTrace>,
    feed_up: BTreeMap<Member, bool>,
    rate: Rate,
    /// Figures of the windows as they are, for all and per observer; `None` after a change.
    /// Percentiles are the expensive part, and most views follow one another unchanged.
    cached: Option<(WindowFigures, BTreeMap<Member, Option<Duration>>)>,
}

impl Viewer {
    pub(super) fn new(observers: &[Member]) -> Self {
        Self {
            observers: observers.to_vec(),
            windows: BTreeMap::new(),
            traces: observers
                .iter()
                .map(|member| (*member, LagTrace::default()))
                .collect(),
            feed_up: BTreeMap::new(),
            rate: Rate::default(),
            cached: None,
        }
    }

    /// Moves on to `now`. Must come before anything that happens at `now` is booked.
    pub(super) fn roll(&mut self, now: Duration, ledger: &Ledger) {
        for window in self.windows.values_mut() {
            if window.roll(now) {
                self.cached = None;
            }
        }
        for (member, trace) in &mut self.traces {
            trace.roll(now, ledger.owed(*member).oldest);
        }
        self.rate.roll(now, ledger.counts(Class::User).acked);
    }

    /// An observer showed a write for the first time.
    pub(super) fn sample(
        &mut self,
        origin: Member,
        observer: Member,
        now: Duration,
        latency: Duration,
    ) {
        if origin == observer {
            return; // not convergence
        }
        self.cached = None;
        let window = (self.windows.entry((origin, observer))).or_insert_with(|| {
            let mut window = Window::default();
            window.roll(now);
            window
        });
        window.record(latency);
        if let Some(trace) = self.traces.get_mut(&observer) {
            trace.shown(latency);
        }
    }

    pub(super) fn feed(&mut self, observer: Member, state: FeedState) {
        self.feed_up.insert(observer, state == FeedState::Up);
    }

    pub(super) fn view(&mut self, now: Duration, ledger: &Ledger) -> Arc<View> {
        let windows = &self.windows;
        let (all, p99) = self.cached.get_or_insert_with(|| {
            let p99 = self.observers.iter().map(|member| {
                let seen_here = windows
                    .iter()
                    .filter(|((_, observer), _)| observer == member);
                (*member, figures(seen_here.map(|(_, window)| window)).p99)
            });
            (figures(windows.values()), p99.collect())
        });
        let observers = self.observers.iter().map(|member| {
            let owed = ledger.owed(*member);
            let trace = &self.traces[member];
            let age = owed.oldest.map(|oldest| now.saturating_sub(oldest));
            ObserverView {
                member: *member,
                lag: age.or(trace.is_known().then_some(Duration::ZERO)),
                behind: owed.behind,
                p99: p99.get(member).copied().flatten(),
                feed_up: self.feed_up.get(member).copied().unwrap_or(false),
                trace: trace.points().collect(),
            }
        });
        Arc::new(View {
            observers: observers.collect(),
            latency: LatencyWindow {
                span: Duration::from_secs(WINDOW_SLOTS as u64).min(now),
                count: all.count,
                p50: all.p50,
                p95: all.p95,
                p99: all.p99,
                max: all.max,
                bins: all.bins.clone(),
                above: all.above,
                unseen: ledger.open_len(),
                oldest_unseen: ledger
                    .open_oldest()
                    .map(|oldest| now.saturating_sub(oldest)),
            },
            ops_per_s: self.rate.per_s(now, ledger.counts(Class::User).acked),
            in_flight: ledger.user_in_flight(),
            overflow: ledger.counts(Class::User).overflow + ledger.counts(Class::Canary).overflow,
        })
    }
}

/// A rate over the last few seconds, from a total that only rises.
#[derive(Debug, Default)]
struct Rate {
    /// (when, total then), oldest first, at most one per second.
    totals: VecDeque<(Duration, u64)>,
}

/// How far back a rate looks.
const RATE_SPAN: Duration = Duration::from_secs(5);

impl Rate {
    fn roll(&mut self, now: Duration, total: u64) {
        let newest = self.totals.back().map(|(at, _)| at.as_secs());
        if newest != Some(now.as_secs()) {
            self.totals.push_back((now, total));
        }
        // One older than the span stays, to measure from.
        while self.totals.len() > 1 && self.totals[1].0 + RATE_SPAN <= now {
            self.totals.pop_front();
        }
    }

    fn per_s(&self, now: Duration, total: u64) -> f64 {
        match self.totals.front() {
            Some((since, before)) if now > *since => {
                (total - before) as f64 / (now - *since).as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_the_last_seconds_only() {
        let mut rate = Rate::default();
        let mut total = 0;
        for ms in (0..20_000).step_by(10) {
            let now = Duration::from_millis(ms);
            rate.roll(now, total);
            // 100/s for ten seconds, then nothing.
            total += u64::from(ms < 10_000);
        }
        assert_eq!(rate.per_s(Duration::from_secs(20), total), 0.0);
        let mut rate = Rate::default();
        for second in 0..30 {
            rate.roll(Duration::from_secs(second), second * 250);
        }
        let now = rate.per_s(Duration::from_secs(29), 29 * 250);
        assert!((249.0..251.0).contains(&now), "{now}");
    }
}
