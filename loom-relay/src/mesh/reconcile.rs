//! Reconciliation with Loom peers, the asking side: [`super::sync`] decides, this carries out.

use std::time::Duration;

use crate::clock::Mono;
use crate::graph::{Brief, Graph, Item, Root};
use crate::machine::Deferral;
use crate::model::{Field, PeerId, Soul, Stamp, Write};
use crate::wire::encode;
use crate::wire::loom::{self, Hint, ITEMS_MAX, Since};

use super::deferred::Waiting;
use super::parcel::{Size, cursor, gather};
use super::sync::pace::{COMPARE_EVERY, COMPARE_JITTER_MS, HELD_WITHIN, Next};
use super::sync::pass::{Found, Pass, is_large};
use super::sync::{CHUNK_BYTES, Overdue, SyncPhase, Work};
use super::turn::{Audience, Turn};
use super::{Mesh, Timer};

/// How long after a refusal for lack of room a Loom peer is asked again.
const RESYNC_AFTER: Duration = Duration::from_secs(5);

/// How far a window reaches back when it is not known since when both sides differ.
const RECENT_MS: f64 = 60_000.0;

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

    /// Looks at what either side has taken in since both held the same; if that is not known, at
    /// what is recent, or copies one graph if the other is far behind.
    fn begin_window(
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

    fn begin_full(&mut self, peer: PeerId, count: u64, turn: &mut Turn<'_>) {
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

    fn begin_pull(&mut self, peer: PeerId, count: u64, turn: &mut Turn<'_>) {
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

    fn begin(&mut self, peer: PeerId, work: Work, phase: SyncPhase, turn: &mut Turn<'_>) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.sync.begin(phase);
            link.sync.work = work;
            self.ask_sync(peer, false, turn);
        }
    }

    pub(super) fn on_diff(&mut self, peer: PeerId, diff: &[u8], turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let Work::Find(pass) = &mut link.sync.work else {
            return;
        };
        let before = pass.found();
        let heard = pass.hear(self.graph.chronicle(), diff);
        let found = pass.found() - before;
        link.sync.view.expected = link.sync.view.expected.saturating_add(found);
        match heard {
            Err(_) => return self.fail_sync(peer, turn),
            Ok(_) if link.sync.copies == 0 && pass.calls_for_a_copy() => {
                // What is lacking comes with the copy; what the other side lacks is found after it.
                let count = pass.theirs;
                return self.begin_pull(peer, count, turn);
            }
            Ok(Found::More) => {}
            Ok(Found::Enough) => {
                let Work::Find(pass) = std::mem::take(&mut link.sync.work) else {
                    return;
                };
                link.sync.begin(SyncPhase::Moving);
                link.sync.work = Work::Fetch(pass);
            }
        }
        self.go_on(peer, turn);
    }

    pub(super) fn on_items(
        &mut self,
        peer: PeerId,
        writes: Vec<Write>,
        done: u64,
        turn: &mut Turn<'_>,
    ) {
        let fields = writes.len() as u64;
        let refused = self.take_in(peer, writes, turn);
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let Work::Fetch(pass) = &mut link.sync.work else {
            return;
        };
        // An answer that settles nothing would be asked for without end.
        if done == 0 {
            return self.fail_sync(peer, turn);
        }
        pass.refused += refused;
        pass.fetched(usize::try_from(done).unwrap_or(usize::MAX));
        link.sync.moved(SyncPhase::Moving, fields, 0);
        self.go_on(peer, turn);
    }

    pub(super) fn on_given(&mut self, peer: PeerId, refused: u64, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        match &mut link.sync.work {
            Work::Give(pass) => {
                let given = std::mem::take(&mut pass.given);
                pass.have.drain(..given);
                pass.refused = pass.refused.saturating_add(refused);
                link.sync.moved(SyncPhase::Moving, 0, given as u64);
                self.counters.sync_fields_out += given as u64;
            }
            Work::Push {
                after,
                next,
                refused: sum,
            } => {
                *sum = sum.saturating_add(refused);
                let moved = next.clone();
                let items = self.graph.items_after(place(after.as_ref()));
                let given = match &moved {
                    Some((soul, field)) => {
                        let last = (soul.as_str(), field.as_str());
                        items
                            .take_while(|item| (item.soul.as_str(), item.field.as_str()) <= last)
                            .count()
                    }
                    None => items.count(),
                };
                *after = moved.clone();
                let refused = *sum;
                link.sync.moved(SyncPhase::Copying, 0, given as u64);
                self.counters.sync_fields_out += given as u64;
                if moved.is_none() {
                    return self.on_copied(peer, refused, turn);
                }
            }
            _ => return,
        }
        self.go_on(peer, turn);
    }

    pub(super) fn on_chunk(
        &mut self,
        peer: PeerId,
        writes: Vec<Write>,
        next: Option<&(Soul, Field)>,
        turn: &mut Turn<'_>,
    ) {
        let fields = writes.len() as u64;
        let refused_now = self.take_in(peer, writes, turn);
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let Work::Pull { after, refused } = &mut link.sync.work else {
            return;
        };
        *refused += refused_now;
        let refused = *refused;
        // A cursor that does not move on would be a pull without an end.
        let stands =
            |next: &(Soul, Field)| fields == 0 || after.as_ref().is_some_and(|after| next <= after);
        if next.is_some_and(stands) {
            return self.fail_sync(peer, turn);
        }
        *after = next.cloned();
        link.sync.moved(SyncPhase::Copying, fields, 0);
        match next {
            Some(_) => self.go_on(peer, turn),
            None => self.on_copied(peer, refused, turn),
        }
    }

    /// A graph has been copied, in either direction.
    fn on_copied(&mut self, peer: PeerId, refused: u64, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if refused > 0 {
            return self.leave_alone(peer, turn);
        }
        link.sync.stop();
        if !link.finds_differences() {
            // The other side does the same on its own.
            link.sync.caught_up = true;
            return self.agree(peer, turn);
        }
        link.sync.pace.on_passed(true);
        self.start_sync(peer, turn);
    }

    /// Goes on with what a pass has found, until all of it is moved.
    fn go_on(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.sync.answered();
        let work = match std::mem::take(&mut link.sync.work) {
            Work::Fetch(pass) if pass.need.is_empty() => Work::Give(pass),
            work => work,
        };
        let work = match work {
            Work::Give(mut pass) => {
                // What has been overwritten since it was found need not be given.
                let chronicle = self.graph.chronicle();
                while pass
                    .have
                    .front()
                    .is_some_and(|it| chronicle.find(*it).is_none())
                {
                    pass.have.pop_front();
                }
                if pass.have.is_empty() {
                    return self.on_passed(peer, &pass, turn);
                }
                if link.sync.far_stalled {
                    return self.leave_alone(peer, turn);
                }
                Work::Give(pass)
            }
            work => work,
        };
        link.sync.work = work;
        self.ask_sync(peer, false, turn);
    }

    fn on_passed(&mut self, peer: PeerId, pass: &Pass, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if pass.refused > 0 {
            return self.leave_alone(peer, turn);
        }
        link.sync.stop();
        if pass.cut {
            let wait = link.sync.pace.on_cut();
            self.rest(peer, wait, turn.now.mono);
            return;
        }
        link.sync.pace.on_passed(!pass.certain);
        if pass.certain {
            link.sync.caught_up = true;
            link.sync.passed = true;
            link.sync.settle();
            if let Some(pid) = &link.pid {
                self.common.agreed(pid, pass.began);
            }
        }
        self.start_sync(peer, turn);
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

    /// This process has written something.
    pub(super) fn note_own_writes(&mut self, now: Mono) {
        let is_news = !self.has_unheld();
        self.written_in = Some(self.section);
        if !is_news {
            return;
        }
        let soon = now.after(HELD_WITHIN);
        let resting = self.links.iter().filter(|(_, link)| {
            let sync = &link.sync;
            sync.caught_up && !sync.is_waiting() && sync.timer.is_some_and(|timer| timer > soon)
        });
        let resting: Vec<PeerId> = resting.map(|(peer, _)| *peer).collect();
        for peer in resting {
            self.set_sync_timer(peer, soon);
        }
    }

    fn has_unheld(&self) -> bool {
        self.written_in.is_some_and(|section| section >= self.held)
    }

    fn set_sync_timer(&mut self, peer: PeerId, when: Mono) {
        if let Some(link) = self.links.get_mut(&peer) {
            if let Some(before) = link.sync.timer.replace(when) {
                self.timers.remove(&(before, peer, Timer::Sync));
            }
            self.timers.insert((when, peer, Timer::Sync));
        }
    }

    /// Merges what a Loom peer was asked for or gives, and tells the others; returns how many of
    /// them there was no room for, or no time to check.
    pub(super) fn take_in(&mut self, from: PeerId, writes: Vec<Write>, turn: &mut Turn<'_>) -> u64 {
        let fields = writes.len() as u64;
        self.counters.sync_fields_in += fields;
        if self.stalled.is_some() {
            self.counters.fields_unstored += fields;
            self.note_missed(from, turn.now.mono);
            return fields;
        }
        // What is found to be forged stays a difference, which is looked for ever more rarely.
        let vetting = self.vet(from, writes, false, turn);
        let before = turn.batch.changes.len();
        let clock = self.clock.reading(turn.now.wall_ms);
        let mut refused = vetting.unchecked;
        for write in vetting.passed {
            let future = std::iter::once(write.write()).filter(|write| write.cell.stamp > clock);
            if self.deferred.has_room(Some(from), future) {
                self.merge(write, Some(from), turn);
            } else {
                refused += 1;
                self.counters.fields_not_deferred += 1;
            }
        }
        if refused > 0 {
            self.note_missed(from, turn.now.mono);
            self.ask_again_later(from, turn);
        }
        turn.spread_changes_since(before, Audience::except(from, None));
        refused
    }

    /// Something this link brought was not taken in; the other side hears of it when it compares.
    pub(super) fn note_missed(&mut self, from: PeerId, now: Mono) {
        if let Some(link) = self.links.get_mut(&from) {
            link.sync.missed = Some(now);
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

    pub(super) fn defer(&mut self, write: Write, from: Option<PeerId>, turn: &mut Turn<'_>) {
        self.counters.fields_deferred += 1;
        self.graph.foresee(&write);
        self.common.took(turn.now.mono, write.cell.stamp);
        let is_new = self.deferred.wait(Waiting {
            write: write.clone(),
            from,
            // Nobody has been told about a write of our own, or one that came as an answer.
            links_up: if turn.passed_on {
                self.counters.links_up
            } else {
                0
            },
        });
        if is_new {
            turn.batch.deferrals.push(Deferral::Waits(write));
        }
    }
}

/// The items of one message among those named, and how many names that settles.
pub(super) fn named<'a, 'b>(
    graph: &'a Graph,
    names: impl Iterator<Item = &'b Brief>,
) -> (Vec<Item<'a>>, usize) {
    let mut size = Size::default();
    let (mut items, mut settled) = (Vec::new(), 0);
    for name in names {
        let entry = graph.chronicle().find(*name);
        // One that is not listed any more has been overwritten by something newer.
        if let Some(item) = entry.and_then(|entry| graph.item(entry)) {
            size.add(&item);
            if size.bytes() > CHUNK_BYTES && !items.is_empty() {
                break;
            }
            items.push(item);
        }
        settled += 1;
    }
    (items, settled)
}

fn place(at: Option<&(Soul, Field)>) -> Option<(&str, &str)> {
    at.map(|(soul, field)| (soul.as_str(), field.as_str()))
}
