//! Everything a script can call: one table, from which `docs/scenarios.md` is made too.
//!
//! Each group registers its functions by [`described`], which refuses one that nobody described.

mod claims;
mod concurrency;
mod docs;
mod faults;
mod load;
mod members;
mod random;
mod records;
mod values;
mod waits;

use std::sync::{Arc, Weak};

use rhai::Engine;

pub use docs::{Doc, Group, markdown};

use super::engine::Program;
use super::host::Host;

/// Every function a script can call.
pub fn docs() -> impl Iterator<Item = &'static Doc> {
    GROUPS.iter().flat_map(|group| group.docs)
}

const GROUPS: &[Group] = &[
    members::GROUP,
    records::GROUP,
    faults::GROUP,
    waits::GROUP,
    load::GROUP,
    claims::GROUP,
    concurrency::GROUP,
    random::GROUP,
];

/// Gives a script its functions.
pub(super) fn register(engine: &mut Engine, host: &Arc<Host>, program: &Weak<Program>) {
    let mut api = Api {
        engine,
        host: Arc::clone(host),
    };
    values::register(&mut api);
    members::register(&mut api);
    records::register(&mut api);
    faults::register(&mut api);
    waits::register(&mut api);
    load::register(&mut api);
    claims::register(&mut api);
    concurrency::register(&mut api, program);
    random::register(&mut api);
}

/// An engine being given functions.
#[derive(Debug)]
struct Api<'e> {
    engine: &'e mut Engine,
    host: Arc<Host>,
}

/// The name of a function that one of the groups describes: nothing else is given to scripts.
fn described(name: &'static str) -> &'static str {
    debug_assert!(
        docs().any(|doc| doc.name() == name),
        "{name} is described by no group"
    );
    name
}
