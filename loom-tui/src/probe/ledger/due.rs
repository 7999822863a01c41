//! What is due where: a node holds back what is stamped in its future, by GUN's rule, and owes it only
//! when its clock gets there.
//!
//! Clocks are told by the nodes' own stamps, as in `check/deferred.rs`: the least difference between a
//! stamp and the moment its write was to be sent. Who has stamped nothing is taken to have the
//! tester's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Class, Entry, Intent, Ledger, WriteId};
use crate::client::Stamp;
use crate::cluster::Member;

impl Ledger {
    /// The same, where the wall clock read this when the probe's clock started.
    #[must_use]
    pub fn started_at(mut self, wall: SystemTime) -> Self {
        self.start_ms = ms(wall.duration_since(UNIX_EPOCH).unwrap_or_default());
        self
    }

    /// A node stamped a write that was to be sent at `intended`.
    pub(super) fn learn_clock(&mut self, node: Member, stamp: Stamp, intended: Duration) {
        if let Some(index) = self.index(node) {
            let start = stamp.0 - ms(intended);
            let least = self.clocks[index].map_or(start, |known| known.min(start));
            self.clocks[index] = Some(least);
        }
    }

    /// Whether the stamp is in the observer's future.
    pub fn is_early(&self, stamp: Stamp, observer: Member, now: Duration) -> bool {
        let start = self.index(observer).and_then(|index| self.clocks[index]);
        stamp.0 > start.unwrap_or(self.start_ms) + ms(now)
    }

    /// The oldest acked user write intended before `before` at one of `members` that another of
    /// them has not shown, in words. Those that are `waiting` for their clocks do not owe what is
    /// stamped in their future.
    pub fn owed_since(
        &self,
        before: Duration,
        members: &[Member],
        waiting: &[Member],
        now: Duration,
    ) -> Option<String> {
        let mut old = self.open.range(..(before, WriteId(0)));
        old.find_map(|(_, id)| {
            let entry: &Entry = &self.writes[id];
            let Intent { key, origin, .. } = &entry.intent;
            if entry.intent.class != Class::User || !members.contains(origin) {
                return None;
            }
            let waits = |who: &Member| {
                let early = |stamp| self.is_early(stamp, *who, now);
                waiting.contains(who) && entry.intent.stamp.is_some_and(early)
            };
            let mut missing = self.missing(entry).into_iter();
            let who = missing.find(|who| members.contains(who) && !waits(who))?;
            Some(format!("{who} has not shown {key} of {origin}"))
        })
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;
    use crate::client::Key;

    const N1: Member = Member::Node(1);
    const N2: Member = Member::Node(2);
    const N3: Member = Member::Node(3);
    const ALL: [Member; 3] = [N1, N2, N3];

    #[test]
    fn a_node_that_waits_for_its_clock_owes_only_what_its_clock_has_reached() {
        let mut ledger = Ledger::new(ALL.to_vec(), Limits::default());
        let at = Duration::from_millis;
        let early = (1, N1, "early", Stamp(3_600_000.0));
        let due = (2, N2, "due", Stamp(2.0));
        for (id, origin, key, stamp) in [early, due] {
            let intent = Intent {
                origin,
                key: Key::vertex(key),
                class: Class::User,
                delete: false,
                stamp: None,
                intended: at(1),
            };
            ledger.intend(WriteId(id), intent);
            ledger.acked(WriteId(id), stamp, &mut Vec::new());
        }
        let mut shown = |observer, key, stamp| {
            ledger.shown(observer, &Key::vertex(key), stamp, at(3), &mut Vec::new());
        };
        shown(N1, "early", early.3);
        shown(N1, "due", due.3);
        shown(N2, "due", due.3);
        let owed =
            |ledger: &Ledger, waiting: &[Member], now| ledger.owed_since(at(5), &ALL, waiting, now);
        let of_early = Some("node-2 has not shown nodes/early of node-1".to_owned());
        let of_due = Some("node-3 has not shown nodes/due of node-2".to_owned());
        // Whoever holds nothing back owes it, and so does whose clock got there.
        assert_eq!(owed(&ledger, &[], at(10)), of_early);
        assert_eq!(owed(&ledger, &ALL, at(3_600_001)), of_early);
        assert_eq!(owed(&ledger, &ALL, at(10)), of_due);
        ledger.shown(N3, &Key::vertex("due"), due.3, at(12), &mut Vec::new());
        assert_eq!(owed(&ledger, &ALL, at(20)), None);
    }
}
