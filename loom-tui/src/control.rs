//! How one process asks another that runs a cluster: a Unix socket with a JSON object per line.
//!
//! Whatever runs a cluster (`up`, the dashboard, `run`) takes the [`Claim`] on a socket path and
//! serves its backend there. `status`, `cut`, `run --attach` and the like speak to it through
//! [`Client`], or as a whole backend through [`crate::cluster::attached::AttachedCluster`].
//!
//! The claim is a lock on a file beside the socket, which the kernel releases however its holder
//! ends. So a socket left behind by a dead process is known to be stale without asking anybody.

mod claim;
mod client;
mod line;
mod place;
mod server;
pub mod wire;

pub use claim::{Claim, ClaimError, Holder};
pub use client::{Client, ConnectError};
pub use place::{default_path, state_folder};
pub use server::Server;
