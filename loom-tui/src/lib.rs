//! The product: it runs a cluster, breaks it on purpose, watches every write from one clock, and
//! says what happened.
//!
//! Read it in this order:
//!
//! 1. [`cluster`]: a place where members run and what can be done to it; [`docker`] and
//!    [`control`] are what backends stand on.
//! 2. [`client`], [`probe`], [`stats`]: what members are asked, and what is measured.
//! 3. [`scenario`], [`history`], [`check`], [`report`], [`runs`]: run, record, judge, keep.
//!    [`selftest`] shows that what is judged is judged rightly.
//! 4. [`engine`], [`snapshot`], [`ui`]: one state for whoever looks, and the dashboard.
//! 5. [`cli`]: the one door for people.
pub mod check;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod control;
pub mod docker;
pub mod engine;
pub mod history;
pub mod probe;
mod process;
pub mod report;
pub mod runs;
pub mod scenario;
pub mod selftest;
pub mod snapshot;
pub mod stats;
pub mod ui;
