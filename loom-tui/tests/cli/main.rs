//! The program's commands as a shell sees them: exit codes, sentences, processes.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod commands;
mod containers;
mod controller;
mod headless;
mod mistakes;
mod orphans;
