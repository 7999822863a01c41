//! Reconciliation with Loom peers, both sides of it: [`super::sync`] decides, this carries out.

use std::time::Duration;

use crate::machine::Deferral;
use crate::model::{Field, PeerId, Soul, Write};
use crate::wire::{Id, LoomTalk, encode};

use super::deferred::Waiting;
use super::parcel::{cursor, gather};
use super::sync::{CHUNK_BYTES, Step};
use super::turn::{Audience, Turn};
use super::{Mesh, Timer};

/// How long after a refusal for lack of room a Loom peer is asked again.
const RESYNC_AFTER: Duration = Duration::from_secs(5);

impl Mesh {
    /// Asks a Loom peer for its root; everything else follows from the answer.
    pub(super) fn start_sync(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        self.counters.syncs_started += 1;
        let id = self.ids.next();
        link.stale = false;
        link.sync.start(id.clone());
        self.send(peer, encode::ask_root(&id), turn);
    }

    pub(super) fn on_loom_talk(
        &mut self,
        from: PeerId,
        id: Option<&Id>,
        answers: Option<&Id>,
        talk: LoomTalk,
        turn: &mut Turn<'_>,
    ) {
        let link = self.links.get(&from).filter(|link| link.is_loom());
        let expected = link.map(|link| link.sync.expects(answers));
        match (talk, id, expected) {
            (LoomTalk::AskRoot, Some(id), Some(_)) => {
                let root = self.graph.root();
                let answer = encode::tell_root(&self.ids.next(), id, &root);
                self.send(from, answer, turn);
            }
            (LoomTalk::AskChunk { after }, Some(id), Some(_)) => {
                self.tell_chunk(from, id, after.as_ref(), turn);
            }
            (LoomTalk::Root { root, count }, _, Some(true)) => {
                let own = self.graph.root();
                let link = self.links.get_mut(&from).expect("it was there just now");
                let step = link.sync.on_root(&root, count, &own);
                self.take_step(from, step, turn);
            }
            (LoomTalk::Chunk { writes, next }, _, Some(true)) => {
                self.on_chunk(from, writes, next, turn);
            }
            _ => self.counters.dam_unknown += 1,
        }
    }

    fn tell_chunk(
        &mut self,
        peer: PeerId,
        question: &Id,
        after: Option<&(Soul, Field)>,
        turn: &mut Turn<'_>,
    ) {
        let after = after.map(|(soul, field)| (soul.as_str(), field.as_str()));
        let (items, more) = gather(self.graph.items_after(after), CHUNK_BYTES);
        let next = cursor(&items).filter(|_| more);
        self.counters.sync_fields_out += items.len() as u64;
        let graph = encode::graph(items);
        let answer = encode::tell_chunk(&self.ids.next(), question, &graph, next.as_ref());
        self.send(peer, answer, turn);
    }

    fn on_chunk(
        &mut self,
        from: PeerId,
        writes: Vec<Write>,
        next: Option<(Soul, Field)>,
        turn: &mut Turn<'_>,
    ) {
        let fields = writes.len() as u64;
        self.counters.sync_fields_in += fields;
        let before = turn.batch.changes.len();
        let clock = self.clock.reading(turn.now.wall_ms);
        for write in writes {
            let future = std::iter::once(&write).filter(|write| write.cell.stamp > clock);
            if self.deferred.has_room(Some(from), future) {
                self.merge(write, Some(from), turn);
            } else {
                self.counters.fields_not_deferred += 1;
                self.ask_again_later(from, turn);
            }
        }
        turn.spread_changes_since(before, Audience::except(from, None));
        let link = self.links.get_mut(&from).expect("it was there just now");
        let step = link.sync.on_chunk(fields, next);
        self.take_step(from, step, turn);
    }

    fn take_step(&mut self, peer: PeerId, step: Step, turn: &mut Turn<'_>) {
        match step {
            Step::Ask(after) => {
                let id = self.ids.next();
                let question = encode::ask_chunk(&id, after.as_ref());
                if let Some(link) = self.links.get_mut(&peer) {
                    link.sync.asked(id);
                }
                self.send(peer, question, turn);
            }
            Step::Finished => self.counters.syncs_finished += 1,
            Step::Failed => self.counters.syncs_failed += 1,
            Step::Nothing => {}
        }
    }

    /// An answer was unreadable. If it was a chunk, waiting for it would be for ever.
    pub(super) fn on_bad_answer(&mut self, from: PeerId) {
        if let Some(link) = self.links.get_mut(&from)
            && link.is_loom()
            && link.sync.is_waiting()
        {
            link.sync.fail();
            self.counters.syncs_failed += 1;
        }
    }

    /// Something of a Loom peer did not fit among the deferred writes: without another comparison
    /// it would be missing until the next connection.
    pub(super) fn ask_again_later(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if link.is_loom() && !std::mem::replace(&mut link.stale, true) {
            let when = turn.now.mono.after(RESYNC_AFTER);
            self.timers.insert((when, peer, Timer::Resync));
        }
    }

    pub(super) fn defer(&mut self, write: Write, from: Option<PeerId>, turn: &mut Turn<'_>) {
        self.counters.fields_deferred += 1;
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
