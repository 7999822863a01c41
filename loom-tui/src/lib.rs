//! skeleton
pub mod check;
pub mod client;
pub mod cluster;
pub mod history;
pub mod snapshot;
