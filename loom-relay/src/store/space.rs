//! How much room a disk must have before anything is written to it.
//!
//! A database that runs out of space in the middle of a write has to be opened afresh, and its
//! background work may fail at any moment. So nothing is written while there is less room than that
//! needs. Something else may still take the rest in between: then the write fails, and is tried
//! again.

use std::io;
use std::path::Path;

/// Room for what the database writes on its own: its tables in memory, and a round of merging them.
pub(super) const SPARE_BYTES: u64 = 24 << 20;

/// The disk is as good as full.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its disk is full: {} MiB are free, and {} MiB are needed",
    .free_bytes >> 20,
    .needed_bytes.div_ceil(1 << 20)
)]
pub(super) struct Full {
    free_bytes: u64,
    needed_bytes: u64,
}

/// Whether as much is free on the disk that `directory` is on.
pub(super) fn check(directory: &Path, needed_bytes: u64) -> io::Result<Result<(), Full>> {
    let free_bytes = free_bytes(directory)?;
    Ok(match free_bytes < needed_bytes {
        true => Err(Full {
            free_bytes,
            needed_bytes,
        }),
        false => Ok(()),
    })
}

#[cfg(unix)]
fn free_bytes(directory: &Path) -> io::Result<u64> {
    let about = rustix::fs::statvfs(directory)?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}

/// What cannot be asked shows when it is written to.
#[cfg(not(unix))]
fn free_bytes(_: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}
