//! Puts members, their own accounts and the probe's view together into rows.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::health::Reading;
use crate::cluster::{Life, Link, Member, MemberStatus};
use crate::probe::View;
use crate::snapshot::{LagSeries, MemberRow};

/// Points of a sparkline.
const SPARK_POINTS: usize = 60;

/// Since when each member has been at the fault it is at: one that becomes another begins anew.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<Member, (Life, Link, Duration)>);

impl Faults {
    pub(super) fn note(&mut self, now: Duration, members: &[MemberStatus]) {
        for status in members {
            let down = matches!(status.life, Life::Suspended | Life::Stopped | Life::Dead);
            if !down && !status.is_at_fault() {
                self.0.remove(&status.member);
                continue;
            }
            let (life, link) = (status.life, status.link);
            let fault = self.0.entry(status.member).or_insert((life, link, now));
            if (fault.0, fault.1) != (life, link) {
                *fault = (life, link, now);
            }
        }
    }
}

/// One row per member.
pub(super) fn rows(
    now: Duration,
    members: &[MemberStatus],
    readings: &BTreeMap<Member, Reading>,
    faults: &Faults,
    view: Option<&View>,
) -> Vec<MemberRow> {
    let rows = members.iter().map(|status| {
        let observer =
            view.and_then(|view| (view.observers.iter()).find(|o| o.member == status.member));
        let answers = matches!(status.life, Life::Up | Life::Starting);
        let reading = (readings.get(&status.member).filter(|_| answers))
            .cloned()
            .unwrap_or_default();
        let spark: VecDeque<_> = observer
            .map(|observer| {
                let skipped = observer.trace.len().saturating_sub(SPARK_POINTS);
                let newest = observer.trace.iter().skip(skipped);
                newest.map(|(_, worst)| *worst).collect()
            })
            .unwrap_or_default();
        MemberRow {
            status: status.clone(),
            connected: reading.connected,
            fault_since: (faults.0.get(&status.member))
                .map(|(.., since)| now.saturating_sub(*since)),
            lag: observer.and_then(|observer| observer.lag),
            lag_growing: observer.is_some_and(|observer| observer.behind > 0),
            behind: observer.map_or(0, |observer| observer.behind),
            rtt: reading.rtt,
            p99: observer.and_then(|observer| observer.p99),
            spark,
            records: reading.records,
            catch_up: reading.catch_up,
        }
    });
    rows.collect()
}

/// The lag of every observer over time.
pub(super) fn lag(view: &View) -> Vec<LagSeries> {
    let series = view.observers.iter().map(|observer| LagSeries {
        member: observer.member,
        points: observer.trace.iter().copied().collect(),
    });
    series.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_becomes_another_begins_anew() {
        let seconds = Duration::from_secs;
        let member = Member::Node(1);
        let mut status = MemberStatus::stopped(member, String::new());
        let mut faults = Faults::default();
        let mut since = |at: u64, status: &MemberStatus| {
            faults.note(seconds(at), std::slice::from_ref(status));
            faults.0.get(&member).map(|(.., since)| since.as_secs())
        };
        status.life = Life::Up;
        assert_eq!(since(1, &status), None);
        status.link.up.latency = Duration::from_millis(200);
        assert_eq!(since(2, &status), Some(2));
        assert_eq!(since(3, &status), Some(2));
        status.link = Link::cut();
        assert_eq!(since(50, &status), Some(50));
        status.link = Link::default();
        assert_eq!(since(60, &status), None);
    }
}
