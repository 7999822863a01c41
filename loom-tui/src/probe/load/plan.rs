//! Which operation comes next: a seeded choice that never looks at answers.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value};

use super::{Load, Pace};
use crate::client::{Key, NewEdge, NewVertex, WriteOp};
use crate::cluster::Member;

/// One operation of a load.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadOp {
    /// A write.
    Write(WriteOp),
    /// A look at a record written a short while ago.
    Read(Key),
}

/// How often each kind of operation is made, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// New vertices.
    pub create: u32,
    /// Replacements of vertices made before.
    pub update: u32,
    /// Deletions of vertices made before.
    pub delete: u32,
    /// New edges between vertices made before.
    pub edge: u32,
    /// Reads of vertices written a short while ago. A client of a closed loop reads its own; an
    /// open loop reads half of them at the node they were written to, half of them at another.
    pub read: u32,
}

impl Default for Mix {
    /// Only creates.
    fn default() -> Self {
        Self {
            create: 1,
            update: 0,
            delete: 0,
            edge: 0,
            read: 0,
        }
    }
}

/// Makes up one stream of writes.
#[derive(Debug)]
pub struct Planner {
    rng: StdRng,
    mix: Mix,
    payload_bytes: usize,
    id_prefix: String,
    made: u64,
    /// Vertices made and not deleted, by where; the newest last.
    pools: BTreeMap<Member, VecDeque<String>>,
    /// Vertices written last, deletions included, by where; the newest last.
    recent: BTreeMap<Member, VecDeque<String>>,
    /// How many of the newest are left alone: their creation may still be under way, and a write
    /// that overtakes it would be refused for a reason that is ours.
    spared: usize,
}

/// Vertices kept for later writes, per node.
const POOL_MAX: usize = 10_000;
/// Vertices kept for reads, per node: few, so that each is read several times while it changes.
const RECENT_MAX: usize = 16;
/// Seconds of an open loop's newest vertices that are left alone: far more than an answer takes
/// when nothing is wrong, and little enough that a short load is mixed too. When something is
/// wrong, a deletion may overtake its creation and be refused, and is counted so.
const SPARED_S: f64 = 0.25;

impl Planner {
    /// The `stream`th stream of a load.
    pub fn new(load: &Load, stream: u64) -> Self {
        let spared = match load.pace {
            Pace::Open { per_s } => {
                (per_s * SPARED_S / load.origins.len().max(1) as f64).ceil() as usize
            }
            // Each client has a stream of its own and waits for every answer.
            Pace::Closed { .. } => 0,
        };
        Self {
            // Streams of one seed must not repeat each other.
            rng: StdRng::seed_from_u64(load.seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            mix: load.mix,
            payload_bytes: load.payload_bytes,
            id_prefix: format!("{}-{stream:x}", load.id_prefix),
            made: 0,
            pools: BTreeMap::new(),
            recent: BTreeMap::new(),
            spared: spared.min(POOL_MAX / 2),
        }
    }

    /// The next operation for a node. Updates and deletions are of vertices made at the same node.
    pub fn next(&mut self, origin: Member) -> LoadOp {
        self.made += 1;
        let Mix {
            create,
            update,
            delete,
            edge,
            read,
        } = self.mix;
        // Wide enough for any five weights.
        let [create, update, delete, edge, read] =
            [create, update, delete, edge, read].map(u64::from);
        let sum = create + update + delete + edge + read;
        let choice = self.rng.random_range(0..sum.max(1));
        if choice < read
            && let Some(key) = self.read(origin)
        {
            return LoadOp::Read(key);
        }
        let choice = choice.saturating_sub(read);
        let planned = if choice < update {
            self.update(origin)
        } else if choice < update + delete {
            self.delete(origin)
        } else if choice < update + delete + edge {
            self.edge(origin)
        } else {
            None
        };
        // With nothing old enough to write again, something new is made.
        LoadOp::Write(planned.unwrap_or_else(|| self.create(origin)))
    }

    fn read(&mut self, origin: Member) -> Option<Key> {
        let at_home = self.rng.random_bool(0.5);
        let of: Vec<_> = (self.recent.iter())
            .filter(|(member, _)| (**member == origin) == at_home)
            .flat_map(|(_, ids)| ids)
            .collect();
        // With nothing written elsewhere, what was written here will do.
        let of = match of.is_empty() {
            true => self.recent.values().flatten().collect(),
            false => of,
        };
        let chosen = (!of.is_empty()).then(|| self.rng.random_range(0..of.len()))?;
        Some(Key::vertex(of[chosen]))
    }

    fn update(&mut self, origin: Member) -> Option<WriteOp> {
        let at = self.pick(origin)?;
        let id = self.pools[&origin][at].clone();
        self.remember(origin, &id);
        Some(WriteOp::PutVertex(id, self.body(None)))
    }

    fn delete(&mut self, origin: Member) -> Option<WriteOp> {
        let at = self.pick(origin)?;
        let id = self.pools.get_mut(&origin)?.remove(at)?;
        self.remember(origin, &id);
        Some(WriteOp::DeleteVertex(id))
    }

    /// Something to be read, if anything is.
    fn remember(&mut self, origin: Member, id: &str) {
        if self.mix.read == 0 {
            return;
        }
        let recent = self.recent.entry(origin).or_default();
        recent.retain(|known| known != id);
        recent.push_back(id.to_owned());
        if recent.len() > RECENT_MAX {
            recent.pop_front();
        }
    }

    fn edge(&mut self, origin: Member) -> Option<WriteOp> {
        let (from, to) = (self.pick(origin)?, self.pick(origin)?);
        let pool = &self.pools[&origin];
        Some(WriteOp::CreateEdge(NewEdge {
            id: Some(format!("{}-e{:x}", self.id_prefix, self.made)),
            from: Some(pool[from].clone()),
            to: Some(pool[to].clone()),
            kind: Some("custom".to_owned()),
            ..NewEdge::default()
        }))
    }

    fn create(&mut self, origin: Member) -> WriteOp {
        let id = format!("{}-{:x}", self.id_prefix, self.made);
        let body = self.body(Some(id.clone()));
        self.remember(origin, &id);
        if self.mix.update > 0 || self.mix.delete > 0 || self.mix.edge > 0 {
            let pool = self.pools.entry(origin).or_default();
            pool.push_back(id);
            if pool.len() > POOL_MAX {
                pool.pop_front();
            }
        }
        WriteOp::CreateVertex(body)
    }

    /// The place of a vertex old enough to be written again.
    fn pick(&mut self, origin: Member) -> Option<usize> {
        let settled = self.pools.get(&origin)?.len().checked_sub(self.spared)?;
        (settled > 0).then(|| self.rng.random_range(0..settled))
    }

    fn body(&mut self, id: Option<String>) -> NewVertex {
        let payload: String = (0..self.payload_bytes)
            .map(|_| char::from(self.rng.random_range(b'a'..=b'z')))
            .collect();
        let mut properties = Map::new();
        properties.insert("n".to_owned(), Value::from(self.made));
        properties.insert("payload".to_owned(), Value::from(payload));
        NewVertex {
            id,
            kind: Some("custom".to_owned()),
            properties: Some(properties),
        }
    }
}
