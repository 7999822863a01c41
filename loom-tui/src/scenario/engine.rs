//! A script and its cage: what it may use, how much of it, and how it is stopped.
//!
//! Scripts reach the cluster through [`super::api`] and nothing else: no files, no modules, no
//! `eval`. They run on a thread of their own, so that waiting for a cluster blocks nobody.

use std::sync::{Arc, Weak};

use rhai::module_resolvers::DummyModuleResolver;
use rhai::{AST, Dynamic, Engine};

use super::host::Host;
use super::trouble::{self, Ending};
use super::{Scenario, api};
use crate::check::Stopped;

/// Steps a script may take; waiting takes none. Ends loops without an end.
pub const OPERATIONS_MAX: u64 = 50_000_000;
/// Calls within calls.
const CALLS_DEEP_MAX: usize = 64;
/// Bytes of one text.
const STRING_MAX: usize = 16 << 20;
/// Elements of one array or members of one map.
const COLLECTION_MAX: usize = 1_000_000;

/// Reads a script without running it.
///
/// # Errors
///
/// What is wrong with it, with file, line and column.
pub fn check(scenario: &Scenario) -> Result<(), String> {
    let engine = caged();
    engine
        .compile(&scenario.source)
        .map(drop)
        .map_err(|error| trouble::explain_parse(&scenario.file, &error))
}

/// Runs a script to its end on this thread.
pub fn run(scenario: &Scenario, host: &Arc<Host>) -> Result<(), Ending> {
    let mut engine = caged();
    let cancel = host.cancel.clone();
    engine.on_progress(move |_| cancel.is_cancelled().then_some(Dynamic::UNIT));
    let said = Arc::clone(host);
    engine.on_print(move |text| said.story.note(text));
    let said = Arc::clone(host);
    engine.on_debug(move |text, _, position| {
        said.story.note(&format!("{position:?} {text}"));
    });
    let parsed = |error: rhai::ParseError| {
        let text = trouble::explain_parse(&scenario.file, &error);
        Ending::Stopped(Stopped::Mistake(text))
    };
    let ast = engine.compile(&scenario.source).map_err(parsed)?;
    // Branches of `concurrently` run on threads of their own, with the engine that calls them.
    let program = Arc::new_cyclic(|program: &Weak<Program>| {
        api::register(&mut engine, host, program);
        Program { engine, ast }
    });
    let ended = program.engine.run_ast(&program.ast);
    ended.map_err(|error| trouble::ending(&scenario.file, &scenario.source, *error))
}

/// A script with what it may use.
#[derive(Debug)]
pub struct Program {
    /// The cage.
    pub engine: Engine,
    /// The script.
    pub ast: AST,
}

fn caged() -> Engine {
    let mut engine = Engine::new();
    engine
        .set_module_resolver(DummyModuleResolver::new())
        .disable_symbol("eval")
        .disable_symbol("import")
        .set_max_operations(OPERATIONS_MAX)
        .set_max_call_levels(CALLS_DEEP_MAX)
        .set_max_expr_depths(64, 64)
        .set_max_string_size(STRING_MAX)
        .set_max_array_size(COLLECTION_MAX)
        .set_max_map_size(COLLECTION_MAX)
        .set_fail_on_invalid_map_property(false);
    engine
}
