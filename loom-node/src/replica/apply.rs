//! What a merged change means for records: the one path from the graph to everything shown.

use std::sync::Arc;

use loom_relay::clock::Now;
use loom_relay::machine::Effect;
use loom_relay::model::{Cell, Change, Write};

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
                if self.is_planted(Plant::ReverseTie) {
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
            if let (Some(was), Origin::Remote) = (&was, origin) {
                self.on_peers_change(table, was, true);
            }
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
        if origin == Origin::Remote {
            self.on_peers_change(table, &was, false);
        }
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
        if self.is_planted(Plant::ReverseTie) {
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
}

/// Whether two writes of one record were made without knowledge of each other, and differ.
pub(super) fn conflict(one: &Record, other: &Record) -> bool {
    one.metadata.writers.conflict_with(&other.metadata.writers) && !one.same_content(other)
}
