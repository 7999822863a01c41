//! Real gun.js peers beside LoomDB nodes, all around one relay.
//!
//! gun.js is installed by `loom-relay/tests/interop/install.sh`; without it every test says that
//! it was skipped and passes, unless `LOOM_REQUIRE_GUN=1`. The one with a browser wants Chromium as
//! well; there it is `LOOM_REQUIRE_CHROMIUM=1`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

#[path = "../../../loom-relay/tests/interop/gun.rs"]
mod gun;
#[path = "../../../loom-node/tests/rest/link.rs"]
mod link;
#[path = "../../../loom-relay/tests/interop/puppet.rs"]
mod puppet;

mod browser;
mod cluster;
mod feed;

mod original;
mod page;
mod records;
mod storm;
