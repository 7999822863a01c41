//! How stale each node was: what became of every acknowledged write there, in set-full's words, and
//! how long others' writes took to be shown.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check::Evidence;
use crate::check::set_full::{self, Words};
use crate::cluster::Member;
use crate::probe::{Class, Report as Measured, Summary};
use crate::stats::Quantile;

/// One node, as an observer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Staleness {
    /// Acknowledged writes by what became of them there.
    #[serde(flatten)]
    pub words: Words,
    /// From the intended moment of a write at another node until it was shown here.
    pub visible_ms: Quantiles,
}

/// The quantiles of Jepsen's set-full, in milliseconds. `None` is not known: nothing was measured,
/// or a write that has not been shown could still raise it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// The soonest.
    #[serde(rename = "0")]
    pub least: Option<f64>,
    /// The median.
    #[serde(rename = "0.5")]
    pub half: Option<f64>,
    /// 95th percentile.
    #[serde(rename = "0.95")]
    pub p95: Option<f64>,
    /// 99th percentile; the latest with fewer than 100.
    #[serde(rename = "0.99")]
    pub p99: Option<f64>,
    /// The latest.
    #[serde(rename = "1")]
    pub most: Option<f64>,
}

/// Every node that could be read in the end.
pub fn of(evidence: &Evidence, measured: &Measured) -> BTreeMap<Member, Staleness> {
    let words = set_full::by_observer(evidence).into_iter();
    let staleness = words.map(|(observer, words)| {
        let of_others = measured.pairs.iter().filter(|pair| {
            pair.class == Class::User && pair.observer == observer && pair.origin != observer
        });
        let visible_ms = quantiles(&Summary::of(of_others));
        (observer, Staleness { words, visible_ms })
    });
    staleness.collect()
}

fn quantiles(summary: &Summary) -> Quantiles {
    let ms = |quantile: Quantile| quantile.known().map(|at| at.as_secs_f64() * 1_000.0);
    Quantiles {
        least: summary.min.map(|least| least.as_secs_f64() * 1_000.0),
        half: ms(summary.p50),
        p95: ms(summary.p95),
        p99: ms(summary.p99),
        most: ms(summary.max),
    }
}
