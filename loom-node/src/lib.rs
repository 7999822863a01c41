//! A LoomDB node: typed vertices and edges over REST, synchronised through a GUN relay.
//!
//! Read it in this order:
//!
//! 1. [`record`]: what a vertex and an edge are, and what a user may write into one.
//! 2. [`index`], [`feed`], [`history`], [`stats`]: what a node keeps beside its graph.
//! 3. [`replica`]: the node without IO; loom-relay's driver runs it.
//! 4. [`rest`]: HTTP in front of it.
//! 5. [`config`], [`fn@serve`], [`fn@run`]: the node as a server and as a program.

pub mod config;
pub mod feed;
pub mod history;
pub mod index;
pub mod limits;
mod plant;
pub mod record;
pub mod replica;
pub mod rest;
mod run;
mod serve;
pub mod stats;

pub use config::{InvalidConfig, NodeArgs, NodeConfig};
pub use loom_relay::ServeError;
pub use plant::{LATE_BY, Plant};
pub use run::{RunError, run, run_config};
pub use serve::{serve, serve_from};
