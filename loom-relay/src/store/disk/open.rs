//! Whether a data directory can be used, and its database.

use std::any::Any;
use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use crate::graph::Root;
use crate::store::marker::Marker;
use crate::store::row;

/// The database of a directory, open.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) fields: Keyspace,
    pub(super) deferred: Keyspace,
    pub(super) meta: Keyspace,
    /// How many commits are in it.
    pub(super) commits: u64,
    /// What its fields must come to; `None` in a store that was made before this was kept.
    pub(super) root: Option<Root>,
    /// What the writes that wait for the clock must come to.
    pub(super) waiting: Root,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
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
    #[error(
        "its file {0} is garbled, which says how many commits there must be; put it back, or delete \
         it to go on with what can be read"
    )]
    Uncounted(&'static str),
    #[error("its database cannot be opened: {0}; free space or mend the disk, then start again")]
    Io(io::Error),
    #[error("{0}; restore a copy, or move the directory away to start empty")]
    Damaged(String),
}

impl Opened {
    /// Opens the database in `directory`, creating it if there is none.
    pub(super) fn open(directory: &Path) -> Result<Self, Unusable> {
        guarded(|| Self::try_open(directory))?
    }

    fn try_open(directory: &Path) -> Result<Self, Unusable> {
        // Without a marker this may be what a first start left that was killed.
        if directory.join(Marker::FILE).exists() {
            check_trees(directory)?;
        }
        let damaged = |cause: fjall::Error| match cause {
            fjall::Error::Locked => Unusable::Locked,
            fjall::Error::Io(cause) if cause.kind() == io::ErrorKind::NotFound => {
                Unusable::Damaged("a file of its database is missing".to_owned())
            }
            fjall::Error::Io(cause) => Unusable::Io(cause),
            other => Unusable::Damaged(format!("the database cannot be opened ({other})")),
        };
        let database = Database::builder(directory.join(DATABASE))
            // The whole graph lives in memory already; the database is read once, at start.
            .cache_size(CACHE_BYTES)
            .max_cached_files(Some(FILES_MAX))
            .worker_threads(1)
            .max_journaling_size(JOURNAL_BYTES)
            .manual_journal_persist(true)
            .open()
            .map_err(&damaged)?;
        // A panic leaves locks behind that closing it would panic about a second time, which ends
        // the process without a sentence. So it is not closed then.
        let database = ManuallyDrop::new(database);
        let opened = Self::read(Database::clone(&database), damaged);
        drop(ManuallyDrop::into_inner(database));
        opened
    }

    fn read(
        database: Database,
        damaged: impl Fn(fjall::Error) -> Unusable,
    ) -> Result<Self, Unusable> {
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let fields = database.keyspace("fields", options).map_err(&damaged)?;
        let deferred = database.keyspace("deferred", options).map_err(&damaged)?;
        let meta = database.keyspace("meta", options).map_err(&damaged)?;
        let commits = match meta.get(COMMITS).map_err(&damaged)? {
            Some(bytes) => <[u8; 8]>::try_from(&*bytes)
                .map(u64::from_be_bytes)
                .map_err(|_| Unusable::Damaged("its commit count is garbled".into()))?,
            None => 0,
        };
        let root = match meta.get(ROOT).map_err(&damaged)? {
            Some(row) => {
                let root = Root::from_row(&row);
                Some(root.ok_or_else(|| Unusable::Damaged("its fingerprint is garbled".into()))?)
            }
            None => (commits == 0).then(Root::default),
        };
        let waiting = match meta.get(WAITING).map_err(&damaged)? {
            Some(row) => {
                let root = Root::from_row(&row);
                root.ok_or_else(|| Unusable::Damaged("its second fingerprint is garbled".into()))?
            }
            // Made before this was kept: what is there has to be believed, once.
            None => read_waiting(&deferred)?,
        };
        Ok(Self {
            database,
            fields,
            deferred,
            meta,
            commits,
            root,
            waiting,
        })
    }
}

fn read_waiting(deferred: &Keyspace) -> Result<Root, Unusable> {
    let writes = deferred.iter().map(|entry| {
        let entry = entry.into_inner().ok();
        entry.and_then(|(key, value)| row::decode_deferred(&key, &value))
    });
    let writes: Option<Vec<_>> = writes.collect();
    let writes =
        writes.ok_or_else(|| Unusable::Damaged("a deferred write cannot be read".to_owned()))?;
    Ok(super::deferred::sum(&writes))
}

/// `fjall` takes a tree whose entrance is gone for a new one, and starts with it empty.
fn check_trees(directory: &Path) -> Result<(), Unusable> {
    let trees = match fs::read_dir(directory.join(DATABASE).join(TREES)) {
        Ok(trees) => trees,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Unusable::Io(error)),
    };
    for tree in trees {
        let tree = tree.map_err(Unusable::Io)?.path();
        if !tree.join(ENTRANCE).exists() {
            let damage = format!("{} is missing", tree.join(ENTRANCE).display());
            return Err(Unusable::Damaged(damage));
        }
    }
    Ok(())
}

/// Does something with the database, which may panic on what makes no sense to it.
pub(super) fn guarded<T>(act: impl FnOnce() -> T) -> Result<T, Unusable> {
    // Nothing that was under way is looked at afterwards.
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let said = words(&*panic);
        Unusable::Damaged(format!("the database makes no sense ({said})"))
    })
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it did not say why".to_owned())
}

pub(super) enum Prepare {
    Unusable(Unusable),
    Io(String, io::Error),
}

/// Makes sure the directory is there and ours; `None` for the marker means there is no store yet.
pub(super) fn prepare(directory: &Path) -> Result<Option<Marker>, Prepare> {
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

pub(super) const DATABASE: &str = "db";
/// The file without which `fjall` takes a directory for a new database.
const DATABASE_VERSION: &str = "version";
const TREES: &str = "keyspaces";
/// Of a tree: the file that says which of its tables count.
const ENTRANCE: &str = "current";
pub(super) const COMMITS: &str = "commits";
pub(super) const ROOT: &str = "root";
pub(super) const WAITING: &str = "waiting";

const CACHE_BYTES: u64 = 1 << 20;
const FILES_MAX: usize = 64;
/// The smallest `fjall` takes.
const JOURNAL_BYTES: u64 = 64 << 20;
const MEMTABLE_BYTES: u64 = 4 << 20;
