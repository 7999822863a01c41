//! The answers that move items, in either direction, and where each of them leads.

use crate::model::{Field, PeerId, Soul, Write};

use super::super::Mesh;
use super::super::sync::pass::{Found, Pass};
use super::super::sync::{SyncPhase, Work};
use super::super::turn::Turn;
use super::place;

impl Mesh {
    pub(in crate::mesh) fn on_diff(&mut self, peer: PeerId, diff: &[u8], turn: &mut Turn<'_>) {
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

    pub(in crate::mesh) fn on_items(
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

    pub(in crate::mesh) fn on_given(&mut self, peer: PeerId, refused: u64, turn: &mut Turn<'_>) {
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

    pub(in crate::mesh) fn on_chunk(
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
}
