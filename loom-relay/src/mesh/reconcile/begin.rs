//! Which work a difference leads to: a window, a full pass, or the copy of a graph.

use crate::graph::Root;
use crate::model::{PeerId, Stamp};
use crate::wire::loom::{Hint, Since};

use super::super::Mesh;
use super::super::sync::pace::COMPARE_EVERY;
use super::super::sync::pass::{Pass, is_large};
use super::super::sync::{SyncPhase, Work};
use super::super::turn::Turn;

/// How far a window reaches back when it is not known since when both sides differ.
const RECENT_MS: f64 = 60_000.0;

impl Mesh {
    /// Looks at what either side has taken in since both held the same; if that is not known, at
    /// what is recent, or copies one graph if the other is far behind.
    pub(super) fn begin_window(
        &mut self,
        peer: PeerId,
        own: Root,
        count: u64,
        hint: Hint,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let Some(link) = self.links.get(&peer) else {
            return;
        };
        let since = (self.common.since(link.pid.as_ref()), hint.since);
        let (from, certain) = match since {
            (Since::Unknown, _) | (_, Since::Unknown) => {
                let difference = count.abs_diff(own.count());
                if link.sync.copies == 0 && is_large(difference, count.max(own.count())) {
                    match count > own.count() {
                        true => self.begin_pull(peer, count, turn),
                        false => self.begin_push(peer, own.count(), turn),
                    }
                    return;
                }
                let clock = self.clock.reading(turn.now.wall_ms);
                let latest = [self.graph.chronicle().latest(), hint.latest];
                let latest = latest.into_iter().flatten().chain([clock]).min();
                let from = latest.and_then(|latest| Stamp::new(latest.ms() - RECENT_MS));
                (from, false)
            }
            (Since::Oldest(one), Since::Oldest(other)) => (Some(one.min(other)), true),
            (Since::Oldest(oldest), Since::Nothing) | (Since::Nothing, Since::Oldest(oldest)) => {
                (Some(oldest), true)
            }
            // Nothing new explains it.
            (Since::Nothing, Since::Nothing) if link.sync.pace.allows_full(now) => {
                return self.begin_full(peer, count, turn);
            }
            (Since::Nothing, Since::Nothing) => return self.rest(peer, COMPARE_EVERY, now),
        };
        self.counters.sync_windows += 1;
        self.begin_pass(peer, (from, certain), count, turn);
    }

    pub(super) fn begin_full(&mut self, peer: PeerId, count: u64, turn: &mut Turn<'_>) {
        self.counters.sync_fulls += 1;
        if let Some(link) = self.links.get_mut(&peer) {
            link.sync.pace.on_full(turn.now.mono);
        }
        self.begin_pass(peer, (None, true), count, turn);
    }

    fn begin_pass(
        &mut self,
        peer: PeerId,
        (from, certain): (Option<Stamp>, bool),
        count: u64,
        turn: &mut Turn<'_>,
    ) {
        let mut pass = Pass::new(self.graph.chronicle(), from, certain, turn.now.mono);
        pass.theirs = count;
        self.begin(peer, Work::Find(pass), SyncPhase::Finding, turn);
    }

    pub(super) fn begin_pull(&mut self, peer: PeerId, count: u64, turn: &mut Turn<'_>) {
        self.counters.sync_copies += 1;
        let pull = Work::Pull {
            after: None,
            refused: 0,
        };
        self.expect_copy(peer, count);
        self.begin(peer, pull, SyncPhase::Copying, turn);
    }

    fn begin_push(&mut self, peer: PeerId, count: u64, turn: &mut Turn<'_>) {
        if (self.links.get(&peer)).is_some_and(|link| link.sync.far_stalled) {
            return self.leave_alone(peer, turn);
        }
        self.counters.sync_copies += 1;
        let push = Work::Push {
            after: None,
            next: None,
            refused: 0,
        };
        self.expect_copy(peer, count);
        self.begin(peer, push, SyncPhase::Copying, turn);
    }

    fn expect_copy(&mut self, peer: PeerId, count: u64) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.sync.begin(SyncPhase::Copying);
            link.sync.copies += 1;
            let moved = link.sync.view.items_in + link.sync.view.items_out;
            link.sync.view.expected = moved.saturating_add(count);
        }
    }

    pub(super) fn begin(
        &mut self,
        peer: PeerId,
        work: Work,
        phase: SyncPhase,
        turn: &mut Turn<'_>,
    ) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.sync.begin(phase);
            link.sync.work = work;
            self.ask_sync(peer, false, turn);
        }
    }
}
