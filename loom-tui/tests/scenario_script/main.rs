//! Scripts in their cage, on a cluster that only remembers what was done to it: mistakes, claims,
//! faults and branches. What a real cluster answers is tried in `scenario_run`.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod cage;
mod claims;
mod faults;
mod mistakes;
mod stage;
