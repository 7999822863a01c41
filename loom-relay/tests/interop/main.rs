//! Real gun.js peers against the relay as a process.
//!
//! `install.sh` installs gun.js. Without it every test says that it was skipped and passes, unless
//! `LOOM_REQUIRE_GUN=1`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod gun;
mod program;
mod puppet;
#[path = "../soon/mod.rs"]
mod soon;

mod outages;
mod reads;
mod relays;
mod sea;
mod startup;
mod wire;
mod writes;
