//! Asking back: how what a gun.js client wrote offline arrives, although it never sends it.
//!
//! A client asks again for what it follows each time it connects. It is asked the same back, for
//! the whole vertex: it may have written more of it than it follows, and a server with AXE sends
//! a vertex' later writes only to those who asked for it. What it wrote before it went it is asked
//! for as well, since a client that only writes asks for nothing.

use std::collections::BTreeSet;

use crate::model::{PeerId, Soul};

use super::Mesh;
use super::turn::Turn;

impl Mesh {
    /// Asks for a soul back, the first time it comes up on a link.
    pub(super) fn pull(&mut self, from: PeerId, soul: &Soul, turn: &mut Turn<'_>) {
        let link = self.links.get_mut(&from);
        if link.is_some_and(|link| link.should_pull(soul)) {
            self.counters.pulls_out += 1;
            self.ask(from, soul, turn);
        }
    }

    /// Asks a client that is back for what it had written before.
    pub(super) fn pull_written_before(&mut self, from: PeerId, turn: &mut Turn<'_>) {
        let Some(pid) = self.links.get(&from).and_then(|link| link.pid.clone()) else {
            return;
        };
        let mut wrote = self.away.back(&pid);
        // The end of its previous link may not have been noticed here.
        let others = self.links.iter().filter(|(peer, _)| **peer != from);
        for (_, link) in others.filter(|(_, link)| link.pid.as_ref() == Some(&pid)) {
            wrote.extend(link.wrote.iter().cloned());
        }
        for soul in &wrote {
            self.pull(from, soul, turn);
        }
        // It may go again before it writes again.
        if let Some(link) = self.links.get_mut(&from) {
            wrote.iter().for_each(|soul| link.note_written(soul));
        }
    }

    /// Asks for what the changes from this index on link to. An answer that brings a link brings
    /// it from somebody who was offline, and whatever it leads to was never sent either.
    pub(super) fn pull_linked(&mut self, from: PeerId, index: usize, turn: &mut Turn<'_>) {
        let changes = turn.batch.changes[index..].iter();
        let linked = changes.filter_map(|change| change.write.cell.value.as_link());
        let linked: BTreeSet<Soul> = linked.collect();
        for soul in &linked {
            self.pull(from, soul, turn);
        }
    }
}
