//! A store on disk: one row per field in a `fjall` database, and the refusal to start on less than
//! what was once stored.
//!
//! ```text
//! <data-dir>/db/          the database
//!   keyspace "fields"     the winning write of every field, encoded as `row` says
//!   keyspace "deferred"   writes that wait for the clock
//!   keyspace "meta"       "commits" = commits so far (u64 BE), written with every commit
//!                         "lease" = stamps up to here may have been issued (f64 BE); absent after
//!                         an orderly end
//! <data-dir>/loom-store   the marker: format version, and commits that must be there
//! ```
//!
//! The one door is [`DiskStore::open`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Slice};

use super::marker::Marker;
use super::{Durability, Reading, Store, StoreError, read, row};
use crate::graph::Held;
use crate::machine::{Batch, Deferral};
use crate::model::{Change, Stamp};

/// Keeps every field in a database of its own directory.
pub struct DiskStore {
    directory: PathBuf,
    database: Database,
    fields: Keyspace,
    deferred: Keyspace,
    meta: Keyspace,
    durability: Durability,
    commits: u64,
    marker: Marker,
    reading: Arc<Reading>,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(
        "another process is using it; stop that one, or give this one a directory of its own \
         (--data-dir)"
    )]
    Locked,
    #[error("there are files in it but no Loom store; use an empty or new directory (--data-dir)")]
    Foreign,
    #[error(
        "its marker file is gone although the store is not empty; put {0} back, or move the \
         directory away to start empty"
    )]
    MarkerGone(&'static str),
    #[error(
        "{expected} commits were stored but only {found} can be read: part of it is missing or \
         damaged; restore a copy, or move the directory away to start empty and fetch the rest \
         from the peers"
    )]
    Lost { expected: u64, found: u64 },
    #[error("{0}; restore a copy, or move the directory away to start empty")]
    Damaged(String),
}

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
        let damaged = |cause: fjall::Error| {
            refuse(match cause {
                fjall::Error::Locked => Unusable::Locked,
                other => Unusable::Damaged(format!("the database cannot be opened ({other})")),
            })
        };
        let database = Database::builder(directory.join(DATABASE))
            // The whole graph lives in memory already; the database is read once, at start.
            .cache_size(CACHE_BYTES)
            .max_cached_files(Some(FILES_MAX))
            .worker_threads(1)
            .max_journaling_size(JOURNAL_BYTES)
            .manual_journal_persist(true)
            .open()
            .map_err(damaged)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let fields = database.keyspace("fields", options).map_err(damaged)?;
        let deferred = database.keyspace("deferred", options).map_err(damaged)?;
        let meta = database.keyspace("meta", options).map_err(damaged)?;
        let commits = match meta.get(COMMITS).map_err(damaged)? {
            Some(bytes) => <[u8; 8]>::try_from(&*bytes)
                .map(u64::from_be_bytes)
                .map_err(|_| refuse(Unusable::Damaged("its commit count is garbled".into())))?,
            None => 0,
        };
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
        Ok(Self {
            directory: directory.to_owned(),
            database,
            fields,
            deferred,
            meta,
            durability,
            commits,
            marker,
            reading: Arc::default(),
        })
    }

    /// Raises the number of commits without which the store refuses to open, once they are on disk.
    fn promise(&mut self) -> Result<(), StoreError> {
        self.persist(PersistMode::SyncAll)?;
        self.marker.commits_min = self.commits;
        self.marker.write(&self.directory)
    }

    fn read(&self, entry: fjall::Guard) -> Result<(Slice, Slice), StoreError> {
        self.reading.one_more()?;
        let entry = entry.into_inner();
        entry.map_err(|cause| self.failed("reading", cause))
    }

    fn lease(&self) -> Result<Option<Stamp>, StoreError> {
        let lease = self.meta.get(LEASE);
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

    fn persist(&self, mode: PersistMode) -> Result<(), StoreError> {
        self.database
            .persist(mode)
            .map_err(|cause| self.failed("writing to", cause))
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
        let rows = self.fields.iter().map(|entry| self.read(entry));
        let graph = read::fields(rows, |key| self.garbled("field", key))?;
        let mut held = Held::from(graph);
        held.lease = self.lease()?;
        for entry in self.deferred.iter() {
            let (key, value) = self.read(entry)?;
            let write = row::decode_deferred(&key, &value)
                .ok_or_else(|| self.garbled("deferred write", &key))?;
            held.deferred.push(write);
        }
        Ok(held)
    }

    fn watch_load(&mut self, reading: Arc<Reading>) {
        self.reading = reading;
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        // Within one batch of the database all entries are equally old, so which of two writes to
        // one key wins would be chance: only the last goes in.
        let fields: BTreeMap<_, _> = batch
            .changes
            .iter()
            .map(|Change { write, .. }| ((&write.soul, &write.field), &write.cell))
            .collect();
        let deferrals = batch.deferrals.iter().map(|deferral| match deferral {
            Deferral::Waits(write) => {
                let (key, value) = row::encode_deferred(write);
                (key, Some(value))
            }
            Deferral::Over(write) => (row::encode_deferred(write).0, None),
        });
        let deferrals: BTreeMap<_, _> = deferrals.collect();
        let mut entries = self.database.batch().durability(match self.durability {
            Durability::Sync => Some(PersistMode::SyncAll),
            Durability::Os => Some(PersistMode::Buffer),
            Durability::None => None,
        });
        for ((soul, field), cell) in fields {
            let (key, value) = row::encode(soul, field, cell);
            entries.insert(&self.fields, key, value);
        }
        for (key, value) in deferrals {
            match value {
                Some(value) => entries.insert(&self.deferred, key, value),
                None => entries.remove(&self.deferred, key),
            }
        }
        if let Some(lease) = batch.lease {
            entries.insert(&self.meta, LEASE, lease.ms().to_be_bytes());
        }
        let commits = self.commits + 1;
        entries.insert(&self.meta, COMMITS, commits.to_be_bytes());
        entries
            .commit()
            .map_err(|cause| self.failed("writing to", cause))?;
        self.commits = commits;
        // From the first commit on, finding nothing means having lost something.
        if self.marker.commits_min == 0 {
            self.promise()?;
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), StoreError> {
        if self.lease()?.is_some() {
            let removed = self.meta.remove(LEASE);
            removed.map_err(|cause| self.failed("writing to", cause))?;
            self.persist(PersistMode::SyncAll)?;
        }
        Ok(())
    }

    fn durability(&self) -> Durability {
        self.durability
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if self.commits > self.marker.commits_min
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

enum Prepare {
    Unusable(Unusable),
    Io(String, io::Error),
}

/// Makes sure the directory is there and ours; `None` for the marker means there is no store yet.
fn prepare(directory: &Path) -> Result<Option<Marker>, Prepare> {
    let shown = directory.display();
    let io = |doing: &str| {
        let doing = format!("{doing} the data directory {shown}");
        move |cause| Prepare::Io(doing, cause)
    };
    fs::create_dir_all(directory).map_err(io("creating"))?;
    let marker = Marker::read(directory)
        .map_err(io("reading the marker of"))?
        .map(|read| read.map_err(|damage| Prepare::Unusable(Unusable::Damaged(damage))))
        .transpose()?;
    let has_database = directory.join(DATABASE).join(DATABASE_VERSION).exists();
    match &marker {
        Some(_) if !has_database => Err(Prepare::Unusable(Unusable::Damaged(
            "its database is gone".to_owned(),
        ))),
        None if !has_database => {
            let mut entries = fs::read_dir(directory).map_err(io("reading"))?;
            // A start that was killed early leaves the empty beginnings of a database.
            let foreign = entries.any(|entry| {
                entry.is_ok_and(|entry| {
                    let name = entry.file_name();
                    name != DATABASE && name != Marker::NEW_FILE && name != "lost+found"
                })
            });
            if foreign {
                return Err(Prepare::Unusable(Unusable::Foreign));
            }
            Ok(None)
        }
        _ => Ok(marker),
    }
}

const DATABASE: &str = "db";
/// The file without which `fjall` takes a directory for a new database.
const DATABASE_VERSION: &str = "version";
const COMMITS: &str = "commits";
const LEASE: &str = "lease";

const CACHE_BYTES: u64 = 1 << 20;
const FILES_MAX: usize = 64;
/// The smallest `fjall` takes.
const JOURNAL_BYTES: u64 = 64 << 20;
const MEMTABLE_BYTES: u64 = 4 << 20;
