//! Whether what was handed to the system is on disk, asked through descriptors of our own.
//!
//! The system reports what it could not write once to each descriptor of a file, and drops it. The
//! database's own thread syncs the journal too, before it writes tables; where that fails, an fsync
//! right after it through the same descriptor succeeds, and proves nothing. A descriptor that nobody
//! else has, opened before anything was written, is told of every failure.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The journals of a database, the newest last. Only that one is written to.
#[derive(Debug)]
pub(super) struct Journals {
    database: PathBuf,
    files: BTreeMap<u64, File>,
    newest: Option<u64>,
}

impl Journals {
    /// Those of the database in this directory, if there is one. Nothing may have been written to
    /// them by this process.
    pub(super) fn open(database: PathBuf) -> io::Result<Self> {
        let mut journals = Self {
            database,
            files: BTreeMap::new(),
            newest: None,
        };
        journals.follow()?;
        Ok(journals)
    }

    /// Has what is read from them next come from the disk. What a process before this one could not
    /// write is in memory still, and would be read as if it were stored; what is written behind it
    /// would be lost with it when the machine loses power.
    pub(super) fn forget_what_is_cached(&self) -> io::Result<()> {
        for file in self.files.values() {
            file.sync_all()?;
            #[cfg(target_os = "linux")]
            rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
        Ok(())
    }

    /// Opens those that are new, and says whether there are any.
    pub(super) fn follow(&mut self) -> io::Result<bool> {
        let entries = match fs::read_dir(&self.database) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let before = self.newest;
        for entry in entries {
            let path = entry?.path();
            let Some(number) = number(&path).filter(|number| Some(*number) > before) else {
                continue;
            };
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            self.files.insert(number, file);
            self.newest = self.newest.max(Some(number));
        }
        Ok(self.newest > before)
    }

    /// Returns once everything that was handed to the system is on disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let is_new = self.follow()?;
        for file in self.files.values() {
            file.sync_all()?;
        }
        // Written to before it was open here, so the database may have been told already. What it
        // was told the file system keeps too, for the oldest descriptor as well as for any other.
        #[cfg(target_os = "linux")]
        if is_new && let Some((_, oldest)) = self.files.first_key_value() {
            rustix::fs::syncfs(oldest)?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = is_new;
        if let Some(newest) = self.newest {
            self.files = self.files.split_off(&newest);
        }
        Ok(())
    }
}

fn number(path: &Path) -> Option<u64> {
    if path.extension() != Some(OsStr::new("jnl")) {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}
