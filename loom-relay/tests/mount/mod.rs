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

/// A disk that takes every write and fails at fsync while it is [`FailingDisk::fail`]ing: a file
/// system in a file, on a small disk that is full then. Mounted until it is dropped.
pub(crate) struct FailingDisk {
    below: SmallDisk,
}

impl FailingDisk {
    /// `None` where this machine cannot have one, as [`SmallDisk::mount`] says.
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let disk = Self {
            below: SmallDisk::mount(mib)?,
        };
        fs::create_dir(disk.home()).unwrap();
        let image = File::create(disk.image()).unwrap();
        image.set_len(512 << 20).unwrap();
        // Without a journal it stays writable when it cannot write.
        let options = ["-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1"];
        let made = run(Command::new("mkfs.ext4").args(options).arg(disk.image()));
        match made.and_then(|_| disk.mount_image()) {
            Ok(()) => Some(disk),
            Err(refusal) => {
                let required = std::env::var_os("LOOM_REQUIRE_MOUNT").is_some();
                assert!(!required, "cannot mount an ext4 in a file: {refusal}");
                eprintln!("skipped: cannot mount an ext4 in a file: {refusal}");
                None
            }
        }
    }

    fn mount_image(&self) -> Result<(), String> {
        let mut mounting = Command::new("mount");
        mounting.args(["-o", "loop"]).arg(self.image());
        run(mounting.arg(self.home()))?;
        // A loop device says of a write of several pages that it succeeded when the first of them
        // did. It gets one at a time.
        let mut asking = Command::new("losetup");
        asking.args(["--noheadings", "--output", "NAME", "--associated"]);
        let device = run(asking.arg(self.image()))?;
        let name = device.trim_start_matches("/dev/");
        let limit = format!("/sys/block/{name}/queue/max_sectors_kb");
        fs::write(&limit, "4").map_err(|error| format!("{limit}: {error}"))
    }

    /// For the data directory of a process.
    pub(crate) fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// From now on nothing new reaches the disk.
    pub(crate) fn fail(&self) {
        self.below.fill(0);
    }

    /// It works again; what the system has in memory of it stays there.
    pub(crate) fn mend(&self) {
        self.below.free();
    }

    /// What a loss of power does: only what is on the disk is left. Nobody may have a file open.
    pub(crate) fn lose_power(&self) {
        run(Command::new("umount").arg(self.home())).unwrap();
        // It says with 1 that it found something to mend.
        let checking = Command::new("e2fsck").arg("-fy").arg(self.image()).output();
        let status = checking.unwrap().status;
        assert!(matches!(status.code(), Some(0 | 1)), "e2fsck: {status}");
        self.mount_image().unwrap();
    }

    fn home(&self) -> PathBuf {
        self.below.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.below.path().join("image")
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        // The loop device goes with it.
        let _ = Command::new("umount").arg("-l").arg(self.home()).output();
    }
}

/// What it printed, or what it complained about.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
