//! A store on disk: one row per field in a `fjall` database, and the refusal to start on less than
//! what was once stored.
//!
//! ```text
//! <data-dir>/db/          the database
//!   keyspace "fields"     the winning write of every field, encoded as `row` says
//!   keyspace "deferred"   writes that wait for the clock
//!   keyspace "meta"       "commits" = commits so far (u64 BE), written with every commit
//!                         "root" = the sum of the hashes of all fields, written with every commit
//!                         "waiting" = the same of all writes that wait for the clock
//!                         "lease" = stamps up to here may have been issued (f64 BE); absent after
//!                         an orderly end
//! <data-dir>/loom-store   the marker: format version, and commits that must be there
//! <data-dir>/loom-commits the tally: how many commits there were when the process died
//! ```
//!
//! The one door is [`DiskStore::open`].

mod deferred;
mod journals;
mod open;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{PersistMode, Slice};

use super::marker::Marker;
use super::tally::{Counted, Tally};
use super::{Durability, Reading, Store, StoreError, read, row, space, weight};
use crate::graph::{Held, Root};
use crate::machine::Batch;
use crate::model::{Change, Stamp, Write};

use self::journals::Journals;
use self::open::{COMMITS, DATABASE, Opened, Prepare, ROOT, Unusable, WAITING, guarded, prepare};

/// Keeps every field in a database of its own directory.
pub struct DiskStore {
    directory: PathBuf,
    /// Closed after a failed write: the database takes nothing more then until it is opened afresh.
    opened: Option<Opened>,
    journals: Journals,
    durability: Durability,
    /// Room that is left on the disk.
    spare_bytes: u64,
    /// Whether the disk was full since the last commit.
    was_full: bool,
    /// How many commits were carried out.
    commits: u64,
    /// What the fields come to after those.
    root: Option<Root>,
    marker: Marker,
    tally: Tally,
    reading: Arc<Reading>,
}

/// Why the process has to end.
#[derive(Debug, thiserror::Error)]
#[error(
    "the disk failed at fsync ({0}): the system may have dropped what could not be written, and \
     would not say so a second time; what was acknowledged before is on disk: check the disk, then \
     start again"
)]
struct Unsynced(Box<dyn std::error::Error + Send + Sync>);

/// The database has given up, and does not say why.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database's own thread could not write ({0}), and the disk is not full: what was \
     acknowledged before is on disk: check the disk, then start again"
)]
struct GaveUp(fjall::Error);

impl DiskStore {
    /// Opens the store in `directory`, creating it if it is empty or missing.
    ///
    /// # Errors
    ///
    /// [`StoreError`], naming the directory and what to do, when another process uses it, when it
    /// holds something else, or when less can be read than was once stored.
    pub fn open(directory: &Path, durability: Durability) -> Result<Self, StoreError> {
        let refuse = |cause: Unusable| {
            StoreError::new(
                format!("opening the data directory {}", directory.display()),
                cause,
            )
        };
        let marker = prepare(directory).map_err(|cause| match cause {
            Prepare::Unusable(cause) => refuse(cause),
            Prepare::Io(doing, cause) => StoreError::new(doing, cause),
        })?;
        let journals = Journals::open(directory.join(DATABASE)).map_err(Unusable::Io);
        let mut journals = journals.map_err(refuse)?;
        // With less durability more may be in memory than on disk, and counts.
        if durability == Durability::Sync {
            let forgotten = journals.forget_what_is_cached().map_err(Unusable::Io);
            forgotten.map_err(refuse)?;
        }
        let opened = Opened::open(directory).map_err(refuse)?;
        let followed = journals.follow().map_err(Unusable::Io);
        followed.map_err(refuse)?;
        let (commits, root) = (opened.commits, opened.root);
        let io = |doing: &str| {
            let doing = format!("{doing} {}", directory.join(Tally::FILE).display());
            move |cause| StoreError::new(doing, cause)
        };
        match Tally::read(directory).map_err(io("reading"))? {
            Counted::AtLeast(expected) if commits < expected => {
                let found = commits;
                return Err(refuse(Unusable::Lost { expected, found }));
            }
            Counted::Garbled => return Err(refuse(Unusable::Uncounted(Tally::FILE))),
            Counted::AtLeast(_) | Counted::Nothing => {}
        }
        let marker = match marker {
            Some(marker) if commits < marker.commits_min => {
                return Err(refuse(Unusable::Lost {
                    expected: marker.commits_min,
                    found: commits,
                }));
            }
            Some(marker) => marker,
            None if commits > 0 => return Err(refuse(Unusable::MarkerGone(Marker::FILE))),
            None => {
                // Only now: a marker promises that there is a database to go with it.
                let marker = Marker::default();
                marker.write(directory)?;
                marker
            }
        };
        let tally = Tally::open(directory, commits).map_err(io("writing"))?;
        Ok(Self {
            directory: directory.to_owned(),
            opened: Some(opened),
            journals,
            durability,
            spare_bytes: space::SPARE_BYTES,
            was_full: false,
            commits,
            root,
            marker,
            tally,
            reading: Arc::default(),
        })
    }

    /// Writes until less than this is free on the disk. The default is what the database needs for
    /// itself, so that a write seldom breaks off in the middle.
    #[must_use]
    pub fn sparing(mut self, spare_bytes: u64) -> Self {
        self.spare_bytes = spare_bytes;
        self
    }

    /// Raises the number of commits without which the store refuses to open, once they are on disk.
    fn promise(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        let marker = Marker {
            commits_min: self.commits,
        };
        // Written afresh as a whole whenever it is tried again.
        marker.write(&self.directory).map_err(StoreError::passing)?;
        self.marker = marker;
        Ok(())
    }

    fn read_all(&self) -> Result<Held, StoreError> {
        let rows = self.opened()?.fields.iter().map(|entry| self.read(entry));
        let graph = read::fields(rows, |key| self.garbled("field", key))?;
        if let Some(expected) = self.root {
            self.compare("fields", expected, graph.root())?;
        }
        let mut held = Held::from(graph);
        held.lease = self.lease()?;
        for entry in self.opened()?.deferred.iter() {
            let (key, value) = self.read(entry)?;
            let write = row::decode_deferred(&key, &value)
                .ok_or_else(|| self.garbled("deferred write", &key))?;
            held.deferred.push(write);
        }
        let found = deferred::sum(&held.deferred);
        self.compare("deferred writes", self.opened()?.waiting, found)?;
        Ok(held)
    }

    fn compare(&self, what: &str, expected: Root, found: Root) -> Result<(), StoreError> {
        if expected == found {
            return Ok(());
        }
        let (expected, found) = (expected.count(), found.count());
        let damage = format!(
            "what can be read is not what was stored: {found} {what}, of {expected}, with another \
             fingerprint"
        );
        Err(self.failed("reading", Unusable::Damaged(damage)))
    }

    fn opened(&self) -> Result<&Opened, StoreError> {
        let closed = "it was closed after a failed write";
        let opened = self.opened.as_ref();
        opened.ok_or_else(|| self.failed("using", closed).passing())
    }

    /// Opens the database if it was closed after a failed write.
    fn reopen(&mut self) -> Result<(), StoreError> {
        if self.opened.is_some() {
            return Ok(());
        }
        // A try before this one may have written too.
        self.sync_journals()?;
        let opened = Opened::open(&self.directory).map_err(|cause| {
            let passing = matches!(cause, Unusable::Io(_));
            let error = self.failed("opening afresh", cause);
            StoreError { passing, ..error }
        })?;
        if opened.commits < self.commits {
            let lost = Unusable::Lost {
                expected: self.commits,
                found: opened.commits,
            };
            return Err(self.failed("opening afresh", lost));
        }
        self.commits = opened.commits;
        self.opened = Some(opened);
        Ok(())
    }

    /// Hands the entries of a batch to the operating system, and no further.
    fn hand_over(&mut self, batch: &Batch, commits: u64, root: Option<Root>) -> fjall::Result<()> {
        let Some(Opened {
            database,
            fields: in_fields,
            deferred: in_deferred,
            meta: in_meta,
            waiting,
            ..
        }) = &mut self.opened
        else {
            return Err(fjall::Error::Poisoned);
        };
        // Within one batch of the database all entries are equally old, so which of two writes to
        // one key wins would be chance: only the last goes in.
        let fields: BTreeMap<_, _> = batch
            .changes
            .iter()
            .map(|Change { write, .. }| ((&write.soul, &write.field), &write.cell))
            .collect();
        let mut entries = database.batch();
        for ((soul, field), cell) in fields {
            let (key, value) = row::encode(soul, field, cell);
            entries.insert(in_fields, key, value);
        }
        let waiting_then = deferred::put(&mut entries, in_deferred, &batch.deferrals, *waiting)?;
        entries.insert(in_meta, WAITING, waiting_then.to_row());
        if let Some(lease) = batch.lease {
            entries.insert(in_meta, LEASE, lease.ms().to_be_bytes());
        }
        if let Some(root) = root {
            entries.insert(in_meta, ROOT, root.to_row());
        }
        entries.insert(in_meta, COMMITS, commits.to_be_bytes());
        entries.commit()?;
        *waiting = waiting_then;
        match self.durability {
            Durability::None => Ok(()),
            Durability::Os | Durability::Sync => database.persist(PersistMode::Buffer),
        }
    }

    /// A write failed. The database takes nothing more, and what it has of the batch is unknown; it
    /// is opened afresh with the next try, which writes the whole batch again. That is right only if
    /// what it reads then is on disk: what kind of error it was says nothing about that, an fsync does.
    fn unwritten(&mut self, cause: fjall::Error) -> StoreError {
        self.opened = None;
        if let Err(dropped) = self.sync_journals() {
            return dropped;
        }
        self.was_full |= matches!(
            space::check(&self.directory, space::SPARE_BYTES),
            Ok(Err(_))
        );
        match cause {
            fjall::Error::Io(cause) => self.failed("writing to", cause).passing(),
            // Its own thread has failed: for lack of room, or for all that is known at an fsync.
            other if self.was_full => self.failed("writing to", other).passing(),
            other => self.failed("writing to", GaveUp(other)),
        }
    }

    /// Returns once everything that was handed over is on disk.
    fn sync(&mut self) -> Result<(), StoreError> {
        let handed = self.opened()?.database.persist(PersistMode::Buffer);
        // Where the database's own thread has failed, that may have been at an fsync.
        handed.map_err(|cause| self.failed("writing to", Unsynced(cause.into())))?;
        self.sync_journals()
    }

    fn sync_journals(&mut self) -> Result<(), StoreError> {
        let synced = self.journals.sync();
        synced.map_err(|cause| self.failed("writing to", Unsynced(cause.into())))
    }

    fn read(&self, entry: fjall::Guard) -> Result<(Slice, Slice), StoreError> {
        self.reading.one_more()?;
        let entry = entry.into_inner();
        entry.map_err(|cause| {
            let damage = format!("an entry cannot be read ({cause})");
            self.failed("reading", Unusable::Damaged(damage))
        })
    }

    fn lease(&self) -> Result<Option<Stamp>, StoreError> {
        let lease = self.opened()?.meta.get(LEASE);
        let Some(bytes) = lease.map_err(|cause| self.failed("reading", cause))? else {
            return Ok(None);
        };
        let stamp = <[u8; 8]>::try_from(&*bytes).ok();
        let stamp = stamp.and_then(|bytes| Stamp::new(f64::from_be_bytes(bytes)));
        stamp
            .map(Some)
            .ok_or_else(|| self.garbled("meta", LEASE.as_bytes()))
    }

    fn garbled(&self, what: &str, key: &[u8]) -> StoreError {
        let key = String::from_utf8_lossy(key);
        let damage = format!("the entry of {what} {key:?} is garbled");
        self.failed("reading", Unusable::Damaged(damage))
    }

    fn failed(
        &self,
        doing: &str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::new(
            format!("{doing} the store in {}", self.directory.display()),
            cause,
        )
    }
}

impl Store for DiskStore {
    fn load(&mut self) -> Result<Held, StoreError> {
        let held = guarded(|| self.read_all());
        let held = held.unwrap_or_else(|damage| Err(self.failed("reading", damage)))?;
        self.root = Some(held.graph.root());
        Ok(held)
    }

    fn watch_load(&mut self, reading: Arc<Reading>) {
        self.reading = reading;
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let needed = self.spare_bytes.saturating_add(weight(batch) as u64);
        let room = space::check(&self.directory, needed);
        let room = room.map_err(|cause| self.failed("looking at the disk of", cause).passing())?;
        if let Err(full) = room {
            self.was_full = true;
            return Err(self.failed("writing to", full).passing());
        }
        self.reopen()?;
        let commits = self.commits + 1;
        // A batch that has to be written again was not counted in.
        let root = self.root.map(|root| after(root, batch));
        self.hand_over(batch, commits, root)
            .map_err(|cause| self.unwritten(cause))?;
        if self.durability == Durability::Sync {
            self.sync()?;
        }
        let (handed, synced) = match self.durability {
            Durability::Sync => (commits, commits),
            Durability::Os => (commits, self.marker.commits_min),
            // They wait in this process.
            Durability::None => (self.marker.commits_min, self.marker.commits_min),
        };
        let noted = self.tally.note(handed, synced);
        noted.map_err(|cause| self.failed("counting a commit of", cause).passing())?;
        self.commits = commits;
        self.root = root;
        self.was_full = false;
        // From the first commit on, finding nothing means having lost something.
        if self.marker.commits_min == 0 {
            self.promise()?;
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), StoreError> {
        if self.lease()?.is_some() {
            let removed = self.opened()?.meta.remove(LEASE);
            removed.map_err(|cause| self.failed("writing to", cause))?;
            self.sync()?;
        }
        Ok(())
    }

    fn durability(&self) -> Durability {
        self.durability
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if self.opened.is_some()
            && self.commits > self.marker.commits_min
            && let Err(error) = self.promise()
        {
            tracing::error!(%error, "the store could not be closed cleanly");
        }
    }
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore")
            .field("directory", &self.directory)
            .field("durability", &self.durability)
            .field("commits", &self.commits)
            .finish_non_exhaustive()
    }
}

/// What fields come to after a batch.
fn after(mut root: Root, batch: &Batch) -> Root {
    for Change { write, was, .. } in &batch.changes {
        let Write { soul, field, cell } = write;
        if let Some(was) = was {
            root.subtract(Root::of(soul, field, was));
        }
        root.add(Root::of(soul, field, cell));
    }
    root
}

const LEASE: &str = "lease";
