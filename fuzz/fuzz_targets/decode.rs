//! Any bytes as a frame.

#![no_main]

#[path = "../../loom-relay/tests/fuzz_corpus/frames.rs"]
mod frames;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frames::check(bytes));
