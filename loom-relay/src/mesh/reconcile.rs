//! Reconciliation with Loom peers, the asking side: [`super::sync`] decides, this carries out. Here is
//! the conversation and its timer; what a difference leads to is in [`begin`], and what moves in
//! [`moving`].

mod begin;
mod moving;

use std::time::Duration;

use crate::clock::Mono;
use crate::graph::Root;
use crate::model::{Field, PeerId, Soul};
use crate::wire::encode;
use crate::wire::loom::{self, Hint, ITEMS_MAX};

use super::parcel::{cursor, gather, named};
use super::sync::pace::{COMPARE_EVERY, COMPARE_JITTER_MS, HELD_WITHIN, Next};
use super::sync::{CHUNK_BYTES, Overdue, SyncPhase, Work};
use super::turn::Turn;
use super::{Mesh, Timer};

/// How long after a refusal for lack of room a Loom peer is asked again.
const RESYNC_AFTER: Duration = Duration::from_secs(5);

impl Mesh {
    /// Asks a Loom peer for its root; everything else follows from the answer.
    pub(super) fn start_sync(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if link.sync.view.phase == SyncPhase::None {
            link.sync.begin(SyncPhase::Comparing);
        }
        link.sync.work = Work::Compare;
        self.counters.syncs_started += 1;
        self.ask_sync(peer, false, turn);
    }

    /// The time a link has waited for has come.
    pub(super) fn on_sync_timer(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.sync.timer = None;
        if self.stalled.is_some() {
            // Whatever was found missing could not be kept.
            self.set_sync_timer(peer, turn.now.mono.after(COMPARE_EVERY));
            return;
        }
        match link.sync.look(turn.now.mono, link.heard) {
            None => self.start_sync(peer, turn),
            Some(Overdue::NotYet(due)) => self.set_sync_timer(peer, due),
            Some(Overdue::AskAgain) => {
                self.counters.sync_repeats += 1;
                self.ask_sync(peer, true, turn);
            }
            Some(Overdue::GiveUp) => self.fail_sync(peer, turn),
        }
    }

    /// Sends the question that the work of this link is at.
    fn ask_sync(&mut self, peer: PeerId, again: bool, turn: &mut Turn<'_>) {
        let id = self.ids.next();
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let graph = &self.graph;
        let frame = match &mut link.sync.work {
            Work::Rest => return,
            Work::Compare if link.version < 2 => loom::ask_root(&id),
            Work::Compare => {
                // Whatever this process has written so far went out before this.
                self.section += 1;
                loom::compare(&id, graph.chronicle().root(), link.sync.passed)
            }
            Work::Find(pass) => {
                self.counters.sync_rounds += 1;
                loom::ask_diff(&id, pass.from, pass.rounds == 0, &pass.message)
            }
            Work::Fetch(pass) => loom::ask_items(&id, pass.need.iter().take(pass.batch)),
            Work::Give(pass) => {
                let (items, given) = named(graph, pass.have.iter().take(ITEMS_MAX));
                pass.given = given;
                loom::give(&id, &encode::graph(items))
            }
            Work::Pull { after, .. } => loom::ask_chunk(&id, after.as_ref()),
            Work::Push { after, next, .. } => {
                let (items, more) = gather(graph.items_after(place(after.as_ref())), CHUNK_BYTES);
                *next = cursor(&items).filter(|_| more);
                loom::give(&id, &encode::graph(items))
            }
        };
        let due = link.sync.asked(id, turn.now.mono, self.section, again);
        self.set_sync_timer(peer, due);
        self.send(peer, frame, turn);
    }

    /// The other side's root came; ours may have changed since it was asked for, and writes on
    /// their way make the two differ without harm.
    pub(super) fn on_root(
        &mut self,
        peer: PeerId,
        (root, count): (String, u64),
        hint: Hint,
        turn: &mut Turn<'_>,
    ) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if !matches!(link.sync.work, Work::Compare) {
            return;
        }
        let covers = link.sync.answered();
        link.sync.stop();
        if std::mem::replace(&mut link.sync.far_stalled, hint.stalled) && !hint.stalled {
            // What it would not take before it takes now.
            link.sync.pace.due = turn.now.mono;
        }
        let by_differences = link.finds_differences();
        let own = match by_differences {
            true => self.graph.chronicle().root(),
            false => self.graph.root(),
        };
        let is_same = count == own.count() && root == own.hex();
        if is_same || (count == 0 && !by_differences) {
            link.sync.caught_up = true;
            self.agree(peer, turn);
        } else if by_differences {
            self.on_different(peer, own, (root, count), hint, turn);
        } else {
            self.begin_pull(peer, count, turn);
        }
        // Also when they differ: what was sent before the question was heard before it, and the other
        // side says if it has dropped any of that. So what differs is of others, or on its way.
        let took_all = !hint.stalled && !hint.missed;
        let link = self.links.get(&peer);
        if by_differences && took_all && link.is_some_and(|link| link.sync.caught_up) {
            self.held = self.held.max(covers);
        }
    }

    fn agree(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        self.counters.syncs_finished += 1;
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.sync.settle();
        link.sync.pace.on_same();
        link.sync.last = None;
        if link.finds_differences() {
            if let Some(pid) = &link.pid {
                self.common.agreed(pid, turn.now.mono);
            }
            let wait = COMPARE_EVERY + self.ids.jitter(COMPARE_JITTER_MS);
            self.rest(peer, wait, turn.now.mono);
        } else if let Some(timer) = link.sync.timer.take() {
            // A difference would cost a whole graph, so there is no looking for one.
            self.timers.remove(&(timer, peer, Timer::Sync));
        }
    }

    fn on_different(
        &mut self,
        peer: PeerId,
        own: Root,
        (root, count): (String, u64),
        hint: Hint,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if now < link.sync.pace.due {
            // It was only asked what of our own it has.
            let wait = link.sync.pace.due.since(now);
            self.rest(peer, wait, now);
            return;
        }
        let both = Some((own, root));
        let still = link.sync.last == both;
        link.sync.last = both;
        let next = link.sync.pace.on_different(now, still);
        if link.sync.pace.is_strong() {
            link.sync.view.phase = SyncPhase::Differing;
        }
        match next {
            Next::Wait(time) => self.rest(peer, time, now),
            Next::Window => self.begin_window(peer, own, count, hint, turn),
            Next::Full => self.begin_full(peer, count, turn),
        }
    }

    /// There was no room for something, or there is for nothing: it is offered again, later.
    fn leave_alone(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.sync.stop();
            link.sync.view.phase = SyncPhase::Differing;
            let wait = link.sync.pace.on_failed();
            self.rest(peer, wait, turn.now.mono);
        }
    }

    /// The other side does not answer, or not sensibly.
    pub(super) fn fail_sync(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        if let Some(link) = self.links.get_mut(&peer) {
            self.counters.syncs_failed += 1;
            link.sync.stop();
            link.sync.view.phase = SyncPhase::Failed;
            let wait = link.sync.pace.on_failed();
            self.rest(peer, wait, turn.now.mono);
        }
    }

    /// Leaves a link alone for `wait`; roots are compared after it, or sooner if the other side has
    /// to be asked what of our own it has.
    fn rest(&mut self, peer: PeerId, wait: Duration, now: Mono) {
        let has_unheld = self.has_unheld();
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.sync.pace.due = now.after(wait);
        let wait = match has_unheld && link.sync.caught_up {
            true => wait.min(HELD_WITHIN),
            // It is asked when that is over.
            false if link.sync.far_stalled => wait.min(COMPARE_EVERY),
            false => wait,
        };
        self.set_sync_timer(peer, now.after(wait));
    }

    pub(super) fn set_sync_timer(&mut self, peer: PeerId, when: Mono) {
        if let Some(link) = self.links.get_mut(&peer) {
            if let Some(before) = link.sync.timer.replace(when) {
                self.timers.remove(&(before, peer, Timer::Sync));
            }
            self.timers.insert((when, peer, Timer::Sync));
        }
    }

    /// An answer was unreadable. If it was to a question of ours, waiting for it would be in vain.
    pub(super) fn on_bad_answer(&mut self, from: PeerId, turn: &mut Turn<'_>) {
        let link = self.links.get(&from);
        if link.is_some_and(|link| link.is_loom() && link.sync.is_waiting()) {
            self.fail_sync(from, turn);
        }
    }

    /// Something of a Loom peer did not fit among the deferred writes: without another comparison
    /// it would be missing until the next connection.
    pub(super) fn ask_again_later(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let when = turn.now.mono.after(RESYNC_AFTER);
        let link = self.links.get(&peer);
        // A question on its way is followed by a comparison anyway, and so is a timer.
        if link.is_some_and(|link| link.asks() && link.sync.timer.is_none()) {
            self.set_sync_timer(peer, when);
        }
    }
}

fn place(at: Option<&(Soul, Field)>) -> Option<(&str, &str)> {
    at.map(|(soul, field)| (soul.as_str(), field.as_str()))
}
