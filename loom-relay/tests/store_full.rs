//! The store on a disk that is full: what it says, and that it goes on by itself with everything
//! that was ever kept, also when a write broke off in the middle.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod mount;

use std::ops::Range;

use loom_relay::machine::Batch;
use loom_relay::model::{Cell, Change, Stamp, Value, Write};
use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Durability, Store, StoreError};
use mount::SmallDisk;

/// A batch that takes a quarter of a MiB and does not compress.
fn batch(number: u64) -> Batch {
    let changes = (0..4).map(|part| Change {
        write: Write {
            soul: "soul".into(),
            field: format!("{number}-{part}").into(),
            cell: Cell {
                stamp: Stamp::new(number as f64).unwrap(),
                value: Value::text(&noise(number * 4 + part)),
            },
        },
        was: None,
        from: None,
    });
    changes.collect::<Vec<_>>().into()
}

fn noise(seed: u64) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes());
    let mut bytes = vec![0; 32 << 10];
    hasher.finalize_xof().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Commits until one fails, and says how.
fn until_refused(store: &mut DiskStore, kept: &mut u64) -> StoreError {
    loop {
        match store.commit(&batch(*kept)) {
            Ok(()) => *kept += 1,
            Err(error) => return error,
        }
        assert!(*kept % 1_000 != 999, "the disk is never full");
    }
}

/// Everything that was kept is there after another start.
fn check(disk: &SmallDisk, kept: Range<u64>) {
    let mut store = DiskStore::open(&disk.data(), Durability::Sync).unwrap();
    let graph = store.load().unwrap().graph;
    for number in kept {
        for Change { write, .. } in batch(number).changes {
            assert_eq!(
                graph.get("soul", &write.field),
                Some(&write.cell),
                "{number}"
            );
        }
    }
}

#[test]
fn a_disk_without_spare_room_is_not_written_to_until_there_is_some() {
    let Some(disk) = SmallDisk::mount(96) else {
        return;
    };
    let mut store = DiskStore::open(&disk.data(), Durability::Sync).unwrap();
    let mut kept = 1;
    store.commit(&batch(0)).unwrap();
    disk.fill(30);
    let refused = until_refused(&mut store, &mut kept);
    assert!(refused.passing, "{refused}");
    assert!(
        refused.to_string().contains("its disk is full"),
        "{refused}"
    );
    assert!(store.commit(&batch(kept)).unwrap_err().passing);
    disk.free();
    store.commit(&batch(kept)).unwrap();
    drop(store);
    check(&disk, 0..kept + 1);
}

#[test]
fn a_write_that_broke_off_in_the_middle_is_tried_again_whole() {
    let Some(disk) = SmallDisk::mount(96) else {
        return;
    };
    for round in 0..3 {
        // Nothing is spared, so the disk is full in the middle of a write, or of the database's own.
        let store = DiskStore::open(&disk.data(), Durability::Sync).unwrap();
        let mut store = store.sparing(0);
        // What is stored is never stored as new a second time.
        let first = 1_000 * round as u64;
        let mut kept = first + 1;
        store.commit(&batch(first)).unwrap();
        disk.fill(4 + 3 * round);
        let refused = until_refused(&mut store, &mut kept);
        assert!(refused.passing, "round {round}: {refused}");
        // Not once: the disk is as full as before.
        let again = store.commit(&batch(kept)).unwrap_err();
        assert!(again.passing, "round {round}: {again}");
        disk.free();
        // The database's own thread may have found the disk full only now.
        let again = (0..3).map(|_| store.commit(&batch(kept)));
        let failures: Vec<_> = again.map_while(Result::err).collect();
        assert!(failures.len() < 3, "round {round}: {failures:?}");
        assert!(failures.iter().all(|it| it.passing), "{failures:?}");
        let more = kept + 1;
        store.commit(&batch(more)).unwrap();
        drop(store);
        check(&disk, first..more + 1);
    }
}

#[test]
fn a_start_on_a_full_disk_says_so_and_harms_nothing() {
    let Some(disk) = SmallDisk::mount(96) else {
        return;
    };
    let mut store = DiskStore::open(&disk.data(), Durability::Sync).unwrap();
    (0..8).for_each(|number| store.commit(&batch(number)).unwrap());
    drop(store);
    disk.fill(0);
    // Whether it can be opened is the database's business; not to lose anything is ours.
    match DiskStore::open(&disk.data(), Durability::Sync) {
        Ok(mut store) => assert!(store.commit(&batch(8)).unwrap_err().passing),
        Err(error) => assert!(error.to_string().contains("No space left"), "{error}"),
    }
    disk.free();
    check(&disk, 0..8);
}
