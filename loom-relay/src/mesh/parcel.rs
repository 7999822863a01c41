//! What is too large for one frame goes in pieces, a piece at a time, so that it neither fills a
//! link's queue nor holds up live writes.

use std::time::Duration;

use crate::graph::{Brief, Graph, Item};
use crate::model::{Field, PeerId, Soul};
use crate::wire::{Id, encode};

use super::link::{PARCELS_MAX, Parcel};
use super::seen::Origin;
use super::sync::CHUNK_BYTES;
use super::turn::Turn;
use super::{Mesh, Timer};

/// How large one piece is, about, in bytes: a link's queue must hold several.
pub const PARCEL_BYTES: usize = 256 << 10;

/// Time between two pieces to one link: about 25 MB/s, less than loopback or a local network
/// carries and more than gun.js parses.
const PARCEL_EVERY: Duration = Duration::from_millis(10);

/// How large a put is getting.
#[derive(Debug, Default)]
pub(super) struct Size<'a> {
    bytes: usize,
    soul: Option<&'a Soul>,
}

impl<'a> Size<'a> {
    pub(super) fn add(&mut self, item: &Item<'a>) {
        if self.soul != Some(item.soul) {
            self.soul = Some(item.soul);
            self.bytes += 2 * item.soul.len() + 32;
        }
        self.bytes += item.bytes();
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Items for one frame of about `limit` bytes, at least one, and whether there are more.
pub(super) fn gather<'a>(
    items: impl Iterator<Item = Item<'a>>,
    limit: usize,
) -> (Vec<Item<'a>>, bool) {
    let mut size = Size::default();
    let mut gathered = Vec::new();
    for item in items {
        size.add(&item);
        if size.bytes() > limit && !gathered.is_empty() {
            return (gathered, true);
        }
        gathered.push(item);
    }
    (gathered, false)
}

/// The place after these items.
pub(super) fn cursor(items: &[Item<'_>]) -> Option<(Soul, Field)> {
    items
        .last()
        .map(|last| (last.soul.clone(), last.field.clone()))
}

impl Mesh {
    /// Sends all of a vertex, in several answers if need be; false when there is none.
    pub(super) fn answer_vertex(
        &mut self,
        peer: PeerId,
        question: &Id,
        soul: &Soul,
        turn: &mut Turn<'_>,
    ) -> bool {
        self.answer_piece(peer, question, soul, None, turn)
    }

    fn answer_piece(
        &mut self,
        peer: PeerId,
        question: &Id,
        soul: &Soul,
        after: Option<&Field>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(vertex) = self.graph.vertex(soul) else {
            return false;
        };
        let cells = vertex.after(after.map(Field::as_str));
        let items = cells.map(|(field, cell)| Item { soul, field, cell });
        let (items, more) = gather(items, PARCEL_BYTES);
        let Some((_, last)) = cursor(&items) else {
            return true;
        };
        let whole = after.is_none() && !more;
        let graph = encode::graph(items);
        self.send_answer(peer, question, &graph, whole, turn);
        if more {
            let parcel = Parcel::Answer {
                question: question.clone(),
                soul: soul.clone(),
                after: last,
            };
            self.queue_parcel(peer, parcel, turn);
        }
        true
    }

    /// Tells a peer without reconciliation everything that is held.
    pub(super) fn push_everything(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        self.push_piece(peer, None, turn);
    }

    fn push_piece(&mut self, peer: PeerId, after: Option<&(Soul, Field)>, turn: &mut Turn<'_>) {
        let after = after.map(|(soul, field)| (soul.as_str(), field.as_str()));
        let (items, more) = gather(self.graph.items_after(after), PARCEL_BYTES);
        let next = cursor(&items);
        if items.is_empty() {
            return;
        }
        let graph = encode::graph(items);
        let id = self.ids.next();
        self.remember(&id, Origin::Me, turn);
        self.send(peer, encode::put(&id, &graph), turn);
        if more {
            self.queue_parcel(peer, Parcel::Everything { after: next }, turn);
        }
    }

    pub(super) fn send_answer(
        &mut self,
        peer: PeerId,
        question: &Id,
        graph: &str,
        whole: bool,
        turn: &mut Turn<'_>,
    ) {
        let id = self.ids.next();
        // gun.js acknowledges answers it stores; those must find their way here.
        self.remember(&id, Origin::Me, turn);
        let answer = encode::answer(&id, question, graph, whole);
        self.send(peer, answer, turn);
    }

    fn queue_parcel(&mut self, peer: PeerId, parcel: Parcel, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if link.parcels.len() < PARCELS_MAX {
            link.parcels.push_back(parcel);
            if link.parcels.len() == 1 {
                let next = turn.now.mono.after(PARCEL_EVERY);
                self.timers.insert((next, peer, Timer::Parcel));
            }
        } else if let Parcel::Answer { question, .. } = parcel {
            self.counters.answers_refused += 1;
            let reason = "too many large answers are on their way to you already";
            self.send_refusal(peer, &question, reason, turn);
        }
    }

    /// Sends the next piece of what waits longest.
    pub(super) fn deliver_parcel(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let Some(parcel) = link.parcels.pop_front() else {
            return;
        };
        // Asked before the next piece queues itself and sets the timer when it is alone.
        let others_wait = !link.parcels.is_empty();
        match parcel {
            Parcel::Answer {
                question,
                soul,
                after,
            } => {
                self.answer_piece(peer, &question, &soul, Some(&after), turn);
            }
            Parcel::Everything { after } => self.push_piece(peer, after.as_ref(), turn),
        }
        if others_wait {
            let next = turn.now.mono.after(PARCEL_EVERY);
            self.timers.insert((next, peer, Timer::Parcel));
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
