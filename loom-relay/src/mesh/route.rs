//! Who hears what: news goes to everybody else, answers go back the way the question came, and
//! nothing returns to its source.

use bytes::Bytes;

use crate::clock::Mono;
use crate::graph::Merged;
use crate::model::{PeerId, Write};
use crate::wire::{Body, Get, Id, Message, SoulQuery, encode};

use super::link::Link;
use super::seen::Origin;
use super::turn::{Audience, Turn};
use super::vet::Vetted;
use super::{BEATEN_MAX, Mesh, send};

impl Mesh {
    /// Takes one message.
    pub(super) fn hear(&mut self, from: PeerId, mut message: Message, turn: &mut Turn<'_>) {
        self.counters.messages_in += 1;
        if let Some(id) = &message.id {
            let unstored = self.seen.get(id.key()).is_some_and(|it| it.unstored);
            if self.seen.touch(id.key(), turn.now.mono) {
                if !unstored || message.answers.is_some() {
                    self.counters.duplicates += 1;
                    return;
                }
                // Others have had it.
                message.here_only = true;
            } else {
                self.remember(id, Origin::Peer(from), turn);
            }
        }
        let Message {
            id,
            answers,
            content_hash,
            here_only,
            raw,
            body,
        } = message;
        if let Body::Dam(dam) = body {
            self.hear_dam(from, id.as_ref(), answers.as_ref(), dam, turn);
            return;
        }
        let raw = match &body {
            Body::Put { ack: Some(ack), .. } if !here_only => {
                encode::with_ack_request(&raw, ack, self.links.len())
            }
            _ => raw,
        };
        let (id, frame) = match id {
            Some(id) => (id, raw),
            None => {
                let id = self.ids.next();
                self.remember(&id, Origin::Peer(from), turn);
                let frame = encode::with_id(&raw, &id);
                (id, frame)
            }
        };
        if let Some(question) = answers {
            let heard = content_hash.is_some_and(|hash| {
                self.heard_content(&format!("{}##{hash}", question.key()), from, turn)
            });
            let route = if heard { Route::Merge } else { Route::Pass };
            self.hear_answer(from, &question, body, frame, route, turn);
            return;
        }
        match body {
            Body::Put { writes, ack } => {
                let put = Put {
                    id,
                    frame,
                    writes,
                    wants_ack: ack.is_some(),
                    here_only,
                };
                self.hear_put(from, put, turn);
            }
            Body::Get(get) => self.hear_get(from, &id, &get, &frame, here_only, turn),
            Body::Dam(_) | Body::Verdict | Body::Other => {
                self.counters.others_in += 1;
                if !here_only {
                    self.flood(from, &frame, |_| true, turn);
                }
            }
        }
    }

    fn hear_put(&mut self, from: PeerId, put: Put, turn: &mut Turn<'_>) {
        self.counters.puts_in += 1;
        let Some(link) = self.links.get(&from) else {
            return;
        };
        // Loom peers do not wait for the mesh: their own store has acknowledged already.
        let wants_ack = self.config.acks_puts && (!link.is_loom() || put.wants_ack);
        // A client speaks for itself, and with one of its writes refused all are, as in any bad
        // put. What a Loom peer sends is of many.
        let all_or_nothing = !link.is_loom();
        let vetting = self.vet(from, put.writes, all_or_nothing, turn);
        if let Some(reason) = &vetting.refused {
            if all_or_nothing {
                self.counters.messages_refused += 1;
            }
            if all_or_nothing || wants_ack {
                self.send_refusal(from, &put.id, reason, turn);
            }
            if all_or_nothing {
                return;
            }
        }
        if let Some(why) = &self.stalled {
            let reason = format!("not stored, send it again later: {why}");
            self.counters.fields_unstored += vetting.passed.len() as u64;
            self.seen.mark_unstored(put.id.key(), true);
            self.note_missed(from, turn.now.mono);
            // Others may be able to keep it.
            if !put.here_only && !vetting.reduced {
                self.flood(from, &put.frame, |_| true, turn);
            }
            if wants_ack {
                self.send_refusal(from, &put.id, &reason, turn);
            }
            return;
        }
        if !self.can_defer(from, &vetting.passed, turn) {
            let reason = "too many writes from the future wait already; is your clock ahead?";
            self.send_refusal(from, &put.id, reason, turn);
            return;
        }
        self.seen.mark_unstored(put.id.key(), false);
        turn.passed_on = !put.here_only && !vetting.reduced;
        if turn.passed_on {
            self.flood(from, &put.frame, |_| true, turn);
        }
        let before = turn.batch.changes.len();
        for write in vetting.passed {
            if let Some(link) = self.links.get_mut(&from) {
                link.note_written(&write.write().soul);
            }
            self.merge(write, Some(from), turn);
        }
        turn.passed_on = false;
        if vetting.reduced && !put.here_only {
            turn.spread_changes_since(before, Audience::except(from, None));
        }
        if wants_ack && vetting.refused.is_none() {
            turn.acks.push((from, put.id));
        }
    }

    fn hear_get(
        &mut self,
        from: PeerId,
        id: &Id,
        get: &Get,
        frame: &Bytes,
        here_only: bool,
        turn: &mut Turn<'_>,
    ) {
        self.counters.gets_in += 1;
        let found = self.look_up(from, id, get, turn);
        if found {
            self.counters.gets_found += 1;
        } else if self.config.answers_missing {
            self.counters.gets_missing += 1;
            let answer = encode::not_found(&self.ids.next(), id);
            self.send(from, answer, turn);
        }
        if found || self.config.answers_missing {
            self.seen.mark_answered(id.key());
        }
        // Loom peers hold what is held here, or are about to: they need not be asked.
        if !here_only {
            self.flood(from, frame, |link| !link.is_loom(), turn);
        }
        if let SoulQuery::Is(soul) = &get.soul {
            self.pull(from, soul, turn);
        }
    }

    fn hear_answer(
        &mut self,
        from: PeerId,
        question: &Id,
        body: Body,
        frame: Bytes,
        route: Route,
        turn: &mut Turn<'_>,
    ) {
        if matches!(body, Body::Verdict) {
            self.counters.verdicts_in += 1;
        }
        let vetting = match body {
            Body::Put { writes, .. } => Some(self.vet(from, writes, false, turn)),
            _ => None,
        };
        // What is left of it is passed on in a put of our own.
        let reduced = vetting.as_ref().is_some_and(|vetting| vetting.reduced);
        let route = if reduced { Route::Merge } else { route };
        let asker = self.asker(from, question, turn.now.mono);
        let entry = self.seen.get(question.key());
        let answered = entry.is_some_and(|entry| entry.answered);
        let is_data = vetting.is_some();
        if let Some(asker) = asker
            && route == Route::Pass
        {
            if answered && !is_data {
                self.counters.answers_redundant += 1;
            } else {
                self.send(asker, frame, turn);
            }
        }
        let Some(vetting) = vetting else { return };
        self.counters.puts_in += 1;
        if asker.is_some() {
            self.seen.mark_answered(question.key());
        }
        if !self.can_defer(from, &vetting.passed, turn) {
            return;
        }
        let before = turn.batch.changes.len();
        for write in vetting.passed {
            self.merge(write, Some(from), turn);
        }
        self.pull_linked(from, before, turn);
        // gun.js leaves everybody else stale here; see docs/protocol.md.
        let told = asker.filter(|_| route == Route::Pass);
        turn.spread_changes_since(before, Audience::except(from, told));
    }

    /// The link an answer goes to. The way there stays known while answers come.
    fn asker(&mut self, from: PeerId, question: &Id, now: Mono) -> Option<PeerId> {
        self.seen.touch(question.key(), now);
        match self.seen.get(question.key()).map(|entry| entry.origin) {
            Some(Origin::Me) => {
                self.counters.answers_own += 1;
                None
            }
            Some(Origin::Peer(asker)) if asker == from => None,
            Some(Origin::Peer(asker)) if self.links.contains_key(&asker) => Some(asker),
            _ => {
                self.counters.answers_unroutable += 1;
                None
            }
        }
    }

    /// Whether what these writes bring from the future can wait here; if not, nothing is merged.
    fn can_defer(&mut self, from: PeerId, writes: &[Vetted], turn: &mut Turn<'_>) -> bool {
        let clock = self.clock.reading(turn.now.wall_ms);
        let writes = || writes.iter().map(Vetted::write);
        let future = || writes().filter(|write| write.cell.stamp > clock);
        let has_room = self.deferred.has_room(Some(from), future());
        if !has_room {
            self.counters.messages_refused += 1;
            self.counters.fields_not_deferred += future().count() as u64;
            self.note_missed(from, turn.now.mono);
            self.ask_again_later(from, turn);
        }
        has_room
    }

    /// Decides about one write and keeps track of what came of it.
    pub(super) fn merge(&mut self, write: Vetted, from: Option<PeerId>, turn: &mut Turn<'_>) {
        if self.stalled.is_some() {
            // It comes again when roots are compared.
            self.counters.fields_unstored += 1;
            if let Some(from) = from {
                self.note_missed(from, turn.now.mono);
            }
            return;
        }
        let clock = self.clock.reading(turn.now.wall_ms);
        match self.graph.merge(write.into_write(), clock, from) {
            Merged::Taken(change) => {
                self.counters.fields_taken += 1;
                self.clock.observe(change.write.cell.stamp);
                self.common.took(turn.now.mono, change.write.cell.stamp);
                turn.batch.changes.push(change);
            }
            Merged::Kept(write) => {
                self.counters.fields_kept += 1;
                self.note_beaten(write);
            }
            Merged::Deferred(write) => self.defer(write, from, turn),
        }
    }

    /// A repeat of what is held has not been beaten by anything.
    pub(super) fn note_beaten(&mut self, write: Write) {
        if !self.config.keeps_beaten || self.beaten.len() == BEATEN_MAX {
            return;
        }
        let held = self.graph.get(&write.soul, &write.field);
        if held.is_none_or(|held| held.value != write.cell.value) {
            self.beaten.push(write);
        }
    }

    pub(super) fn remember(&mut self, id: &Id, origin: Origin, turn: &Turn<'_>) {
        self.seen.remember(id.key().clone(), origin, turn.now.mono);
    }

    /// Whether this content has answered this question before.
    fn heard_content(&mut self, key: &str, from: PeerId, turn: &Turn<'_>) -> bool {
        let heard = self.seen.touch(key, turn.now.mono);
        if heard {
            self.counters.duplicates += 1;
        } else {
            let origin = Origin::Peer(from);
            self.seen.remember(key.into(), origin, turn.now.mono);
        }
        heard
    }

    fn flood(
        &mut self,
        source: PeerId,
        frame: &Bytes,
        wanted: impl Fn(&Link) -> bool,
        turn: &mut Turn<'_>,
    ) {
        for (peer, link) in &self.links {
            if *peer != source && wanted(link) {
                let frame = frame.clone();
                send(&mut self.counters, *peer, frame, turn);
            }
        }
    }
}

/// A put for everybody, as it was heard.
struct Put {
    id: Id,
    frame: Bytes,
    writes: Vec<Write>,
    wants_ack: bool,
    here_only: bool,
}

/// What is done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Merge it and pass it on.
    Pass,
    /// Merge it only: its content has been passed on.
    Merge,
}
