//! Reconciliation with Loom peers, the answering side, and who is asked what.
//!
//! Each question is answered from what is held at that moment; nothing is kept between two of them
//! but what to show, so a peer that asks without end costs no memory.

use crate::graph::Brief;
use crate::model::{Field, PeerId, Soul, Stamp, Write};
use crate::wire::loom::{self, Hint, LoomTalk, Standing};
use crate::wire::{Id, encode};

use super::Mesh;
use super::parcel::{cursor, gather, named};
use super::sync::{CHUNK_BYTES, SyncPhase, pass};
use super::turn::Turn;

impl Mesh {
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
            (LoomTalk::AskRoot { own }, Some(id), Some(_)) => self.tell_root(from, id, own, turn),
            (LoomTalk::AskChunk { after }, Some(id), Some(_)) => {
                self.tell_chunk(from, id, after.as_ref(), turn);
            }
            (
                LoomTalk::AskDiff {
                    from: at,
                    first,
                    diff,
                },
                Some(id),
                Some(_),
            ) => {
                self.tell_diff(from, id, at, first, &diff, turn);
            }
            (LoomTalk::AskItems { wanted }, Some(id), Some(_)) => {
                self.tell_items(from, id, &wanted, turn);
            }
            (LoomTalk::Give { writes }, Some(id), Some(_)) => self.take(from, id, writes, turn),
            (LoomTalk::Root { root, count, hint }, _, Some(true)) => {
                self.on_root(from, (root, count), hint, turn);
            }
            (LoomTalk::Chunk { writes, next }, _, Some(true)) => {
                self.on_chunk(from, writes, next.as_ref(), turn);
            }
            (LoomTalk::Diff { diff }, _, Some(true)) => self.on_diff(from, &diff, turn),
            (LoomTalk::Items { writes, done }, _, Some(true)) => {
                self.on_items(from, writes, done, turn);
            }
            (LoomTalk::Given { refused }, _, Some(true)) => self.on_given(from, refused, turn),
            _ => self.counters.dam_unknown += 1,
        }
    }

    fn tell_root(&mut self, peer: PeerId, to: &Id, asker: Option<Standing>, turn: &mut Turn<'_>) {
        let id = self.ids.next();
        let Some(asker) = asker else {
            let answer = loom::tell_root(&id, to, self.graph.root(), None);
            self.send(peer, answer, turn);
            return;
        };
        let own = self.graph.chronicle().root();
        let is_same = asker.count == own.count() && asker.root == own.hex();
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        // All that this side held when it answered the first question of a pass has been seen by
        // the other, and the other way round.
        let since = link.sync.asked_since.take().filter(|_| asker.passed);
        let agreed = if is_same { Some(turn.now.mono) } else { since };
        if let Some(pid) = &link.pid
            && let Some(agreed) = agreed
        {
            self.common.agreed(pid, agreed);
        }
        // What was dropped after the pass began need not have been found by it.
        if is_same || since.is_some_and(|since| link.sync.missed < Some(since)) {
            link.sync.missed = None;
        }
        if is_same || asker.passed {
            link.sync.caught_up = true;
            link.sync.settle();
        } else if !link.sync.caught_up {
            link.sync.begin(SyncPhase::Comparing);
        }
        let hint = Hint {
            latest: self.graph.chronicle().latest(),
            since: self.common.since(link.pid.as_ref()),
            stalled: self.stalled.is_some(),
            missed: link.sync.missed.is_some(),
        };
        let answer = loom::tell_root(&id, to, own, Some(hint));
        self.send(peer, answer, turn);
    }

    fn tell_diff(
        &mut self,
        peer: PeerId,
        to: &Id,
        from: Option<Stamp>,
        first: bool,
        message: &[u8],
        turn: &mut Turn<'_>,
    ) {
        let Ok(diff) = pass::answer(self.graph.chronicle(), from, message) else {
            self.counters.messages_refused += 1;
            self.send_refusal(peer, to, "this is not a message of negentropy", turn);
            return;
        };
        if let Some(link) = self.links.get_mut(&peer) {
            link.sync.begin(SyncPhase::Finding);
            if first {
                link.sync.asked_since = Some(turn.now.mono);
            }
        }
        self.counters.sync_rounds += 1;
        let answer = loom::tell_diff(&self.ids.next(), to, &diff);
        self.send(peer, answer, turn);
    }

    fn tell_items(&mut self, peer: PeerId, to: &Id, wanted: &[Brief], turn: &mut Turn<'_>) {
        let (items, done) = named(&self.graph, wanted.iter());
        let fields = items.len() as u64;
        let graph = encode::graph(items);
        let answer = loom::tell_items(&self.ids.next(), to, &graph, done);
        self.note_served(peer, SyncPhase::Moving, 0, fields);
        self.send(peer, answer, turn);
    }

    fn take(&mut self, peer: PeerId, to: &Id, writes: Vec<Write>, turn: &mut Turn<'_>) {
        let fields = writes.len() as u64;
        let refused = self.take_in(peer, writes, turn);
        self.note_served(peer, SyncPhase::Moving, fields, 0);
        let answer = loom::given(&self.ids.next(), to, refused);
        self.send(peer, answer, turn);
    }

    fn tell_chunk(
        &mut self,
        peer: PeerId,
        to: &Id,
        after: Option<&(Soul, Field)>,
        turn: &mut Turn<'_>,
    ) {
        let after = after.map(|(soul, field)| (soul.as_str(), field.as_str()));
        let (items, more) = gather(self.graph.items_after(after), CHUNK_BYTES);
        let next = cursor(&items).filter(|_| more);
        let fields = items.len() as u64;
        let graph = encode::graph(items);
        let answer = loom::tell_chunk(&self.ids.next(), to, &graph, next.as_ref());
        self.note_served(peer, SyncPhase::Copying, 0, fields);
        self.send(peer, answer, turn);
    }

    /// The other side leads; what is shown of it follows.
    fn note_served(&mut self, peer: PeerId, phase: SyncPhase, fields_in: u64, fields_out: u64) {
        self.counters.sync_fields_out += fields_out;
        if let Some(link) = self.links.get_mut(&peer)
            && !link.asks()
        {
            link.sync.begin(phase);
            link.sync.moved(phase, fields_in, fields_out);
        }
    }
}
