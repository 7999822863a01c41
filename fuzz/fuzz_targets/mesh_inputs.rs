//! Any bytes as a program of inputs to a mesh.

#![no_main]

#[path = "../../loom-relay/tests/fuzz_corpus/grammar.rs"]
mod grammar;
#[path = "../../loom-relay/tests/fuzz_corpus/program.rs"]
mod program;
#[path = "../../loom-relay/tests/fuzz_corpus/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| world::run(bytes));
