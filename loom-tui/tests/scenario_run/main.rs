//! `loom-tui run` as people run it: the real program, real clusters, exit codes and what is kept.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod attached;
mod bench;
mod kept;
mod links;
mod mistakes;
mod planted;
mod stopped;
mod urls;
