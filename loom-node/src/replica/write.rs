//! Writes of this node's own clients: from a wish to a stamped write.

use std::collections::BTreeSet;
use std::sync::Arc;

use loom_relay::clock::Now;
use loom_relay::machine::{Commit, Effect};
use loom_relay::model::{Cell, Stamp, Value, Write};
use loom_relay::wire::check_write;
use serde_json::{Map, Number};

use super::{
    Acknowledge, CANARY_SOUL, Command, Outcome, Refused, Replica, Reply, Wish, Written, legacy,
};
use crate::index::{Found, Row};
use crate::limits::RECORD_BYTES_MAX;
use crate::plant::Plant;
use crate::record::draft::Draft;
use crate::record::invalid::Invalid;
use crate::record::writers::Writers;
use crate::record::{Metadata, Record, Table};

/// A wish with everything decided: what is to be held, and what to answer once it is.
struct Planned {
    table: Table,
    id: String,
    /// `None` deletes.
    record: Option<Record>,
    was: Option<Arc<Row>>,
}

impl Replica {
    /// Carries out a command that writes; its stamps may be issued.
    pub(super) fn on_stamped(&mut self, command: Command, now: Now, effects: &mut Vec<Effect>) {
        match command {
            Command::Write(wish, reply) => self.on_write(wish, reply, now, effects),
            Command::WriteMany(wishes, reply) => self.on_write_many(wishes, reply, now, effects),
            Command::Canary(value, reply) => self.on_canary(&value, reply, now, effects),
            reading => unreachable!("{reading:?} stamps nothing"),
        }
    }

    fn on_write(&mut self, wish: Wish, reply: Reply<Outcome>, now: Now, effects: &mut Vec<Effect>) {
        let (mut outcomes, commit) = self.grant(vec![wish], now, effects);
        let outcome = outcomes.pop().expect("one outcome per wish");
        self.acknowledge(commit, Acknowledge::One(reply, outcome));
    }

    fn on_write_many(
        &mut self,
        wishes: Vec<Wish>,
        reply: Reply<Vec<Outcome>>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let (outcomes, commit) = self.grant(wishes, now, effects);
        self.acknowledge(commit, Acknowledge::Many(reply, outcomes));
    }

    fn on_canary(
        &mut self,
        value: &str,
        reply: Reply<Result<Stamp, Refused>>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let stamp = self.mesh.issue(now.wall_ms);
        let node_id = self.config.node_id.clone();
        let write = write(CANARY_SOUL, &node_id, stamp, Value::text(value));
        if let Err(bad) = check_write(&write) {
            // Whoever asked may have hung up.
            let _ = reply.send(Err(bad.into()));
            return;
        }
        let commit = self.commit(vec![write], now, effects);
        self.acknowledge(commit, Acknowledge::Canary(reply, stamp));
    }

    /// Carries wishes out in order. They share commits as far as they are about different records.
    fn grant(
        &mut self,
        wishes: Vec<Wish>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> (Vec<Outcome>, Option<Commit>) {
        let mut outcomes = Vec::with_capacity(wishes.len());
        let mut last_commit = None;
        let mut together = Vec::new();
        // One message of GUN can hold a field once.
        let mut named = BTreeSet::new();
        for wish in wishes {
            let key = wish.key();
            if key.as_ref().is_some_and(|key| named.contains(key)) {
                named.clear();
                last_commit = self
                    .commit(std::mem::take(&mut together), now, effects)
                    .or(last_commit);
            }
            named.extend(key);
            let kept = self.kept_though_refused(&wish, now);
            let outcome = self
                .plan(wish, now)
                .and_then(|planned| self.write_down(planned, now, &mut together));
            outcomes.push(outcome);
            together.extend(kept);
            assert!(!self.strikes(Plant::Crash), "planted: it breaks down here");
        }
        let commit = self.commit(together, now, effects);
        self.nudged(now, effects);
        (outcomes, commit.or(last_commit))
    }

    /// Hands writes to the mesh and applies what won, which is all of them: they have been checked
    /// and their stamps exceed everything held.
    pub(super) fn commit(
        &mut self,
        writes: Vec<Write>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Option<Commit> {
        if writes.is_empty() {
            return None;
        }
        let news = effects.len();
        let commit = self.mesh.write(writes, now, effects);
        self.absorb(now, news, effects);
        self.leave_unstored(&mut effects[news..]);
        // Without a commit there would be nothing to wait for, and what was not kept would be
        // acknowledged at once.
        Some(commit.expect("writes are checked and their stamps exceed all"))
    }

    fn plan(&mut self, wish: Wish, now: Now) -> Result<Planned, Refused> {
        match wish {
            Wish::Put {
                mut draft,
                if_absent,
            } => {
                let table = draft.table;
                let id = draft.id.take().unwrap_or_else(|| self.fresh_id(table, now));
                let was = self.row(table, &id);
                if if_absent && was.is_some() {
                    return Err(Refused::Exists { table, id });
                }
                let before = was.as_ref().map(|was| was.record().metadata);
                let mut record = new_record(id.clone(), draft, &self.config.node_id, now);
                if let Some(before) = before {
                    let labels = record.metadata.labels.take();
                    record.metadata = Metadata { labels, ..before };
                }
                self.sign(&mut record, now);
                Ok(Planned {
                    table,
                    id,
                    record: Some(record),
                    was,
                })
            }
            Wish::Patch { table, id, patch } => {
                let was = self.row(table, &id);
                let Some(was) = was.filter(|_| !self.strikes(Plant::RefusePatches)) else {
                    return Err(Refused::Missing { table, id });
                };
                let mut record = was.record();
                patch.apply(&mut record)?;
                self.sign(&mut record, now);
                let was = Some(was);
                Ok(Planned {
                    table,
                    id,
                    record: Some(record),
                    was,
                })
            }
            Wish::Delete { table, id } => match self.row(table, &id) {
                Some(was) => Ok(Planned {
                    table,
                    id,
                    record: None,
                    was: Some(was),
                }),
                None => Err(Refused::Missing { table, id }),
            },
        }
    }

    fn write_down(&mut self, planned: Planned, now: Now, together: &mut Vec<Write>) -> Outcome {
        let Planned {
            table,
            id,
            record,
            was,
        } = planned;
        let text = record.as_ref().map(Record::json);
        if let Some(bytes) = text.as_ref().map(String::len)
            && bytes > RECORD_BYTES_MAX
        {
            return Err(Invalid::TooLarge { bytes }.into());
        }
        let stamp = self.mesh.issue(now.wall_ms);
        let row = record.map(|record| Arc::new(Row::new(&record, stamp)));
        let is_lost = row.is_some() && was.is_none() && self.strikes(Plant::LoseAcked);
        if !is_lost {
            let value = text.map_or_else(Value::null, |text| Value::text(&text));
            let write = write(table.soul(), &id, stamp, value);
            check_write(&write)?;
            together.push(write);
            if self.config.legacy_index {
                legacy::push_writes(was.as_deref(), row.as_deref(), stamp, together);
            }
        }
        if self.strikes(Plant::Invent) {
            together.push(self.invented(now));
        }
        if let (Some(saboteur), Some(was), Some(_)) = (&mut self.saboteur, &was, &row) {
            saboteur.changed(table, was, false);
        }
        let Some(row) = row else {
            return Ok(Written::Deleted { id, stamp });
        };
        let found = Found {
            dangling: self.index.would_dangle(&row),
            row,
        };
        Ok(match was {
            Some(_) => Written::Replaced(found),
            None => Written::Created(found),
        })
    }

    /// Counts this write into the record's metadata.
    pub(super) fn sign(&self, record: &mut Record, now: Now) {
        let metadata = &mut record.metadata;
        metadata.version = metadata.version.saturating_add(1);
        metadata.writers.count(&self.config.node_id);
        // A wall clock that stepped back must not make a record look older.
        let before = metadata.updated_at.as_u64().unwrap_or(0);
        metadata.updated_at = now.wall_ms.max(before).into();
    }

    pub(super) fn row(&self, table: Table, id: &str) -> Option<Arc<Row>> {
        self.index.get(table, id).map(|found| found.row)
    }

    pub(super) fn fresh_id(&mut self, table: Table, now: Now) -> String {
        loop {
            let id = self.ids.next(table, now.wall_ms);
            if self.row(table, &id).is_none() {
                return id;
            }
        }
    }
}

impl Wish {
    /// The record it is about, if that is known beforehand.
    fn key(&self) -> Option<(Table, String)> {
        match self {
            Self::Put { draft, .. } => draft.id.clone().map(|id| (draft.table, id)),
            Self::Patch { table, id, .. } | Self::Delete { table, id } => {
                Some((*table, id.clone()))
            }
        }
    }
}

/// A record before its first write is counted.
pub(super) fn new_record(id: String, draft: Draft, node_id: &str, now: Now) -> Record {
    Record {
        id,
        kind: draft.kind,
        properties: draft.properties,
        link: draft.link,
        metadata: Metadata {
            created_at: Number::from(now.wall_ms),
            updated_at: Number::from(now.wall_ms),
            created_by: node_id.to_owned(),
            version: 0,
            writers: Writers::default(),
            labels: draft.labels,
            extra: Map::new(),
        },
        extra: Map::new(),
    }
}

/// One stamped write.
pub(super) fn write(soul: &str, field: &str, stamp: Stamp, value: Value) -> Write {
    Write {
        soul: soul.into(),
        field: field.into(),
        cell: Cell { stamp, value },
    }
}
