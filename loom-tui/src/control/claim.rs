//! Who may listen on a socket path: one process at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

/// Longest path a Unix socket can have on the systems there are.
const PATH_BYTES_MAX: usize = 100;

/// Who holds a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// How it was started: `up`, `dashboard`, `run`.
    pub what: String,
}

/// Why a path could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Somebody runs a cluster there.
    #[error(
        "a cluster is already running here, started by `{}` (pid {}): use it as it is, end it with \
         `loom-tui down`, or start another one beside it with --control {}",
        holder.what, holder.pid, other.display()
    )]
    Taken {
        /// Who.
        holder: Holder,
        /// A path that would do for a second one.
        other: PathBuf,
    },
    /// The path is too long for a socket.
    #[error(
        "{} is too long for a socket ({PATH_BYTES_MAX} bytes at most): name a shorter one with \
         --control", .0.display()
    )]
    TooLong(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {}: {error}; name another path with --control", path.display())]
    Refused {
        /// The socket's path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// The right to listen on a path, until it is dropped or its process ends.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Locked.
    _lock: File,
}

impl Claim {
    /// Claims `path` for this process, which calls itself `what`.
    ///
    /// # Errors
    /// [`ClaimError::Taken`] when another process has it.
    pub fn take(path: &Path, what: &str) -> Result<Self, ClaimError> {
        if path.as_os_str().len() > PATH_BYTES_MAX {
            return Err(ClaimError::TooLong(path.to_owned()));
        }
        let refused = |error| ClaimError::Refused {
            path: path.to_owned(),
            error,
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            // Nobody else gets in: whoever reaches the socket commands the cluster.
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(refused)?;
        }
        let mut lock = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(path.with_extension("lock"))
            .map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ClaimError::Taken {
                    holder: read_holder(&mut lock),
                    other: path.with_extension("2.sock"),
                });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        let holder = Holder {
            pid: std::process::id(),
            what: what.to_owned(),
        };
        write_holder(&mut lock, &holder).map_err(refused)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it listens, or will.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Listens, in place of whatever a dead process left behind.
    pub(super) fn listen(&self) -> Result<UnixListener, ClaimError> {
        let bind = || {
            // Bound under another name first: the socket is never there with open permissions,
            // and takes the place of a stale one in one step.
            let fresh = self.path.with_extension("new");
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&fresh)?;
            fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
            fs::rename(&fresh, &self.path)?;
            Ok(listener)
        };
        bind().map_err(|error| ClaimError::Refused {
            path: self.path.clone(),
            error,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The lock file stays: deleting it would let two processes lock two files of one name.
        let _ = fs::remove_file(&self.path);
    }
}

fn write_holder(lock: &mut File, holder: &Holder) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    serde_json::to_writer(&mut *lock, holder)?;
    lock.flush()
}

/// Who holds the lock, as far as it can be told: it may be writing this very moment.
fn read_holder(lock: &mut File) -> Holder {
    let mut text = String::new();
    let read = lock.read_to_string(&mut text);
    read.ok()
        .and_then(|_| serde_json::from_str(&text).ok())
        .unwrap_or(Holder {
            pid: 0,
            what: "another process".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_claim_names_the_first_and_a_dead_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/control.sock");
        let first = Claim::take(&path, "up").unwrap();
        let _listener = first.listen().unwrap();
        let error = Claim::take(&path, "dashboard").unwrap_err().to_string();
        assert!(error.contains("`up`"), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains("loom-tui down"), "{error}");
        // As after SIGKILL: the lock is gone, the socket is still there.
        let Claim { _lock: lock, .. } = &first;
        lock.unlock().unwrap();
        assert!(path.exists());
        let second = Claim::take(&path, "run").unwrap();
        let _listener = second.listen().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        let error = Claim::take(&path, "up").unwrap_err();
        assert!(matches!(error, ClaimError::TooLong(_)));
    }
}
