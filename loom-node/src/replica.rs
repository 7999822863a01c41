//! The node without IO: a mesh that holds the graph, and what makes records of it.
//!
//! [`Replica`] is a [`Machine`], run by loom-relay's driver. Whatever wins its merge, from a client
//! or from a peer, comes out of the mesh as [`Effect::Persist`] and takes one path from there:
//! index, feed, history, counters. Only acknowledgements wait for the store.

mod apply;
mod command;
mod legacy;
mod pen;
mod planted;
mod reload;
mod write;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use loom_relay::clock::{Mono, Now};
use loom_relay::graph::{Held, Root};
use loom_relay::machine::{Commit, Effect, Input, Machine};
use loom_relay::mesh::{LinkView, Mesh, MeshConfig, SyncPhase, SyncView};
use loom_relay::model::Stamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub use self::command::{Command, Digest, Outcome, Refused, Reply, Status, Wish, Written};
use crate::feed::{Feed, Follow, Limits};
use crate::history::History;
use crate::index::Index;
use crate::plant::{Plant, Saboteur};
use crate::record::Table;
use crate::record::id::IdSource;
use crate::stats::Stats;

/// The soul canaries are written under, one field per node.
pub const CANARY_SOUL: &str = "loom:canary";

/// What kind of replica.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// This node's name: in `createdBy`, and the field of its canary.
    pub node_id: Arc<str>,
    /// Also write the index souls that original LoomDB nodes answer filtered queries from.
    pub legacy_index: bool,
    /// Check signatures of user souls, and refuse what their owners did not sign.
    pub verify_sea: bool,
    /// How much the change feed remembers.
    pub feed: Limits,
    /// A fault to be found.
    pub plant: Option<Plant>,
    /// Makes ids and the feed's epoch; random, or fixed for a simulation.
    pub seed: u64,
}

/// One node's state.
#[derive(Debug)]
pub struct Replica {
    config: ReplicaConfig,
    mesh: Mesh,
    index: Index,
    feed: Feed,
    history: History,
    stats: Stats,
    ids: IdSource,
    /// Values under the record souls that are no records.
    foreign: BTreeSet<(Table, Arc<str>)>,
    /// Writes that wait for leave to be stamped.
    unstamped: VecDeque<Command>,
    /// Answers to writes, in order of the commits they wait for.
    waiting: VecDeque<(Commit, Acknowledge)>,
    issued: Commit,
    durable: Commit,
    /// Own changes that no other peer is known to hold, by the section of the mesh they were made
    /// in.
    unheld: BTreeMap<u64, usize>,
    /// The planted fault, if there is one.
    saboteur: Option<Saboteur>,
}

/// An answer that is ready but for the store.
#[derive(Debug)]
enum Acknowledge {
    One(Reply<Outcome>, Outcome),
    Many(Reply<Vec<Outcome>>, Vec<Outcome>),
    Canary(Reply<Result<Stamp, Refused>>, Stamp),
}

impl Acknowledge {
    fn send(self) {
        // Whoever asked may have hung up.
        match self {
            Self::One(reply, outcome) => drop(reply.send(outcome)),
            Self::Many(reply, outcomes) => drop(reply.send(outcomes)),
            Self::Canary(reply, stamp) => drop(reply.send(Ok(stamp))),
        }
    }

    /// Says that it is not known whether what came true will last.
    fn send_unsure(self, why: &Refused) {
        let unsure = |outcome: Outcome| outcome.and(Err(why.clone()));
        match self {
            Self::One(reply, outcome) => drop(reply.send(unsure(outcome))),
            Self::Many(reply, outcomes) => {
                drop(reply.send(outcomes.into_iter().map(unsure).collect()));
            }
            Self::Canary(reply, _) => drop(reply.send(Err(why.clone()))),
        }
    }
}

impl Replica {
    /// A node that goes on from what its store has kept.
    pub fn new(config: ReplicaConfig, held: impl Into<Held>) -> Self {
        use rand::RngExt as _;
        let mut rng = StdRng::seed_from_u64(config.seed);
        let souls = Table::ALL.iter().map(|table| table.soul());
        let interest = souls.chain([CANARY_SOUL]).map(Into::into).collect();
        let mesh_config = MeshConfig {
            verifies_sea: config.verify_sea,
            ..MeshConfig::node(interest)
        };
        let mesh = Mesh::new(mesh_config, held, rng.random());
        let (index, foreign) = reload::index(mesh.graph());
        Self {
            feed: Feed::new(rng.random(), config.feed),
            saboteur: config.plant.map(Saboteur::new),
            config,
            mesh,
            index,
            history: History::default(),
            stats: Stats::default(),
            ids: IdSource::new(rng),
            foreign: foreign.into_iter().collect(),
            unstamped: VecDeque::new(),
            waiting: VecDeque::new(),
            issued: Commit(0),
            durable: Commit(0),
            unheld: BTreeMap::new(),
        }
    }

    /// Opens readers of the change feed.
    pub fn follow(&self) -> Follow {
        self.feed.follow()
    }

    /// What a simulator looks into.
    #[cfg(feature = "sim")]
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    fn on_command(&mut self, command: Command, now: Now, effects: &mut Vec<Effect>) {
        // Reads answer at once; whoever asked may have hung up.
        match command {
            Command::Write(..) | Command::WriteMany(..) | Command::Canary(..) => {
                self.on_writing(command, now, effects);
            }
            Command::Get(table, id, reply) => {
                let lie = self.lie(table, &id);
                let _ = reply.send(lie.or_else(|| self.index.get(table, &id)));
            }
            Command::List(query, reply) => drop(reply.send(self.index.list(&query))),
            Command::Digest(reply) => drop(reply.send(self.digest())),
            Command::Status(reply) => drop(reply.send(self.status())),
            Command::History(reply) => drop(reply.send(self.history.entries())),
            Command::ClearHistory(reply) => {
                self.history.clear();
                let _ = reply.send(());
            }
            Command::ResetStats(reply) => {
                self.stats = Stats::default();
                let _ = reply.send(());
            }
        }
    }

    fn digest(&self) -> Digest {
        let mut root = Root::default();
        for table in Table::ALL {
            root.add(self.mesh.graph().soul_root(table.soul()));
        }
        Digest {
            hex: root.hex(),
            nodes: self.index.len(Table::Nodes),
            edges: self.index.len(Table::Edges),
            deferred: self.mesh.deferred().count,
        }
    }

    fn status(&self) -> Status {
        Status {
            stats: self.stats.clone(),
            nodes: self.index.len(Table::Nodes),
            edges: self.index.len(Table::Edges),
            dangling: self.index.dangling(),
            foreign: self.foreign.len(),
            history: self.history.len(),
            readers: self.feed.readers(),
            deferred: self.mesh.deferred(),
            unheld: self.unheld.values().sum(),
            unstamped: self.unstamped.len(),
            stalled: self.mesh.stalled().cloned(),
            catch_up: self.catch_up(),
            commits_waiting: (self.issued.0 - self.durable.0) as usize,
            mesh: self.mesh.counters().entries(),
        }
    }

    /// Answers with `ready` once everything up to `commit` is durable.
    fn acknowledge(&mut self, commit: Option<Commit>, ready: Acknowledge) {
        match commit {
            Some(commit) if commit > self.durable => self.waiting.push_back((commit, ready)),
            _ => ready.send(),
        }
    }

    fn on_committed(&mut self, commit: Commit) {
        self.durable = self.durable.max(commit);
        let ready = self
            .waiting
            .partition_point(|(after, _)| *after <= self.durable);
        self.waiting
            .drain(..ready)
            .for_each(|(_, ready)| ready.send());
    }

    /// Nothing can be stored: those who wait for that are told, and need not wait longer.
    fn on_stalled(&mut self, why: &Arc<str>) {
        let unsure = Refused::Unsure(Arc::clone(why));
        self.waiting
            .drain(..)
            .for_each(|(_, ready)| ready.send_unsure(&unsure));
        self.refuse_unstamped(&Refused::Stalled(Arc::clone(why)));
    }

    /// Forgets own changes that another peer is known to hold by now.
    fn note_held(&mut self) {
        // gun.js is told everything when it is dialled, and nothing comes back that could be
        // waited for.
        if self.mesh.links().any(|link| link.is_loom == Some(false)) {
            self.unheld.clear();
        }
        self.unheld = self.unheld.split_off(&self.mesh.sections_held());
    }

    /// The link that is furthest behind.
    fn catch_up(&self) -> SyncView {
        let loom = self.mesh.links().filter(|link| link.is_loom == Some(true));
        let views = loom.map(|LinkView { sync, .. }| sync);
        let rank = |view: &SyncView| match view.phase {
            SyncPhase::Failed => 0,
            SyncPhase::Comparing => 1,
            SyncPhase::Finding | SyncPhase::Moving | SyncPhase::Copying => 2,
            SyncPhase::Differing => 3,
            SyncPhase::Agreed | SyncPhase::None => 4,
        };
        let last = views.min_by_key(|view| (rank(view), view.percent()));
        last.unwrap_or_default()
    }
}

impl Machine for Replica {
    type Command = Command;

    fn handle(&mut self, input: Input<Command>, now: Now, effects: &mut Vec<Effect>) {
        let news = effects.len();
        let input = match input {
            Input::Command(command) => return self.on_command(command, now, effects),
            Input::Heard { peer, frame } => match self.censored(peer, frame, now) {
                Some(frame) => Input::Heard { peer, frame },
                None => return,
            },
            Input::PeerUp { peer, side } => Input::PeerUp { peer, side },
            Input::PeerDown { peer } => Input::PeerDown { peer },
            Input::Committed(commit) => {
                self.on_committed(commit);
                Input::Committed(commit)
            }
            Input::Oversized { peer } => Input::Oversized { peer },
            Input::Stalled(why) => {
                self.on_stalled(&why);
                Input::Stalled(why)
            }
            Input::Resumed => Input::Resumed,
            Input::Deadline => Input::Deadline,
        };
        self.mesh.handle(input, now, effects);
        self.absorb(now, news, effects);
        self.stamp_waiting(now, effects);
        self.resurrect(now, effects);
        self.deliver_late(now, effects);
        if !self.unheld.is_empty() {
            self.note_held();
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let late = self.saboteur.as_ref().and_then(Saboteur::due);
        [self.mesh.deadline(), late].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
