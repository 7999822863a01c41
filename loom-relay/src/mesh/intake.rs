//! Taking in what Loom peers answer and give, and what waits for the clock.

use crate::clock::Mono;
use crate::machine::Deferral;
use crate::model::{PeerId, Write};

use super::Mesh;
use super::deferred::Waiting;
use super::turn::{Audience, Turn};

impl Mesh {
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
