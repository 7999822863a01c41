//! What a merged change means for records: the one path from the graph to everything shown.

use std::sync::Arc;

use bytes::Bytes;
use loom_relay::clock::Now;
use loom_relay::graph::Item;
use loom_relay::machine::Effect;
use loom_relay::model::{Cell, Change, Write};
use loom_relay::wire::loom::{self, LoomTalk};
use loom_relay::wire::{self, Body, Dam, encode};

use super::{CANARY_SOUL, Replica};
use crate::feed::{Conflict, Event, Happened, Origin, Subject};
use crate::index::Row;
use crate::plant::Plant;
use crate::record::{Foreign, Record, Table};

/// What a cell under a record soul says: a record, nothing (deleted), or something else.
pub(super) fn read(table: Table, id: &str, cell: &Cell) -> Result<Option<Record>, Foreign> {
    if cell.value.is_null() {
        return Ok(None);
    }
    let text = cell.value.as_text().ok_or(Foreign::NotAnObject)?;
    Record::read(table, id, &text, cell.stamp).map(Some)
}

impl Replica {
    /// Takes what the mesh has merged: the effects from `news` on.
    pub(super) fn absorb(&mut self, now: Now, news: usize, effects: &mut [Effect]) {
        for effect in &mut effects[news..] {
            if let Effect::Persist { commit, batch } = effect {
                self.issued = *commit;
                if self.config.plant == Some(Plant::ReverseTie) {
                    self.reverse_ties(&mut batch.changes);
                }
                for change in &batch.changes {
                    self.apply(change, now);
                }
            }
        }
        for beaten in self.mesh.take_beaten() {
            self.on_beaten(beaten, now);
        }
    }

    fn apply(&mut self, change: &Change, now: Now) {
        let Write { soul, field, cell } = &change.write;
        let origin = match change.from {
            None => Origin::Local,
            Some(_) => Origin::Remote,
        };
        let subject = match Table::of_soul(soul) {
            Some(table) => self.apply_to_record(table, field, cell, origin),
            None if soul.as_str() == CANARY_SOUL => {
                cell.value.as_text().map(|value| Subject::Canary {
                    node: field.as_str().into(),
                    value: value.into(),
                })
            }
            // Other users' data, held and passed on as it is.
            None => None,
        };
        let Some(subject) = subject else { return };
        let happened = Happened {
            at_ms: now.wall_ms,
            origin,
            subject,
        };
        let is_canary = !happened.is_numbered();
        if !is_canary {
            self.count(&happened);
        }
        let event = self.feed.publish(happened);
        if !is_canary {
            self.history.push(event);
        }
    }

    /// Brings the index up to date; what is left is to tell.
    fn apply_to_record(
        &mut self,
        table: Table,
        field: &str,
        cell: &Cell,
        origin: Origin,
    ) -> Option<Subject> {
        let record = read(table, field, cell);
        match &record {
            Ok(_) => {
                if !self.foreign.is_empty() {
                    self.foreign.remove(&(table, Arc::from(field)));
                }
            }
            Err(why) => {
                tracing::debug!(%table, id = field, %why, "not a record");
                self.foreign.insert((table, field.into()));
            }
        }
        let Ok(Some(record)) = record else {
            let was = self.index.remove(table, field);
            // A tombstone is news also where the record was never held, or deleted before: it was
            // made and deleted while this node was away, and whoever follows it waits for both.
            if was.is_none() && !cell.value.is_null() {
                return None;
            }
            return Some(Subject::Deleted {
                table,
                id: was.map_or_else(|| field.into(), |was| was.id.clone()),
                stamp: cell.stamp,
            });
        };
        let row = Arc::new(Row::new(&record, cell.stamp));
        let Some(was) = self.index.put(&row) else {
            return Some(Subject::Created(row));
        };
        let in_conflict = origin == Origin::Remote && conflict(&record, &was.record());
        let conflict = in_conflict.then_some(Conflict {
            winner: origin,
            lost: was,
        });
        Some(Subject::Updated(row, conflict))
    }

    fn count(&mut self, happened: &Happened) {
        let stats = &mut self.stats;
        stats.last_change = Some(happened.at_ms);
        if let Subject::Updated(_, Some(_)) = happened.subject {
            stats.conflicts += 1;
        }
        match (happened.origin, &happened.subject) {
            (Origin::Remote, _) => stats.remote_changes += 1,
            (Origin::Local, Subject::Created(row)) => match row.table {
                Table::Nodes => stats.nodes_created += 1,
                Table::Edges => stats.edges_created += 1,
            },
            (Origin::Local, _) => stats.local_updates += 1,
        }
        if happened.origin == Origin::Local {
            *self.unheld.entry(self.mesh.section()).or_default() += 1;
        }
    }

    /// A write of another peer lost its merge: worth telling if its writer had not seen the winner.
    fn on_beaten(&mut self, beaten: Write, now: Now) {
        let Write { soul, field, cell } = &beaten;
        let Some(table) = Table::of_soul(soul) else {
            return;
        };
        let (Ok(Some(lost)), Some(held)) = (read(table, field, cell), self.index.get(table, field))
        else {
            return;
        };
        if !conflict(&held.row.record(), &lost) {
            return;
        }
        if self.config.plant == Some(Plant::ReverseTie) {
            let row = Arc::new(Row::new(&lost, cell.stamp));
            self.index.put(&row);
            self.mesh.overrule(beaten);
            return;
        }
        self.stats.conflicts += 1;
        let conflict = Conflict {
            winner: Origin::Local,
            lost: Arc::new(Row::new(&lost, cell.stamp)),
        };
        self.history.push(Arc::new(Event {
            seq: self.feed.cursor().seq,
            happened: Happened {
                at_ms: now.wall_ms,
                origin: Origin::Remote,
                subject: Subject::Survived(held.row, conflict),
            },
        }));
    }

    /// The planted fault [`Plant::DropRemote`]: what is left of a frame; `None` when it is not to be
    /// heard at all.
    pub(super) fn censored(&mut self, frame: Bytes) -> Option<Bytes> {
        if self.config.plant != Some(Plant::DropRemote) {
            return Some(frame);
        }
        let Ok(messages) = wire::decode(&frame) else {
            return Some(frame);
        };
        for message in messages.into_iter().flatten() {
            match message.body {
                Body::Put { writes, .. } => {
                    let records = writes.into_iter().filter(is_of_record);
                    let records: Vec<Write> = records.collect();
                    let saboteur = self.saboteur.as_mut()?;
                    if !records.is_empty() && saboteur.strikes(Plant::DropRemote) {
                        self.ignored
                            .extend(records.into_iter().map(|write| write.field));
                        return None;
                    }
                }
                // Whatever was ignored would come again when roots are compared.
                Body::Dam(Dam::Loom(LoomTalk::Items { mut writes, done })) => {
                    let (id, to) = message.id.zip(message.answers)?;
                    writes.retain(|write| !self.ignored.contains(&write.field));
                    let graph = encode::graph(writes.iter().map(Item::of).collect());
                    let done = usize::try_from(done).unwrap_or(usize::MAX);
                    return Some(loom::tell_items(&id, &to, &graph, done));
                }
                Body::Dam(Dam::Loom(LoomTalk::Chunk { mut writes, next })) => {
                    let (id, to) = message.id.zip(message.answers)?;
                    writes.retain(|write| !self.ignored.contains(&write.field));
                    let graph = encode::graph(writes.iter().map(Item::of).collect());
                    return Some(loom::tell_chunk(&id, &to, &graph, next.as_ref()));
                }
                _ => {}
            }
        }
        Some(frame)
    }

    /// The planted fault [`Plant::ReverseTie`]: winners of conflicts are turned away.
    fn reverse_ties(&mut self, changes: &mut Vec<Change>) {
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
}

fn is_of_record(write: &Write) -> bool {
    Table::of_soul(&write.soul).is_some()
}

/// Whether two writes of one record were made without knowledge of each other, and differ.
fn conflict(one: &Record, other: &Record) -> bool {
    one.metadata.writers.conflict_with(&other.metadata.writers) && !one.same_content(other)
}
