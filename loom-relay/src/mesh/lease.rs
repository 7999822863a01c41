//! Until when this process may stamp writes of its own.
//!
//! A stamp must never be given to two writes, also when the process dies and the wall clock is set
//! back meanwhile: of two values with one stamp peers would keep either. What was sent need not have
//! been stored, so what is held does not say what was issued. Therefore stamps are issued under a
//! lease only: up to a moment that the store has kept before the first of them. A process that finds
//! a lease goes on above it. Every own write takes the lease along, so that only the first write
//! after a pause waits for one.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Mono, Now};
use crate::machine::{Commit, Effect};
use crate::model::Stamp;

use super::Mesh;
use super::turn::Turn;

/// How far ahead of the clock a lease reaches: longer than the pause between two canaries, and
/// short, because after a crash own writes wait for its end.
pub const LEASE: Duration = Duration::from_millis(600);

/// A lease that ends this much earlier than a new one would is renewed.
const RENEWED_BY: Duration = Duration::from_millis(50);

/// What may be issued, and what is to be asked for.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// A former process may have issued everything up to here.
    former: Option<Stamp>,
    /// Stamps up to here may be issued.
    stored: Option<Stamp>,
    /// On their way to the store, in order.
    coming: VecDeque<(Commit, Stamp)>,
    /// When the former process' lease ends, if a write waits for that.
    due: Option<Mono>,
}

impl Lease {
    pub(super) fn new(former: Option<Stamp>) -> Self {
        Self {
            former,
            ..Self::default()
        }
    }

    /// What the next stamp must exceed besides what the clock says.
    pub(super) fn former(&self) -> Option<Stamp> {
        self.former
    }

    pub(super) fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Everything up to `commit` is stored.
    pub(super) fn committed(&mut self, commit: Commit) {
        let stored = self.coming.partition_point(|(of, _)| *of <= commit);
        let latest = self.coming.drain(..stored).next_back();
        self.stored = latest.map(|(_, stamp)| stamp).or(self.stored);
    }

    /// The moment named by [`Lease::due`] is over, or whoever waits asks again.
    pub(super) fn look_again(&mut self) {
        self.due = None;
    }

    /// The lease that a process needs whose stamps will reach `until_ms`, if it is later than what
    /// has been asked for by more than `slack`.
    fn wanted(&self, until_ms: f64, slack: Duration) -> Option<Stamp> {
        let asked = self.coming.back().map(|(_, stamp)| *stamp).or(self.stored);
        let wanted = Stamp::new(until_ms + millis(LEASE))?;
        let enough = asked.is_some_and(|asked| asked.ms() + millis(slack) >= wanted.ms());
        (!enough).then_some(wanted)
    }

    /// How long a former process' lease lasts. A clock that was set further back than a lease
    /// reaches would take too long to get there; stamps then go on above it.
    fn left(&self, wall_ms: u64) -> Option<Duration> {
        let left_ms = self.former?.ms().ceil() - wall_ms as f64;
        let runs = left_ms > 0.0 && left_ms <= millis(LEASE) + 1.0;
        runs.then(|| Duration::from_millis(left_ms as u64))
    }
}

impl Mesh {
    /// Whether `count` stamps may be issued now. If not, what is missing is on its way: ask again
    /// after the next input.
    pub fn may_issue(&mut self, count: usize, now: Now, effects: &mut Vec<Effect>) -> bool {
        self.lease.look_again();
        if let Some(left) = self.lease.left(now.wall_ms) {
            self.lease.due = Some(now.mono.after(left));
            return false;
        }
        let until_ms = self.reach(count, now.wall_ms);
        if (self.lease.stored).is_some_and(|stored| until_ms <= stored.ms()) {
            return true;
        }
        // One that is coming may not reach far enough; then another follows it.
        let coming = self.lease.coming.back();
        if coming.is_none_or(|(_, stamp)| stamp.ms() < until_ms)
            && let Some(wanted) = self.lease.wanted(until_ms, Duration::ZERO)
        {
            let mut turn = Turn::new(now, effects);
            turn.batch.lease = Some(wanted);
            self.finish(turn);
        }
        false
    }

    /// Puts a later lease among what is about to be stored anyhow.
    pub(super) fn renew_lease(&mut self, turn: &mut Turn<'_>) {
        let until_ms = self.reach(0, turn.now.wall_ms);
        turn.batch.lease = self.lease.wanted(until_ms, RENEWED_BY);
    }

    /// A lease is on its way to the store.
    pub(super) fn lease_coming(&mut self, commit: Commit, lease: Option<Stamp>) {
        self.lease.coming.extend(lease.map(|stamp| (commit, stamp)));
    }

    /// What the next `count` stamps do not exceed.
    fn reach(&self, count: usize, wall_ms: u64) -> f64 {
        let former = self.lease.former.map_or(0.0, Stamp::ms);
        self.clock.reach(count, wall_ms).max(former)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
