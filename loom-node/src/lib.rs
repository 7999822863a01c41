//! A LoomDB node.

pub mod feed;
pub mod history;
pub mod index;
pub mod limits;
pub mod record;
pub mod stats;
