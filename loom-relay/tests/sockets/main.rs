//! The driver over real loopback sockets and with stores that do as they are told.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod ahead;
mod links;
mod rig;
mod storing;
