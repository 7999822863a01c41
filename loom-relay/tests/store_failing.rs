//! The store on a disk that takes every write and fails at fsync: what it acknowledged is on the disk
//! itself, not only in the memory of the system.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod mount;

use loom_relay::machine::Batch;
use loom_relay::model::{Cell, Change, Stamp, Value, Write};
use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Durability, Store, StoreError};
use mount::FailingDisk;

/// A batch of about this many bytes, which do not compress.
fn batch(number: u64, bytes: usize) -> Batch {
    let mut noise = vec![0; bytes / 2];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.finalize_xof().fill(&mut noise);
    let text: String = noise.iter().map(|byte| format!("{byte:02x}")).collect();
    let write = Write {
        soul: "soul".into(),
        field: number.to_string().into(),
        cell: Cell {
            stamp: Stamp::new(1.0).unwrap(),
            value: Value::text(&text),
        },
    };
    let (was, from) = (None, None);
    vec![Change { write, was, from }].into()
}

fn open(disk: &FailingDisk) -> DiskStore {
    DiskStore::open(&disk.data(), Durability::Sync).unwrap()
}

/// Commits until it fails, and counts what was kept.
fn until_failed(store: &mut DiskStore, kept: &mut u64, bytes: usize) -> StoreError {
    for _ in 0..100 {
        match store.commit(&batch(*kept, bytes)) {
            Ok(()) => *kept += 1,
            Err(error) => return error,
        }
    }
    panic!("{kept} commits on a disk that fails, and each is said to be kept");
}

fn check(disk: &FailingDisk, kept: u64, context: &str) {
    let graph = open(disk).load().unwrap().graph;
    let lost = (0..kept).filter(|number| graph.get("soul", &number.to_string()).is_none());
    let lost: Vec<_> = lost.collect();
    assert!(lost.is_empty(), "{context}: lost {lost:?} of {kept}");
}

#[test]
fn a_failed_fsync_is_for_good_and_nothing_acknowledged_is_lost() {
    // Small batches stay in the journal; with one of 5 MiB the database's own thread writes a table,
    // and syncs the journal at the same time as the store.
    for (round, bytes) in [4 << 10, 5 << 20, 5 << 20, 5 << 20, 5 << 20]
        .into_iter()
        .enumerate()
    {
        let Some(disk) = FailingDisk::mount(64) else {
            return;
        };
        let mut store = open(&disk);
        let mut kept = 0;
        for _ in 0..3 {
            store.commit(&batch(kept, bytes)).unwrap();
            kept += 1;
        }
        disk.fail();
        let failed = until_failed(&mut store, &mut kept, bytes);
        assert!(!failed.passing, "round {round}: {failed}");
        let said = failed.to_string();
        let says = said.contains(disk.data().to_str().unwrap()) && said.contains("start again");
        assert!(says, "round {round}: {said}");
        drop(store);
        disk.mend();
        disk.lose_power();
        check(&disk, kept, &format!("round {round}, {bytes} bytes"));
    }
}

#[test]
fn a_start_after_a_failed_fsync_goes_on_from_what_is_on_the_disk() {
    let Some(disk) = FailingDisk::mount(64) else {
        return;
    };
    let mut store = open(&disk);
    let mut kept = 0;
    store.commit(&batch(kept, 64 << 10)).unwrap();
    kept += 1;
    disk.fail();
    let failed = until_failed(&mut store, &mut kept, 64 << 10);
    assert!(!failed.passing, "{failed}");
    drop(store);
    // Started again at once: what could not be written is in memory still.
    disk.mend();
    let mut store = open(&disk);
    for _ in 0..3 {
        store.commit(&batch(kept, 64 << 10)).unwrap();
        kept += 1;
    }
    drop(store);
    disk.lose_power();
    check(&disk, kept, "after another start");
}
