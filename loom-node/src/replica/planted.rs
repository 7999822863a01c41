//! Where planted faults strike: see [`Plant`]. Without one, nothing here does anything.

use std::sync::Arc;

use bytes::Bytes;
use loom_relay::clock::Now;
use loom_relay::graph::Item;
use loom_relay::machine::{Effect, Input, Machine as _};
use loom_relay::model::{Change, PeerId, Value, Write};
use loom_relay::wire::loom::{self, LoomTalk};
use loom_relay::wire::{self, Body, Dam, encode};

use super::apply::{conflict, read};
use super::write::{new_record, write};
use super::{Replica, Wish};
use crate::index::{Found, Row};
use crate::plant::Plant;
use crate::record::Table;
use crate::record::draft::Draft;

/// Nodes' clocks differ by a little; what is ahead by more is stamped in the future.
const AHEAD_MS: f64 = 100.0;

impl Replica {
    pub(super) fn is_planted(&self, plant: Plant) -> bool {
        self.saboteur
            .as_ref()
            .is_some_and(|saboteur| saboteur.is(plant))
    }

    pub(super) fn strikes(&mut self, plant: Plant) -> bool {
        self.saboteur
            .as_mut()
            .is_some_and(|saboteur| saboteur.strikes(plant))
    }

    /// What is left of a frame; `None` when it is not to be heard at all, or not yet.
    pub(super) fn censored(&mut self, peer: PeerId, frame: Bytes, now: Now) -> Option<Bytes> {
        let censors = [
            Plant::DropRemote,
            Plant::IgnoreDeferred,
            Plant::StuckUntilNudged,
            Plant::DeliverLate,
        ];
        let Some(plant) = censors.into_iter().find(|plant| self.is_planted(*plant)) else {
            return Some(frame);
        };
        let Ok(messages) = wire::decode(&frame) else {
            return Some(frame);
        };
        let early = |write: &Write| {
            let stamp = write.cell.stamp.ms();
            plant == Plant::IgnoreDeferred && stamp > now.wall_ms as f64 + AHEAD_MS
        };
        for message in messages.into_iter().flatten() {
            let saboteur = self.saboteur.as_mut()?;
            match message.body {
                Body::Put { writes, .. } => {
                    let records = writes.into_iter().filter(is_of_record);
                    let records: Vec<Write> = records.collect();
                    let ignores = match plant {
                        _ if records.is_empty() => false,
                        Plant::IgnoreDeferred => records.iter().any(early),
                        Plant::StuckUntilNudged => {
                            saboteur.held_back.push((peer, frame.clone()));
                            true
                        }
                        Plant::DeliverLate => {
                            let fields = records.iter().map(|write| write.field.clone());
                            saboteur.delay(peer, frame.clone(), fields.collect(), now.mono);
                            true
                        }
                        _ => saboteur.strikes(plant),
                    };
                    if ignores {
                        let fields = records.into_iter().map(|write| write.field);
                        saboteur.ignored.extend(fields);
                        return None;
                    }
                }
                // Whatever was ignored would come again when roots are compared.
                Body::Dam(Dam::Loom(LoomTalk::Items { mut writes, done })) => {
                    let (id, to) = message.id.zip(message.answers)?;
                    writes
                        .retain(|write| !saboteur.ignored.contains(&write.field) && !early(write));
                    let graph = encode::graph(writes.iter().map(Item::of).collect());
                    let done = usize::try_from(done).unwrap_or(usize::MAX);
                    return Some(loom::tell_items(&id, &to, &graph, done));
                }
                Body::Dam(Dam::Loom(LoomTalk::Chunk { mut writes, next })) => {
                    let (id, to) = message.id.zip(message.answers)?;
                    writes
                        .retain(|write| !saboteur.ignored.contains(&write.field) && !early(write));
                    let graph = encode::graph(writes.iter().map(Item::of).collect());
                    return Some(loom::tell_chunk(&id, &to, &graph, next.as_ref()));
                }
                _ => {}
            }
        }
        Some(frame)
    }

    /// A client has written: what was held back until then is heard.
    pub(super) fn nudged(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(saboteur) = &mut self.saboteur else {
            return;
        };
        if !saboteur.is(Plant::StuckUntilNudged) {
            return;
        }
        saboteur.ignored.clear();
        for (peer, frame) in std::mem::take(&mut saboteur.held_back) {
            let news = effects.len();
            let heard = Input::Heard { peer, frame };
            self.mesh.handle(heard, now, effects);
            self.absorb(now, news, effects);
        }
    }

    /// What was to be heard late is, if it is time.
    pub(super) fn deliver_late(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(saboteur) = &mut self.saboteur
            && let Some((peer, frame)) = saboteur.take_due(now.mono)
        {
            let news = effects.len();
            let heard = Input::Heard { peer, frame };
            self.mesh.handle(heard, now, effects);
            self.absorb(now, news, effects);
        }
    }

    /// Winners of conflicts are turned away.
    pub(super) fn reverse_ties(&mut self, changes: &mut Vec<Change>) {
        let mut kept = Vec::with_capacity(changes.len());
        for change in changes.drain(..) {
            let Write { soul, field, cell } = &change.write;
            let loser = change.was.as_ref().filter(|was| {
                let Some(table) = Table::of_soul(soul) else {
                    return false;
                };
                let (news, held) = (read(table, field, cell), read(table, field, was));
                let both = news.ok().flatten().zip(held.ok().flatten());
                change.from.is_some() && both.is_some_and(|(news, held)| conflict(&news, &held))
            });
            match loser {
                Some(loser) => self.mesh.overrule(Write {
                    cell: loser.clone(),
                    ..change.write.clone()
                }),
                None => kept.push(change),
            }
        }
        *changes = kept;
    }

    /// A record nobody wrote.
    pub(super) fn invented(&mut self, now: Now) -> Write {
        let id = self.fresh_id(Table::Nodes, now);
        let body = serde_json::json!({"properties": {"invented": true}});
        let draft = Draft::read(Table::Nodes, Some(&id), body).expect("a plain node");
        let mut record = new_record(id.clone(), draft, &self.config.node_id, now);
        self.sign(&mut record, now);
        let stamp = self.mesh.issue(now.wall_ms);
        write(Table::Nodes.soul(), &id, stamp, Value::text(&record.json()))
    }

    /// What a wish that is about to be refused makes all the same.
    pub(super) fn kept_though_refused(&mut self, wish: &Wish, now: Now) -> Option<Write> {
        let Wish::Patch {
            table: table @ Table::Nodes,
            id,
            patch,
        } = wish
        else {
            return None;
        };
        if self.row(*table, id).is_some() || !self.strikes(Plant::KeepRefused) {
            return None;
        }
        let body = serde_json::json!({"properties": {}});
        let draft = Draft::read(*table, Some(id), body).expect("a plain node");
        let mut record = new_record(id.clone(), draft, &self.config.node_id, now);
        patch.clone().apply(&mut record).ok()?;
        self.sign(&mut record, now);
        let stamp = self.mesh.issue(now.wall_ms);
        Some(write(table.soul(), id, stamp, Value::text(&record.json())))
    }

    /// Takes one in five writes of clients out of what is about to be stored.
    pub(super) fn leave_unstored(&mut self, effects: &mut [Effect]) {
        if !self.is_planted(Plant::ForgetOnRestart) {
            return;
        }
        for effect in effects {
            if let Effect::Persist { batch, .. } = effect {
                batch.changes.retain(|change| {
                    change.from.is_some()
                        || !is_of_record(&change.write)
                        || !self.strikes(Plant::ForgetOnRestart)
                });
            }
        }
    }

    /// Makes again what a peer has deleted, as soon as it may be stamped.
    pub(super) fn resurrect(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let deleted = self.saboteur.as_ref();
        let deleted = deleted.map_or(0, |saboteur| saboteur.deleted.len());
        if deleted == 0 {
            return;
        }
        let news = effects.len();
        let may = self.mesh.may_issue(deleted, now, effects);
        self.absorb(now, news, effects);
        let deleted = match &mut self.saboteur {
            Some(saboteur) if may => std::mem::take(&mut saboteur.deleted),
            _ => return,
        };
        for row in deleted {
            let stamp = self.mesh.issue(now.wall_ms);
            let text = Value::text(&row.record().json());
            let again = write(row.table.soul(), &row.id, stamp, text);
            self.commit(vec![again], now, effects);
        }
    }

    /// What a read shows instead of the truth, if anything.
    pub(super) fn lie(&mut self, table: Table, id: &str) -> Option<Found> {
        let row = self.saboteur.as_mut()?.lie(table, id)?;
        let dangling = self.index.would_dangle(&row);
        Some(Found { row, dangling })
    }

    /// Notes what a peer did to a record.
    pub(super) fn on_peers_change(&mut self, table: Table, was: &Arc<Row>, gone: bool) {
        let Some(saboteur) = &mut self.saboteur else {
            return;
        };
        if !gone {
            saboteur.changed(table, was, true);
        } else if saboteur.is(Plant::Resurrect) {
            saboteur.deleted.push(Arc::clone(was));
        }
    }
}

fn is_of_record(write: &Write) -> bool {
    Table::of_soul(&write.soul).is_some()
}
