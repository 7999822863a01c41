//! The relay as users meet it: its HTTP side in process, and the program as a process.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod client;
mod disks;
mod hostile;
mod http;
mod process;
#[path = "../soon/mod.rs"]
mod soon;
