//! Everything fuzzing has found worth keeping, run again, and what `fuzz/` runs.
//!
//! `fuzz/corpus/<target>/` holds one input per file. Each is run by the code the fuzzer runs, so a
//! failure here names its file, and `cargo fuzz run <target> <file>` replays it.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod frames;
mod grammar;
mod program;
mod world;

use std::fs;
use std::path::PathBuf;

/// In all; what a checkout should not have to carry.
const CORPUS_BYTES_MAX: usize = 200 << 10;

const FILE_BYTES_MAX: usize = 4 << 10;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let entries = fs::read_dir(folder.join(target)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = files.into_iter().map(|path| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    });
    read.collect()
}

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(
        corpus.len() >= 20,
        "only {} inputs for {target}",
        corpus.len()
    );
    for (path, bytes) in corpus {
        // A panic says where; this line says on what.
        println!("{}", path.display());
        check(&bytes);
    }
}

#[test]
fn every_frame_of_the_corpus_is_refused_or_says_the_same_again() {
    replay("decode", frames::check);
}

#[test]
fn every_captured_frame_says_the_same_again() {
    #[derive(serde::Deserialize)]
    struct Captured {
        raw: String,
    }
    let lines = include_str!("../vectors/captured-frames.jsonl").lines();
    for line in lines {
        let Captured { raw } = serde_json::from_str(line).unwrap();
        println!("{raw}");
        frames::check(raw.as_bytes());
    }
}

#[test]
fn every_program_of_the_corpus_keeps_what_a_mesh_promises() {
    replay("mesh_inputs", world::run);
}

#[test]
fn the_corpus_stays_small() {
    let mut bytes = 0;
    for (path, input) in ["decode", "mesh_inputs"].into_iter().flat_map(corpus) {
        assert!(input.len() <= FILE_BYTES_MAX, "{}", path.display());
        bytes += input.len();
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
}

#[test]
fn random_programs_keep_what_a_mesh_promises() {
    use rand::{RngExt as _, SeedableRng as _};
    for seed in 0..300_u64 {
        println!("seed {seed}");
        let mut rng = rand::rngs::SmallRng::seed_from_u64(seed);
        let length = rng.random_range(1..2_000);
        let bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
        world::run(&bytes);
    }
}
