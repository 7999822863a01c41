//! A GUN relay, as a state machine and a tokio driver around it.
//!
//! Read it in this order:
//!
//! 1. [`model`], [`ham`], [`clock`]: GUN's nouns and how two writes of one field are decided.
//! 2. [`machine`]: the seam. A [`machine::Machine`] takes inputs, returns effects, names one
//!    deadline, and touches nothing else.
//! 3. [`wire`], [`graph`], [`sea`], [`mesh`]: frames to messages, the merged graph, whose a soul is,
//!    and who hears what.
//! 4. [`driver`], [`store`]: sockets, clocks and disks. Policy-free.
//! 5. [`relay`], [`fn@serve`], [`fn@run`]: the relay as a server and as a program. loom-node builds
//!    on 1 to 4.

pub mod ask_health;
pub mod clock;
pub mod config;
pub mod driver;
pub mod graph;
pub mod ham;
pub mod js_text;
pub mod machine;
pub mod mesh;
pub mod metrics;
pub mod model;
pub mod relay;
pub mod run;
pub mod sea;
pub mod serve;
#[cfg(feature = "sim")]
pub mod sim;
pub mod startup;
pub mod store;
pub mod wire;

pub use config::{RelayArgs, RelayConfig};
pub use run::{RunError, run, runtime};
pub use serve::{ServeError, serve};
