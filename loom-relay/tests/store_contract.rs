//! Every store keeps the promises of the `Store` trait; the one on disk keeps them across reopening
//! and refuses to start on less than it once held.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use loom_relay::machine::{Batch, Deferral};
use loom_relay::model::{Cell, Change, Field, Soul, Stamp, Value, Write};
use loom_relay::store::disk::DiskStore;
use loom_relay::store::memory::MemoryStore;
use loom_relay::store::{Durability, Store};

fn change(soul: &str, field: &str, stamp: f64, value: Value) -> Change {
    Change {
        write: Write {
            soul: soul.into(),
            field: field.into(),
            cell: Cell {
                stamp: Stamp::new(stamp).unwrap(),
                value,
            },
        },
        was: None,
        from: None,
    }
}

type Fields = BTreeMap<(Soul, Field), Cell>;

fn held(store: &mut dyn Store) -> Fields {
    let held = store.load().unwrap();
    let items = held.graph.items_after(None);
    items
        .map(|item| ((item.soul.clone(), item.field.clone()), item.cell.clone()))
        .collect()
}

/// Steps with everything that is easy to get wrong in an encoding.
fn steps() -> Vec<Vec<Change>> {
    let long = "x".repeat(100_000);
    vec![
        vec![change("loomdb:nodes", "a", 1.0, Value::text("one"))],
        vec![
            change("loomdb:nodes", "a", 2.5, Value::text("two")),
            change("loomdb:nodes", "a", 3.001, Value::null()),
        ],
        vec![
            change("s", "ab", 1.0, true.into()),
            change("sa", "b", 1.0, false.into()),
            change("sab", "", 1.0, Value::number(1e21).unwrap()),
        ],
        vec![
            change("nul\0in", "side\0", 1.0, Value::text("\0")),
            change("nul\0", "inside\0", 2.0, Value::link(&"other".into())),
            change("ünï", "😀", -5.0, Value::parse(r#""\ud800""#).unwrap()),
        ],
        vec![change(
            &long,
            &long,
            9_007_199_254_740_991.0,
            Value::text(&long),
        )],
        vec![
            change(&long, &long, 9_007_199_254_740_992.0, Value::null()),
            change(&long, "", 1.0, Value::text("a")),
            change("", &long, 1.0, Value::text("b")),
            change(
                &"y".repeat(65_531),
                "",
                1.0,
                Value::text("the longest plain key"),
            ),
            change(&"y".repeat(65_531), "z", 1.0, Value::text("one more")),
        ],
        (0..2000)
            .map(|n| {
                change(
                    "many",
                    &(n % 500).to_string(),
                    f64::from(n),
                    Value::text("x"),
                )
            })
            .collect(),
    ]
}

/// `reopen` is called between steps; a store without a disk returns itself.
fn keeps_what_it_was_given(
    mut store: Box<dyn Store>,
    reopen: impl Fn(Box<dyn Store>) -> Box<dyn Store>,
) {
    let mut expected = Fields::new();
    assert_eq!(held(&mut *store), expected, "a new store is empty");
    for mut step in steps() {
        for Change { write, was, .. } in &mut step {
            let key = (write.soul.clone(), write.field.clone());
            *was = expected.insert(key, write.cell.clone());
        }
        store.commit(&step.into()).unwrap();
        store = reopen(store);
        assert!(
            held(&mut *store) == expected,
            "something is missing or extra"
        );
    }
}

/// Writes wait, some of them are over, across any grouping into batches.
fn keeps_what_waits_for_the_clock(
    mut store: Box<dyn Store>,
    reopen: impl Fn(Box<dyn Store>) -> Box<dyn Store>,
) {
    let long = "x".repeat(100_000);
    let wait = |soul: &str, field: &str, stamp, value| change(soul, field, stamp, value).write;
    let writes = [
        wait("s", "f", 10.0, Value::text("a")),
        wait("s", "f", 10.0, Value::text("b")),
        wait("s", "f", 11.5, Value::text("a")),
        wait(&long, &long, 10.0, Value::text(&long)),
        wait("", "", 10.0, Value::null()),
    ];
    let [a, b, later, long, empty] = writes.each_ref();
    use Deferral::{Over, Waits};
    let steps = [
        (vec![Waits(a.clone()), Waits(b.clone())], vec![a, b]),
        // In one batch with its beginning.
        (vec![Waits(later.clone()), Over(later.clone())], vec![a, b]),
        (vec![Over(a.clone()), Waits(a.clone())], vec![a, b]),
        (
            vec![Over(a.clone()), Waits(long.clone()), Waits(empty.clone())],
            vec![b, long, empty],
        ),
        (vec![Over(long.clone()), Over(b.clone())], vec![empty]),
    ];
    let mut was = None;
    for (deferrals, expected) in steps {
        let mut decided = change("s", "decided", 1.0, Value::null());
        decided.was = was.replace(decided.write.cell.clone());
        let batch = Batch {
            changes: vec![decided],
            deferrals,
            lease: None,
        };
        store.commit(&batch).unwrap();
        store = reopen(store);
        let held = store.load().unwrap();
        assert_eq!(held.graph.len(), 1);
        assert_eq!(held.deferred.len(), expected.len());
        for write in expected {
            assert!(held.deferred.contains(write));
        }
    }
}

#[test]
fn every_store_keeps_what_waits_for_the_clock() {
    keeps_what_waits_for_the_clock(Box::new(MemoryStore::default()), |store| store);
    let home = tempfile::tempdir().unwrap();
    let open = || Box::new(DiskStore::open(home.path(), Durability::Sync).unwrap());
    keeps_what_waits_for_the_clock(open(), |store| {
        drop(store);
        open()
    });
}

#[test]
fn memory_keeps_what_it_was_given() {
    keeps_what_it_was_given(Box::new(MemoryStore::default()), |store| store);
}

#[test]
fn disk_keeps_what_it_was_given() {
    for durability in [Durability::Sync, Durability::Os, Durability::None] {
        let home = tempfile::tempdir().unwrap();
        let store = DiskStore::open(home.path(), durability).unwrap();
        keeps_what_it_was_given(Box::new(store), |store| store);
    }
}

#[test]
fn disk_keeps_what_it_was_given_across_reopening() {
    for durability in [Durability::Sync, Durability::Os, Durability::None] {
        let home = tempfile::tempdir().unwrap();
        let open = || Box::new(DiskStore::open(home.path(), durability).unwrap());
        keeps_what_it_was_given(open(), |store| {
            drop(store);
            open()
        });
    }
}

#[test]
fn what_waits_may_be_said_twice_and_a_store_without_its_sum_opens() {
    let home = tempfile::tempdir().unwrap();
    let open = || DiskStore::open(home.path(), Durability::Sync).unwrap();
    let wait = |field: &str| change("s", field, 10.0, Value::text("later")).write;
    let commit = |deferrals: Vec<Deferral>| {
        let batch = Batch {
            deferrals,
            ..Batch::default()
        };
        let mut store = open();
        store.commit(&batch).unwrap();
        // Said again by the same process, as after a failed write.
        store.commit(&batch).unwrap();
    };
    let waiting = || {
        let held = open().load().unwrap().deferred;
        let fields = held.into_iter().map(|write| write.field.to_string());
        fields.collect::<std::collections::BTreeSet<_>>()
    };
    use Deferral::{Over, Waits};
    commit(vec![Waits(wait("a")), Waits(wait("b"))]);
    commit(vec![Waits(wait("b")), Over(wait("never said"))]);
    assert_eq!(waiting(), ["a", "b"].map(String::from).into());

    {
        let database = fjall::Database::builder(home.path().join("db")).open();
        let database = database.unwrap();
        let options = fjall::KeyspaceCreateOptions::default;
        let meta = database.keyspace("meta", options).unwrap();
        assert!(meta.contains_key("waiting").unwrap());
        meta.remove("waiting").unwrap();
    }
    assert_eq!(waiting(), ["a", "b"].map(String::from).into());
    commit(vec![Over(wait("a"))]);
    assert_eq!(waiting(), ["b"].map(String::from).into());

    // A row that goes behind the store's back is missed.
    {
        let database = fjall::Database::builder(home.path().join("db")).open();
        let database = database.unwrap();
        let options = fjall::KeyspaceCreateOptions::default;
        let deferred = database.keyspace("deferred", options).unwrap();
        let row = deferred.iter().next().unwrap().into_inner().unwrap();
        deferred.remove(row.0).unwrap();
    }
    let refused = open().load().unwrap_err().to_string();
    assert!(refused.contains("0 deferred writes, of 1"), "{refused}");
}

#[test]
fn a_directory_in_use_is_refused_with_a_sentence() {
    let home = tempfile::tempdir().unwrap();
    let first = DiskStore::open(home.path(), Durability::Os).unwrap();
    let message = refusal(home.path());
    assert!(message.contains("another process is using it"), "{message}");
    drop(first);
    DiskStore::open(home.path(), Durability::Os).unwrap();
}

#[test]
fn a_directory_with_other_things_is_refused() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("thesis.txt"), "years of work").unwrap();
    let message = refusal(home.path());
    assert!(message.contains("no Loom store"), "{message}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let message = refusal(&file);
    assert!(message.contains("creating the data directory"), "{message}");
}

/// Each way of losing part of a closed store must be noticed at the next start.
#[test]
fn what_was_stored_and_cannot_be_read_is_never_taken_for_empty() {
    type Damage = fn(&Path);
    let ways: [(&str, Damage); 5] = [
        ("database gone", |home| {
            fs::remove_dir_all(home.join("db")).unwrap()
        }),
        ("journal gone", |home| {
            each_journal(home, |path| fs::remove_file(path).unwrap())
        }),
        ("journal emptied", |home| {
            each_journal(home, |path| fs::write(path, "").unwrap())
        }),
        ("journal garbled at the start", |home| {
            each_journal(home, |path| {
                let mut bytes = fs::read(path).unwrap();
                bytes[..64].fill(0xa5);
                fs::write(path, bytes).unwrap();
            });
        }),
        ("marker gone", |home| {
            fs::remove_file(home.join("loom-store")).unwrap()
        }),
    ];
    for (way, damage) in ways {
        let home = tempfile::tempdir().unwrap();
        let mut store = DiskStore::open(home.path(), Durability::Sync).unwrap();
        for step in steps().into_iter().take(3) {
            store.commit(&step.into()).unwrap();
        }
        drop(store);
        damage(home.path());
        let message = refusal(home.path());
        assert!(
            message.contains("move the directory away"),
            "{way}: {message}"
        );
    }
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let home = tempfile::tempdir().unwrap();
    drop(DiskStore::open(home.path(), Durability::Os).unwrap());
    let marker = home.path().join("loom-store");
    let text = fs::read_to_string(&marker)
        .unwrap()
        .replace("format 1", "format 9");
    fs::write(&marker, text).unwrap();
    let message = refusal(home.path());
    assert!(message.contains("format 9"), "{message}");
}

fn refusal(directory: &Path) -> String {
    match DiskStore::open(directory, Durability::Os) {
        Ok(mut store) => panic!("opened with {} fields", held(&mut store).len()),
        Err(error) => {
            let message = error.to_string();
            assert!(
                message.contains(&directory.display().to_string()),
                "{message}"
            );
            message
        }
    }
}

fn each_journal(home: &Path, act: impl Fn(&Path)) {
    let mut found = 0;
    for entry in fs::read_dir(home.join("db")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "jnl") {
            act(&path);
            found += 1;
        }
    }
    assert!(
        found > 0,
        "the database has no journal where this test looks for it"
    );
}
