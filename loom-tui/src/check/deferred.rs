//! Writes that are not due yet: a node holds back what is stamped in its future until its clock gets
//! there, by GUN's rule. Such a write is not missing, and has a due time.
//!
//! Whose future counts is told by the nodes' own stamps: the least difference between the stamp of a
//! write and the moment it was asked for is how far a node's clock is ahead.

use std::collections::BTreeMap;

use super::version::Version;
use super::{Evidence, FinalState};
use crate::cluster::Member;
use crate::history::{Attempt, Outcome};

/// What each node's clock showed when it was read.
#[derive(Debug)]
pub struct Clocks(BTreeMap<Member, f64>);

impl Clocks {
    /// From the stamps of a history.
    pub fn of(evidence: &Evidence) -> Self {
        let mut ahead: BTreeMap<Member, f64> = BTreeMap::new();
        let writes = evidence
            .attempts
            .iter()
            .filter(|attempt| attempt.action.is_write());
        for (node, by) in writes.filter_map(|write| lead(write, evidence.epoch_ms)) {
            let least = ahead.entry(node).or_insert(by);
            *least = least.min(by);
        }
        let clocks = evidence.finals.iter().map(|(member, state)| {
            let ahead = ahead.get(member).copied().unwrap_or(0.0);
            (*member, state.read_at_ms + ahead)
        });
        Self(clocks.collect())
    }

    /// Whether a node that says it holds writes back may well hold this one back.
    pub fn defer(&self, member: Member, state: &FinalState, version: &Version) -> bool {
        let clock = self.0.get(&member).copied().unwrap_or(f64::INFINITY);
        state.deferred > 0 && version.state > clock
    }
}

/// How far the stamp of a write is ahead of the moment it was asked for, and by whom it was stamped.
fn lead(write: &Attempt, epoch_ms: f64) -> Option<(Member, f64)> {
    let Outcome::Ok { state, .. } = &write.outcome else {
        return None;
    };
    let asked_ms = epoch_ms + write.began as f64 / 1e6;
    Some((write.node?, (*state)? - asked_ms))
}

/// When a write is due, as `2026-11-23T08:42:27Z`.
pub fn due(state: f64) -> String {
    let since = std::time::Duration::try_from_secs_f64(state / 1_000.0).unwrap_or_default();
    let moment = std::time::UNIX_EPOCH.checked_add(since);
    moment.map_or_else(|| format!("state {state}"), crate::report::utc)
}
