//! skeleton
pub mod client;
pub mod cluster;
pub mod snapshot;
