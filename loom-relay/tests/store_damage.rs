//! Damage to a data directory, of every kind of file, after an orderly end and after SIGKILL: the
//! next start has everything, or refuses with a sentence; it never has less and says nothing.
//!
//! `SEED=n … replay` does one damage again.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use loom_relay::graph::Root;
use loom_relay::machine::{Batch, Deferral};
use loom_relay::model::{Cell, Change, Stamp, Value, Write};
use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Durability, Store, StoreError};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

const BATCHES: u64 = 48;

fn write(number: u64, part: u64) -> Write {
    long_write(number, part, 16 << 10)
}

fn long_write(number: u64, part: u64, bytes: usize) -> Write {
    let mut text = vec![0; bytes];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(number * 1_000 + part).to_be_bytes());
    hasher.finalize_xof().fill(&mut text);
    let text: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
    Write {
        soul: "soul".into(),
        // A quarter of all is overwritten by what comes later.
        field: format!("{}-{part}", number % (BATCHES * 3 / 4)).into(),
        cell: Cell {
            stamp: Stamp::new(number as f64).unwrap(),
            value: Value::text(&text),
        },
    }
}

/// Enough of them that some are in the journal and some in tables.
fn batches() -> Vec<Batch> {
    let mut held = BTreeMap::new();
    let batch = |number| {
        let changes = (0..8).map(|part| {
            let write = write(number, part);
            let was = held.insert(write.field.clone(), write.cell.clone());
            Change {
                write,
                was,
                from: None,
            }
        });
        let mut batch = Batch::from(changes.collect::<Vec<_>>());
        if number % 5 == 0 {
            batch.deferrals.push(Deferral::Waits(write(number, 99)));
        }
        batch
    };
    (0..BATCHES).map(batch).collect()
}

/// What a store holds: its fields, and how much waits.
fn held(directory: &Path) -> Result<(Root, usize), StoreError> {
    let held = DiskStore::open(directory, Durability::Sync)?.load()?;
    Ok((held.graph.root(), held.deferred.len()))
}

fn copy(from: &Path, to: &Path) {
    let mut copying = Command::new("cp");
    copying.args(["-r", "--sparse=always"]).args([from, to]);
    assert!(copying.status().unwrap().success());
}

/// A store with everything in it.
fn filled(directory: &Path) -> DiskStore {
    let mut store = DiskStore::open(directory, Durability::Sync).unwrap();
    for batch in batches() {
        store.commit(&batch).unwrap();
    }
    store
}

/// Two directories: closed in order, and as SIGKILL leaves one.
fn prepare(home: &Path) -> [PathBuf; 2] {
    let (closed, killed) = (home.join("closed"), home.join("killed"));
    drop(filled(&closed));
    // A copy of an open one would be of no single moment: the database tidies up on a thread of
    // its own.
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fills_and_waits", "--nocapture"])
        .env(FILL, &killed)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let filled = said.lines().any(|line| line.unwrap().contains(FILLED));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(filled, "the child ended early");
    [closed, killed]
}

/// Where the child of [`prepare`] writes, and what it says then.
const FILL: &str = "FILL_A_STORE_AT";
const FILLED: &str = "everything is committed";

/// No test: the process that [`prepare`] kills.
#[test]
fn fills_and_waits() {
    if let Some(directory) = std::env::var_os(FILL) {
        let _store = filled(Path::new(&directory));
        println!("{FILLED}");
        loop {
            std::thread::park();
        }
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Does one thing to one file and says which.
fn damage(directory: &Path, rng: &mut SmallRng) -> String {
    let files = files(directory);
    // Every kind as often as any other, however many files there are of it.
    let kind = |file: &PathBuf| match file.extension() {
        Some(extension) => extension.to_string_lossy().into_owned(),
        None => {
            let name = file.file_name().unwrap().to_string_lossy();
            name.trim_matches(|c: char| c.is_ascii_digit()).to_owned()
        }
    };
    let mut kinds: Vec<_> = files.iter().map(kind).collect();
    kinds.sort();
    kinds.dedup();
    let chosen = &kinds[rng.random_range(0..kinds.len())];
    let of_kind: Vec<_> = files.iter().filter(|file| kind(file) == *chosen).collect();
    let file = of_kind[rng.random_range(0..of_kind.len())];
    let mut bytes = fs::read(file).unwrap();
    // A journal is allocated ahead: damage to what was never written means nothing.
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let at = if used == 0 {
        0
    } else {
        rng.random_range(0..used)
    };
    let name = file.strip_prefix(directory).unwrap().display().to_string();
    let what = match rng.random_range(0..4) {
        _ if used == 0 => {
            fs::remove_file(file).unwrap();
            "gone"
        }
        0 => {
            bytes[at] ^= 1 << rng.random_range(0..8);
            fs::write(file, bytes).unwrap();
            "one bit"
        }
        1 => {
            let end = (at + 512).min(used);
            bytes[at..end].fill(0);
            fs::write(file, bytes).unwrap();
            "zeros"
        }
        2 => {
            let file = OpenOptions::new().write(true).open(file).unwrap();
            file.set_len(at as u64).unwrap();
            "cut off"
        }
        _ => {
            fs::remove_file(file).unwrap();
            "gone"
        }
    };
    format!("{name}: {what} at {at} of {used}")
}

/// What became of it: refused or not.
fn try_one(seed: u64, made: &[PathBuf; 2], home: &Path, expected: &(Root, usize)) -> bool {
    let mut rng = SmallRng::seed_from_u64(seed);
    let which = rng.random_range(0..2);
    let victim = home.join("victim");
    copy(&made[which], &victim);
    let what = damage(&victim, &mut rng);
    let context = format!("seed {seed}: {} {what}", ["closed", "killed"][which]);
    let outcome = held(&victim);
    fs::remove_dir_all(&victim).unwrap();
    match outcome {
        Ok(found) => {
            assert!(found == *expected, "{context}: started with something else");
            false
        }
        Err(error) => {
            let sentence = error.to_string();
            assert!(sentence.contains("victim"), "{context}: {sentence}");
            let says_what_to_do = ["move the directory away", "put", "delete"];
            let says = says_what_to_do.iter().any(|step| sentence.contains(step));
            assert!(says, "{context}: {sentence}");
            true
        }
    }
}

fn sweep(seeds: impl Iterator<Item = u64>) -> [u32; 2] {
    let home = tempfile::tempdir().unwrap();
    let made = prepare(home.path());
    let whole = home.path().join("whole");
    let expected = made.each_ref().map(|made| {
        copy(made, &whole);
        let held = held(&whole).unwrap();
        fs::remove_dir_all(&whole).unwrap();
        held
    });
    assert!(expected[0] == expected[1]);
    let mut outcomes = [0; 2];
    for seed in seeds {
        let refused = try_one(seed, &made, home.path(), &expected[0]);
        outcomes[usize::from(refused)] += 1;
    }
    outcomes
}

#[test]
fn a_damaged_store_has_everything_or_says_what_is_wrong() {
    let seeds = std::env::var("SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    let [whole, refused] = sweep(0..seeds);
    println!("{seeds} damages: {whole} harmless, {refused} refused");
    assert!(whole > 0 && refused > 0);
}

/// A store of which only writes that wait for the clock are in tables, with some of them in each.
fn waiting_in_tables(directory: &Path) {
    let mut store = DiskStore::open(directory, Durability::Sync).unwrap();
    for number in 0..3 {
        // A table in memory is full with 4 MiB.
        let waits = (0..5).map(|part| long_write(number, part, 512 << 10));
        let mut batch = Batch::from(vec![change(write(number, 99))]);
        batch.deferrals.extend(waits.map(Deferral::Waits));
        if let Some(before) = number.checked_sub(1) {
            let over = long_write(before, 1, 512 << 10);
            batch.deferrals.push(Deferral::Over(over));
        }
        store.commit(&batch).unwrap();
        wait_until(|| tables(directory) > number);
    }
}

fn change(write: Write) -> Change {
    Change {
        write,
        was: None,
        from: None,
    }
}

/// How many tables there are, of whatever.
fn tables(directory: &Path) -> u64 {
    let in_tables = |file: &&PathBuf| file.parent().is_some_and(|it| it.ends_with("tables"));
    files(directory).iter().filter(in_tables).count() as u64
}

fn wait_until(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "never so");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn no_bit_in_the_lists_of_tables_hides_a_write_that_waits() {
    let home = tempfile::tempdir().unwrap();
    let (made, victim) = (home.path().join("made"), home.path().join("victim"));
    waiting_in_tables(&made);
    copy(&made, &victim);
    let expected = held(&victim).unwrap();
    assert_eq!(expected.1, 13);
    let mut outcomes = [0; 2];
    let lists: Vec<_> = files(&made)
        .into_iter()
        .filter(|file| {
            let name = file.file_name().unwrap().to_string_lossy();
            let tree = file.parent().unwrap();
            let is_list = name.starts_with('v') && name != "version";
            // Of a list of nothing no bit can hide anything.
            is_list && tree.join("tables").is_dir() && !files(&tree.join("tables")).is_empty()
        })
        .collect();
    let seeds = std::env::var("SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut rng = SmallRng::seed_from_u64(seed);
        let list = &lists[rng.random_range(0..lists.len())];
        let list = list.strip_prefix(&made).unwrap();
        fs::remove_dir_all(&victim).unwrap();
        copy(&made, &victim);
        let mut bytes = fs::read(victim.join(list)).unwrap();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        fs::write(victim.join(list), bytes).unwrap();
        let context = format!("seed {seed}: {} byte {at}", list.display());
        match held(&victim) {
            Ok(found) => {
                assert!(found == expected, "{context}: found {}", found.1);
                outcomes[0] += 1;
            }
            Err(error) => {
                assert!(error.to_string().contains("victim"), "{context}: {error}");
                outcomes[1] += 1;
            }
        }
    }
    let [whole, refused] = outcomes;
    println!("{whole} bits harmless, {refused} refused");
    assert!(whole > 0 && refused > 0);
}

#[test]
fn replay() {
    if let Ok(seed) = std::env::var("SEED") {
        println!("{:?}", sweep(std::iter::once(seed.parse().unwrap())));
    }
}
