//! Where changes are kept: a small blocking trait, and its promises.

pub mod disk;
mod marker;
pub mod memory;
mod read;
mod row;
mod space;
mod tally;
pub mod thread;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::graph::Held;
use crate::machine::{Batch, Deferral};
use crate::metrics::Counter;
use crate::model::{Change, Write};

/// A place that keeps the winning write of every field, and what waits for the clock.
///
/// Plain and blocking: the driver gives it a thread of its own. `tests/store_contract.rs` holds
/// every implementation to these promises.
pub trait Store: Send + fmt::Debug {
    /// Reads everything that is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when something held cannot be read; never a silent part of the truth.
    fn load(&mut self) -> Result<Held, StoreError>;

    /// Has [`Store::load`] say how far it is, and end early when nobody wants it any more. A store
    /// that is read in no time need not.
    fn watch_load(&mut self, reading: Arc<Reading>) {
        let _ = reading;
    }

    /// Keeps the batch, whole or not at all. When this returns, it survives what [`Durability`]
    /// promises.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the batch may not have been kept; the caller must not acknowledge it. If
    /// the error is passing, it may be given again, with more.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// The process ends in order, and everything it issued is kept: nobody needs its lease any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the lease may still be there, which costs the next start a moment.
    fn release(&mut self) -> Result<(), StoreError>;

    /// What a batch survives once [`Store::commit`] has returned. [`Durability::None`] makes the
    /// driver report commits before they are carried out.
    fn durability(&self) -> Durability;
}

/// How far a store has been read.
#[derive(Debug, Default)]
pub struct Reading {
    entries: Counter,
    is_over: AtomicBool,
}

impl Reading {
    /// Entries read so far.
    pub fn entries(&self) -> u64 {
        self.entries.get()
    }

    /// Nobody waits for it any more.
    pub fn give_up(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Counts an entry.
    ///
    /// # Errors
    ///
    /// [`StoreError`] once it was given up.
    pub fn one_more(&self) -> Result<(), StoreError> {
        if self.is_over.load(Relaxed) {
            return Err(StoreError::new("reading the store", "told to stop"));
        }
        self.entries.up();
        Ok(())
    }
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Durability {
    /// Loss of power: acknowledged after fsync.
    #[default]
    Sync,
    /// Loss of the process: handed to the operating system.
    Os,
    /// Nothing: acknowledged at once, written when the disk gets to it.
    None,
}

impl fmt::Display for Durability {
    /// As the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sync => "sync",
            Self::Os => "os",
            Self::None => "none",
        })
    }
}

/// For whoever has to do something about a store that is stalled, for the reason it gives.
pub fn stalled_sentence(why: &str) -> String {
    format!(
        "nothing can be stored ({why}): reads go on, writes are refused; free space or mend the \
         disk, and it goes on by itself"
    )
}

/// Why the store could not keep or read something.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct StoreError {
    /// What was being done, and to which path.
    pub doing: String,
    /// What went wrong.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
    /// Whether the same may succeed later, as when a disk is full. Never after a failed fsync: the
    /// kernel may have dropped the very pages that could not be written, and report success the
    /// next time.
    pub passing: bool,
}

impl StoreError {
    /// `doing` names the action and the path.
    pub fn new(
        doing: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            doing: doing.into(),
            cause: cause.into(),
            passing: false,
        }
    }

    /// The same may succeed later.
    #[must_use]
    pub fn passing(self) -> Self {
        Self {
            passing: true,
            ..self
        }
    }

    fn thread_ended() -> Self {
        Self::new("storing", "the store's thread ended unexpectedly")
    }
}

/// About what a batch costs in memory.
fn weight(batch: &Batch) -> usize {
    let changes = batch.changes.iter().map(|Change { write, was, .. }| {
        let was = was.as_ref().map_or(0, |was| was.value.json().len());
        size_of::<Change>() + text_bytes(write) + was
    });
    let deferrals = batch.deferrals.iter().map(|deferral| {
        let (Deferral::Waits(write) | Deferral::Over(write)) = deferral;
        size_of::<Deferral>() + text_bytes(write)
    });
    changes.chain(deferrals).sum()
}

fn text_bytes(write: &Write) -> usize {
    write.soul.len() + write.field.len() + write.cell.value.json().len()
}
