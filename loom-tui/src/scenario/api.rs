//! Everything a script can call: one table, from which `docs/scenarios.md` is made too.
//!
//! Each group registers its functions by `Api::named`; a test holds what is given and what is described together.

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

use std::cell::RefCell;
use std::collections::BTreeSet;
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

/// Gives a script its functions; returns their names.
pub fn register(
    engine: &mut Engine,
    host: &Arc<Host>,
    program: &Weak<Program>,
) -> BTreeSet<&'static str> {
    let mut api = Api {
        engine,
        host: Arc::clone(host),
        given: RefCell::default(),
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
    api.given.into_inner()
}

/// An engine being given functions.
#[derive(Debug)]
struct Api<'e> {
    engine: &'e mut Engine,
    host: Arc<Host>,
    given: RefCell<BTreeSet<&'static str>>,
}

impl Api<'_> {
    /// The name of a function about to be given: one of the groups must describe it.
    fn named(&self, name: &'static str) -> &'static str {
        self.given.borrow_mut().insert(name);
        name
    }
}
