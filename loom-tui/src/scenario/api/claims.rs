//! What a script claims, measures and tells.

use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult, NativeCallContext};

use super::values::number;
use super::{Api, Doc, Group};
use crate::check::{Comparison, Threshold};
use crate::scenario::params;
use crate::scenario::trouble::{Trouble, place};

pub(super) const GROUP: Group = Group {
    title: "Claims and measurements",
    about: "A claim that does not hold fails the run, and the script goes on: it may have more to \
            say. A number that is missing (`()`) is unknown, never a pass.",
    docs: &[
        Doc {
            usage: "expect(condition, text)",
            about: "Something that must hold. Returns whether it does.",
        },
        Doc {
            usage: "expect_below(value, limit, name)",
            about: "A number that must be below a limit; shown with both in the report.",
        },
        Doc {
            usage: "metric(name, value, unit)",
            about: "A number for the report.",
        },
        Doc {
            usage: "threshold(name, op, limit)",
            about: "What a metric must be, with `op` one of `<`, `<=`, `>`, `>=`, `==`. The metric \
                    may be recorded before or after. One that was recorded several times must be so \
                    every time: the worst is judged and shown.",
        },
        Doc {
            usage: "gate(condition, text)",
            about: "An interesting state that must have been reached. If it was not, the run proves \
                    nothing and is unknown.",
        },
        Doc {
            usage: "step(text)",
            about: "What the script does next; shown while it runs.",
        },
        Doc {
            usage: "note(text)",
            about: "A line for the report.",
        },
        Doc {
            usage: "log(text)",
            about: "A line while it runs. `print` does the same.",
        },
        Doc {
            usage: "arg(name, default)",
            about: "A parameter; `--set name=value` sets it. The value must be of the default's \
                    kind. The name must be written out.",
        },
    ],
};

type Result<T, E = Box<EvalAltResult>> = std::result::Result<T, E>;

pub(super) fn register(api: &mut Api<'_>) {
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("expect"),
        move |call: NativeCallContext<'_>, holds: bool, text: &str| {
            host.claim(holds, text.to_owned(), call.call_position())
        },
    );
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("expect_below"),
        move |value: Dynamic, limit: Dynamic, name: &str| -> Result<bool> {
            let limit = number(&limit)?
                .ok_or_else(|| Trouble::mistake(format!("the limit of {name} is missing")))?;
            let value = number(&value)?;
            host.said.threshold(Threshold {
                name: name.to_owned(),
                value,
                op: Comparison::Below,
                limit,
                unit: String::new(),
            });
            Ok(value.is_some_and(|value| value < limit))
        },
    );
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("metric"),
        move |name: &str, value: Dynamic, unit: &str| -> Result<()> {
            // Nothing measured is no metric; a threshold on it is then unknown.
            if let Some(value) = number(&value)? {
                host.said.metric(name, value, unit);
                host.story.note(&format!("{name}: {value:.3} {unit}"));
            }
            Ok(())
        },
    );
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("threshold"),
        move |name: &str, op: &str, limit: Dynamic| -> Result<()> {
            let comparison = Comparison::parse(op).ok_or_else(|| {
                Trouble::mistake(format!("{op:?} is no comparison: use <, <=, >, >= or =="))
            })?;
            let limit = number(&limit)?
                .ok_or_else(|| Trouble::mistake(format!("the limit of {name} is missing")))?;
            host.said.limit(name, comparison, limit);
            Ok(())
        },
    );
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("gate"),
        move |call: NativeCallContext<'_>, open: bool, text: &str| {
            let at = place(&host.file, call.call_position());
            host.said.gate(open, text.to_owned(), at);
            open
        },
    );
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("step"), move |text: &str| host.step(text));
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("note"), move |text: &str| {
            host.said.note(text.to_owned());
            host.story.note(text);
        });
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("log"), move |text: Dynamic| {
            host.story.note(&text.to_string())
        });
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("arg"),
        move |name: &str, default: Dynamic| -> Result<Dynamic> {
            Ok(params::resolve(&host.sets, name, default)?)
        },
    );
}
