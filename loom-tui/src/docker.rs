//! Docker, as far as it has nothing to do with clusters: where its engine is, and the image that
//! members run in.
//!
//! [`Engine::connect`] finds an engine the way the `docker` command does; [`image::ensure`] makes
//! the image out of this very executable, so that nothing has to be pulled or compiled.

pub mod endpoint;
pub mod engine;
pub mod image;
pub mod rootfs;
mod tunnel;

pub use endpoint::Endpoint;
pub use engine::{Engine, Trouble};
