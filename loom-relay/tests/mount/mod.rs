//! A disk so small that a test can fill it: a tmpfs of its own.

#![allow(dead_code, reason = "every test file uses another part")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted until it is dropped.
pub(crate) struct SmallDisk {
    home: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where this user may not mount, which is said; with `LOOM_REQUIRE_MOUNT` it is a
    /// failure.
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let options = format!("size={mib}m");
        let mounting = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(home.path())
            .output();
        let refusal = match mounting {
            Ok(output) if output.status.success() => return Some(Self { home }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        let required = std::env::var_os("LOOM_REQUIRE_MOUNT").is_some();
        assert!(!required, "cannot mount a tmpfs: {refusal}");
        eprintln!(
            "skipped: cannot mount a tmpfs (run as root): {}",
            refusal.trim()
        );
        None
    }

    /// For the data directory of a process.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Takes all space but `left_mib` that is free.
    pub(crate) fn fill(&self, left_mib: usize) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let block = vec![0xa5; 1 << 20];
        while ballast.write_all(&block).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast
            .set_len(length.saturating_sub((left_mib as u64) << 20))
            .unwrap();
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.home.path().join("ballast")
    }

    fn path(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
