//! skeleton
pub mod check;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod control;
pub mod engine;
pub mod history;
pub mod probe;
pub mod report;
pub mod runs;
pub mod scenario;
pub mod snapshot;
pub mod stats;
pub mod ui;
