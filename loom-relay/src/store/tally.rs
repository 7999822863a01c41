//! How many commits there were, beside the database: so that a database which has lost some of them
//! is noticed.
//!
//! A journal that is damaged in the middle looks like one that ends there. After every commit the
//! number goes into this file, without an fsync: the system keeps it when the process dies, which is
//! when the marker is of no help. When the machine dies, it may say less than was stored, and is then
//! no worse than the marker. The one thing it may never do is say more, so it tells apart what was
//! handed to the system and what was made sure of, and names the system.
//!
//! Two slots take turns, each with a checksum: one of them is whole whatever happens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// The file, open.
#[derive(Debug)]
pub(super) struct Tally {
    file: File,
    boot: [u8; BOOT_BYTES],
    turn: bool,
}

/// What a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// There is no file.
    Nothing,
    /// At least as many commits must be there.
    AtLeast(u64),
    /// Neither slot makes sense.
    Garbled,
}

impl Tally {
    pub(super) const FILE: &str = "loom-commits";

    /// What the file in `directory` says.
    pub(super) fn read(directory: &Path) -> io::Result<Counted> {
        let bytes = match fs::read(directory.join(Self::FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Counted::Nothing),
            Err(error) => return Err(error),
        };
        let boot = boot();
        let slots = bytes.chunks_exact(SLOT_BYTES).filter_map(Slot::parse);
        let counts = slots.map(|slot| match slot.boot == boot {
            true => slot.handed,
            false => slot.synced,
        });
        Ok(match counts.max() {
            Some(count) => Counted::AtLeast(count),
            None => Counted::Garbled,
        })
    }

    /// Opens the file in `directory` to count on from `commits`.
    pub(super) fn open(directory: &Path, commits: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join(Self::FILE))?;
        let mut tally = Self {
            file,
            boot: boot(),
            turn: false,
        };
        // Whatever is there now is there whether or not it was made sure of before.
        for _ in 0..2 {
            tally.note(commits, 0)?;
        }
        Ok(tally)
    }

    /// As many commits were handed to the system, and as many made sure of.
    pub(super) fn note(&mut self, handed: u64, synced: u64) -> io::Result<()> {
        let slot = Slot {
            handed,
            synced,
            boot: self.boot,
        };
        let at = if self.turn { SLOT_BYTES as u64 } else { 0 };
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(&slot.bytes())?;
        self.turn = !self.turn;
        Ok(())
    }
}

struct Slot {
    handed: u64,
    synced: u64,
    boot: [u8; BOOT_BYTES],
}

impl Slot {
    fn bytes(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        let said = [
            &HEAD[..],
            &self.handed.to_be_bytes(),
            &self.synced.to_be_bytes(),
            &self.boot,
        ]
        .concat();
        let (text, check) = bytes.split_at_mut(SLOT_BYTES - CHECK_BYTES);
        text.copy_from_slice(&said);
        check.copy_from_slice(&checksum(text));
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (text, check) = bytes.split_at_checked(SLOT_BYTES - CHECK_BYTES)?;
        if checksum(text) != check {
            return None;
        }
        let (handed, rest) = text.strip_prefix(HEAD)?.split_first_chunk()?;
        let (synced, boot) = rest.split_first_chunk()?;
        Some(Self {
            handed: u64::from_be_bytes(*handed),
            synced: u64::from_be_bytes(*synced),
            boot: boot.try_into().ok()?,
        })
    }
}

fn checksum(text: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&blake3::hash(text).as_bytes()[..CHECK_BYTES]);
    check
}

/// Another one each time the machine starts; where that is not known each process has its own, so
/// that only what was made sure of counts.
fn boot() -> [u8; BOOT_BYTES] {
    let name = fs::read("/proc/sys/kernel/random/boot_id");
    let name = name.unwrap_or_else(|_| rand::random::<u128>().to_be_bytes().to_vec());
    let mut boot = [0; BOOT_BYTES];
    boot.copy_from_slice(&blake3::hash(&name).as_bytes()[..BOOT_BYTES]);
    boot
}

const HEAD: &[u8; 8] = b"loomcnt1";
const BOOT_BYTES: usize = 16;
const CHECK_BYTES: usize = 8;
const SLOT_BYTES: usize = 8 + 8 + 8 + BOOT_BYTES + CHECK_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_damaged_slot_is_not_missed_two_are_noticed() {
        let home = tempfile::tempdir().unwrap();
        let read = || Tally::read(home.path()).unwrap();
        assert_eq!(read(), Counted::Nothing);
        let mut tally = Tally::open(home.path(), 7).unwrap();
        tally.note(8, 8).unwrap();
        tally.note(9, 8).unwrap();
        assert_eq!(read(), Counted::AtLeast(9));
        let file = home.path().join(Tally::FILE);
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&file, damaged).unwrap();
            assert!(matches!(read(), Counted::AtLeast(8 | 9)), "at {at}");
        }
        let garbled: Vec<_> = whole.iter().map(|byte| !byte).collect();
        for bytes in [garbled, Vec::new(), whole[..SLOT_BYTES - 1].to_vec()] {
            fs::write(&file, bytes).unwrap();
            assert_eq!(read(), Counted::Garbled);
        }
    }

    #[test]
    fn after_a_start_of_the_machine_only_what_was_made_sure_of_counts() {
        let home = tempfile::tempdir().unwrap();
        let mut tally = Tally::open(home.path(), 0).unwrap();
        tally.boot = [1; BOOT_BYTES];
        tally.note(4, 3).unwrap();
        tally.note(5, 3).unwrap();
        assert_eq!(Tally::read(home.path()).unwrap(), Counted::AtLeast(3));
    }
}
