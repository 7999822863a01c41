//! What the rest of the process may ask of a replica, and what it answers.
//!
//! Reads are answered at once. Writes are answered when they are as durable as the node promises;
//! if the node stops before that, the reply is dropped and nobody knows.

use std::sync::Arc;

use loom_relay::mesh::DeferredView;
use loom_relay::mesh::SyncView;
use loom_relay::model::Stamp;
use loom_relay::wire::BadPut;
use tokio::sync::oneshot;

use super::pen::UNSTAMPED_MAX;
use crate::feed::Event;
use crate::index::{Found, Page, Query};
use crate::record::Table;
use crate::record::draft::Draft;
use crate::record::invalid::Invalid;
use crate::record::patch::Patch;
use crate::stats::Stats;

/// Where an answer goes. The asker may have left, which is no concern of the replica.
pub type Reply<T> = oneshot::Sender<T>;

/// One request.
#[derive(Debug)]
pub enum Command {
    /// Change one record.
    Write(Wish, Reply<Outcome>),
    /// Change several; they become durable together, each is answered by itself, in order.
    WriteMany(Vec<Wish>, Reply<Vec<Outcome>>),
    /// Show one record.
    Get(Table, String, Reply<Option<Found>>),
    /// List records.
    List(Query, Reply<Page>),
    /// Write this node's canary; answered with its stamp when durable.
    Canary(String, Reply<Result<Stamp, Refused>>),
    /// Fingerprint the graph.
    Digest(Reply<Digest>),
    /// Counters and sizes.
    Status(Reply<Status>),
    /// The newest changes, oldest first.
    History(Reply<Vec<Arc<Event>>>),
    /// Forget the history.
    ClearHistory(Reply<()>),
    /// Set the counters to zero.
    ResetStats(Reply<()>),
}

/// A change somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Create a record, or replace it; with `if_absent` only create.
    Put {
        /// What it is to say.
        draft: Draft,
        /// Refuse when there is one.
        if_absent: bool,
    },
    /// Change parts of a record.
    Patch {
        /// Where.
        table: Table,
        /// Which.
        id: String,
        /// How.
        patch: Patch,
    },
    /// Take a record away.
    Delete {
        /// Where.
        table: Table,
        /// Which.
        id: String,
    },
}

/// How a wish ended.
pub type Outcome = Result<Written, Refused>;

/// A wish that came true.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// There was none before.
    Created(Found),
    /// There was one before.
    Replaced(Found),
    /// It is gone.
    Deleted {
        /// Which.
        id: String,
        /// The tombstone's stamp.
        stamp: Stamp,
    },
}

/// Why a wish did not come true; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It was to be created only if absent.
    #[error("{} \"{id}\" exists already: leave out if_absent (or If-None-Match) to replace it", .table.noun())]
    Exists {
        /// Where.
        table: Table,
        /// Which.
        id: String,
    },
    /// There is nothing to change.
    #[error("{} \"{id}\" does not exist on this node: create it with POST /{table}, or wait if another node just wrote it", .table.noun())]
    Missing {
        /// Where.
        table: Table,
        /// Which.
        id: String,
    },
    /// Too many writes wait already.
    #[error(
        "nothing was written: {UNSTAMPED_MAX} writes wait for the disk already; try again in a moment"
    )]
    Busy,
    /// The store takes nothing.
    #[error(
        "nothing was written, because nothing can be stored ({0}): free space or mend the disk, then try again"
    )]
    Stalled(Arc<str>),
    /// It was written, and then could not be stored.
    #[error(
        "the write is in memory and is not stored yet ({0}): it will be when there is room, unless the node ends before that; read it back then"
    )]
    Unsure(Arc<str>),
    /// The result would not be a record.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No peer would take it, so it is not kept here either.
    #[error("nothing was written, because no peer would take it: {0}")]
    Unwritable(#[from] BadPut),
}

/// A fingerprint of all records; equal on replicas that hold the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// 64 hex digits over every (soul, field, state, value), deletions included.
    pub hex: String,
    /// Vertices that can be listed.
    pub nodes: usize,
    /// Edges that can be listed.
    pub edges: usize,
    /// Writes from the future, waiting for this node's clock.
    pub deferred: usize,
}

/// How a replica is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// What it has done.
    pub stats: Stats,
    /// Vertices that can be listed.
    pub nodes: usize,
    /// Edges that can be listed.
    pub edges: usize,
    /// Edges with a missing end.
    pub dangling: usize,
    /// Values under the record souls that are no records.
    pub foreign: usize,
    /// Entries of the history.
    pub history: usize,
    /// Followers of the change feed.
    pub readers: usize,
    /// Writes from the future, waiting for this node's clock.
    pub deferred: DeferredView,
    /// Own changes of this process that no other peer is known to hold.
    pub unheld: usize,
    /// Writes that wait until they may be stamped.
    pub unstamped: usize,
    /// Why nothing can be stored at the moment.
    pub stalled: Option<Arc<str>>,
    /// How far reconciliation is, on the link that is furthest behind.
    pub catch_up: SyncView,
    /// Commits not yet durable.
    pub commits_waiting: usize,
    /// What the mesh counts: name, meaning, total.
    pub mesh: Vec<(&'static str, &'static str, u64)>,
}
