//! skeleton
pub mod check;
pub mod client;
pub mod cluster;
pub mod control;
pub mod history;
pub mod snapshot;
