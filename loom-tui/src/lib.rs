//! skeleton
pub mod cluster;
pub mod snapshot;
