//! What was measured between two moments, for reports and verdicts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::desk::Totals;
use super::ledger::{Class, Ledger, Tally, Unseen};
use crate::cluster::Member;
use crate::stats::{Latencies, Quantile, quantile};

/// A moment to report from: the books as they were then.
#[derive(Clone, Debug)]
pub struct Mark {
    /// When, by the probe's clock.
    pub at: Duration,
    user: Tally,
    canary: Tally,
    totals: Totals,
    gaps: BTreeMap<Member, u64>,
}

/// What was measured since a [`Mark`].
#[derive(Clone, Debug)]
pub struct Report {
    /// When the mark was set, by the probe's clock.
    pub since: Duration,
    /// When this was reported.
    pub until: Duration,
    /// Counts of user writes.
    pub user: Tally,
    /// Counts of canaries.
    pub canary: Tally,
    /// Every (class, origin, observer) with something to say, the origin's own feed included.
    pub pairs: Vec<PairReport>,
    /// Acked writes made since the mark that somebody has not shown, oldest first; the first
    /// [`UNSEEN_LISTED_MAX`] of them. Counts and ages in `pairs` are complete.
    pub unseen: Vec<Unseen>,
    /// Per observer: how often its feed had a gap that a list had to fill.
    pub feed_gaps: BTreeMap<Member, u64>,
}

/// Unseen writes named in a report.
pub const UNSEEN_LISTED_MAX: usize = 1_000;

/// Latencies from one origin to one observer.
#[derive(Clone, Debug)]
pub struct PairReport {
    /// On whose behalf.
    pub class: Class,
    /// Where writes were sent.
    pub origin: Member,
    /// Who showed them.
    pub observer: Member,
    /// Intended send to change event, of those that were shown.
    pub seen: Latencies,
    /// Ages of those acked and not shown, oldest first.
    pub unseen_ages: Vec<Duration>,
}

/// The figures of some pairs together. Percentiles count unseen writes at their present age.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Showings measured.
    pub count: u64,
    /// Showings still owed.
    pub unseen: u64,
    /// Age of the oldest showing owed.
    pub oldest_unseen: Option<Duration>,
    /// Smallest measured.
    pub min: Option<Duration>,
    /// Mean of those measured within the histogram's limit.
    pub mean: Option<Duration>,
    /// Median.
    pub p50: Quantile,
    /// 95th percentile.
    pub p95: Quantile,
    /// 99th percentile; the maximum with fewer than 100 in all.
    pub p99: Quantile,
    /// 99.9th percentile; the maximum with fewer than 1,000 in all.
    pub p999: Quantile,
    /// Largest; what is owed counts.
    pub max: Quantile,
    /// Measured above the histogram's limit.
    pub above: u64,
}

impl Mark {
    pub(super) fn now(
        at: Duration,
        ledger: &Ledger,
        totals: &Totals,
        gaps: &BTreeMap<Member, u64>,
    ) -> Self {
        Self {
            at,
            user: ledger.counts(Class::User),
            canary: ledger.counts(Class::Canary),
            totals: totals.clone(),
            gaps: gaps.clone(),
        }
    }
}

impl Report {
    pub(super) fn since(
        mark: &Mark,
        now: Duration,
        ledger: &Ledger,
        totals: &Totals,
        gaps: &BTreeMap<Member, u64>,
    ) -> Self {
        let mut pairs: BTreeMap<_, (Latencies, Vec<Duration>)> = BTreeMap::new();
        for (pair, total) in totals {
            let seen = match mark.totals.get(pair) {
                Some(earlier) => total.since(earlier),
                None => total.clone(),
            };
            if !seen.is_empty() {
                pairs.insert(*pair, (seen, Vec::new()));
            }
        }
        let mut listed = Vec::new();
        for unseen in ledger.unseen(mark.at) {
            for observer in &unseen.missing {
                let pair = (unseen.class, unseen.origin, *observer);
                let (_, ages) = pairs.entry(pair).or_default();
                ages.push(now.saturating_sub(unseen.intended));
            }
            if listed.len() < UNSEEN_LISTED_MAX {
                listed.push(unseen);
            }
        }
        let gaps = gaps.iter().map(|(member, count)| {
            let before = mark.gaps.get(member).copied().unwrap_or(0);
            (*member, count - before)
        });
        Self {
            since: mark.at,
            until: now,
            user: ledger.counts(Class::User).since(&mark.user),
            canary: ledger.counts(Class::Canary).since(&mark.canary),
            pairs: (pairs.into_iter())
                .map(
                    |((class, origin, observer), (seen, unseen_ages))| PairReport {
                        class,
                        origin,
                        observer,
                        seen,
                        unseen_ages,
                    },
                )
                .collect(),
            unseen: listed,
            feed_gaps: gaps.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Convergence of one class: every pair of two different nodes together.
    pub fn convergence(&self, class: Class) -> Summary {
        Summary::of(
            (self.pairs.iter()).filter(|pair| pair.class == class && pair.origin != pair.observer),
        )
    }

    /// Whether the books could not follow every write: nothing can be proven by them then.
    pub fn is_incomplete(&self) -> bool {
        self.user.overflow + self.canary.overflow > 0
    }
}

impl PairReport {
    /// The figures of this pair.
    pub fn summary(&self) -> Summary {
        Summary::of([self])
    }
}

impl Summary {
    /// The figures of these pairs together.
    pub fn of<'a>(pairs: impl IntoIterator<Item = &'a PairReport>) -> Self {
        let mut seen = Latencies::default();
        let mut ages = Vec::new();
        for pair in pairs {
            seen.merge(&pair.seen);
            ages.extend_from_slice(&pair.unseen_ages);
        }
        Self::from_parts(&seen, &ages)
    }

    /// The figures of these latencies and the ages of what has not ended.
    pub fn from_parts(seen: &Latencies, ages: &[Duration]) -> Self {
        let total = seen.len() + ages.len() as u64;
        let at = |share: f64, samples_min: u64| {
            let share = if total < samples_min { 1.0 } else { share };
            quantile(seen, ages, share)
        };
        let oldest_unseen = ages.iter().max().copied();
        Self {
            count: seen.len(),
            unseen: ages.len() as u64,
            oldest_unseen,
            min: seen.min(),
            mean: seen.mean(),
            p50: at(0.5, 1),
            p95: at(0.95, 1),
            p99: at(0.99, 100),
            p999: at(0.999, 1_000),
            max: match (seen.max(), oldest_unseen) {
                (seen, Some(oldest)) => Quantile::AtLeast(seen.map_or(oldest, |s| s.max(oldest))),
                (Some(seen), None) => Quantile::Known(seen),
                (None, None) => Quantile::Empty,
            },
            above: seen.above(),
        }
    }
}
