//! Doing several things at once, for real.

use std::sync::{Arc, Weak};

use rhai::{Array, Dynamic, EvalAltResult, FnPtr, NativeCallContext, Position};

use super::{Api, Doc, Group};
use crate::scenario::engine::Program;
use crate::scenario::host::Host;
use crate::scenario::trouble::Trouble;

pub(super) const GROUP: Group = Group {
    title: "At once",
    about: "Each branch runs on a thread of its own and is a process of its own in the history. A \
            branch works on its own copy of what it captures: return what you want to keep. Functions \
            made in a `for` loop all capture the loop's one variable, at its last value; to run one \
            branch per item, use the second form.",
    docs: &[
        Doc {
            usage: "concurrently([|| …, || …])",
            about: "Runs all branches at once and waits for all. Returns what they returned, in \
                    order. If some threw, the first of those errors is thrown after all have ended.",
        },
        Doc {
            usage: "concurrently(list, |item| …)",
            about: "The same with one branch per item, such as `concurrently(nodes(), |n| …)`.",
        },
    ],
};

type Result<T, E = Box<EvalAltResult>> = std::result::Result<T, E>;

/// Branches at once: each is a thread.
const BRANCHES_MAX: usize = 256;

pub(super) fn register(api: &mut Api<'_>, program: &Weak<Program>) {
    let (host, own) = (Arc::clone(&api.host), program.clone());
    api.engine.register_fn(
        api.named("concurrently"),
        move |call: NativeCallContext<'_>, branches: Array| -> Result<Array> {
            let branches = branches
                .into_iter()
                .map(|branch| match branch.try_cast::<FnPtr>() {
                    Some(function) => Ok((function, None)),
                    None => Err(Trouble::mistake(
                        "concurrently takes an array of functions: [|| …, || …]",
                    )),
                })
                .collect::<Result<Vec<_>, _>>()?;
            run(&host, &own, branches, call.call_position())
        },
    );
    let (host, own) = (Arc::clone(&api.host), program.clone());
    api.engine.register_fn(
        api.named("concurrently"),
        move |call: NativeCallContext<'_>, items: Array, each: FnPtr| -> Result<Array> {
            let branches = items.into_iter().map(|item| (each.clone(), Some(item)));
            run(&host, &own, branches.collect(), call.call_position())
        },
    );
}

fn run(
    host: &Arc<Host>,
    program: &Weak<Program>,
    branches: Vec<(FnPtr, Option<Dynamic>)>,
    at: Position,
) -> Result<Array> {
    if branches.len() > BRANCHES_MAX {
        let text = format!(
            "{} branches are more than the {BRANCHES_MAX} that can run at once",
            branches.len()
        );
        return Err(Trouble::mistake(text).into());
    }
    let program = program.upgrade().expect("the program runs this very call");
    let ended: Vec<Result<Dynamic>> = std::thread::scope(|scope| {
        let threads: Vec<_> = branches
            .into_iter()
            .map(|(mut function, item)| {
                // What is captured is shared between closures, and a shared value that two threads
                // touch is an error in Rhai. Each branch gets a copy instead.
                for captured in function.iter_curry_mut() {
                    *captured = captured.flatten_clone();
                }
                let program = &program;
                scope.spawn(move || {
                    host.as_branch(|| {
                        let (engine, ast) = (&program.engine, &program.ast);
                        match item {
                            Some(item) => function.call::<Dynamic>(engine, ast, (item,)),
                            None => function.call::<Dynamic>(engine, ast, ()),
                        }
                    })
                })
            })
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined
            .map(|ended| {
                ended.unwrap_or_else(|_| {
                    Err(Trouble::mistake("a branch panicked; this is a defect of Loom").into())
                })
            })
            .collect()
    });
    let failed = ended.iter().filter(|branch| branch.is_err()).count();
    if failed > 1 {
        let others: Vec<_> = ended
            .iter()
            .filter_map(|branch| branch.as_ref().err())
            .skip(1)
            .map(ToString::to_string)
            .collect();
        let text = format!("{} more branches failed: {}", failed - 1, others.join("; "));
        host.said.note(text);
    }
    ended
        .into_iter()
        .collect::<Result<Array>>()
        .map_err(|mut error| {
            if error.position().is_none() {
                error.set_position(at);
            }
            error
        })
}
