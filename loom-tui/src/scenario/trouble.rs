//! What can go wrong in a script, told apart: a broken claim, a cluster that says no, a broken
//! rig, a mistake in the script. Each ends a run differently.

use std::fmt;

use rhai::{Dynamic, EvalAltResult, ParseError, Position};

use super::api;
use super::suggest::nearest;
use crate::check::Stopped;
use crate::cluster::RigError;

/// Why a call of a script did not succeed. Scripts can catch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something the script claims does not hold; it is recorded already.
    Claim(String),
    /// The cluster refused, or a fault makes no sense as things are: it did not happen.
    Refused(String),
    /// No fault can be made in this place at all: the script needs another one.
    Skipped(String),
    /// The cluster did not answer: nobody knows.
    Unknown(String),
    /// The rig could not do it.
    Rig(RigError),
    /// The call makes no sense.
    Mistake(String),
    /// Somebody stopped the run.
    Cancelled,
}

/// How a script ended, other than well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// For the verdict.
    Stopped(Stopped),
    /// There is no verdict: the rig broke.
    Rig(RigError),
}

impl Trouble {
    /// A call that makes no sense.
    pub fn mistake(text: impl Into<String>) -> Self {
        Self::Mistake(text.into())
    }

    /// One word for scripts that catch it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim",
            Self::Refused(_) => "refused",
            Self::Skipped(_) => "skipped",
            Self::Unknown(_) => "unknown",
            Self::Rig(_) => "rig",
            Self::Mistake(_) => "mistake",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(text)
            | Self::Refused(text)
            | Self::Skipped(text)
            | Self::Unknown(text)
            | Self::Mistake(text) => f.write_str(text),
            Self::Rig(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the run was stopped"),
        }
    }
}

impl From<Trouble> for Box<EvalAltResult> {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            // Not to be caught: there is nothing a script could do about it.
            Trouble::Cancelled => {
                EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into()
            }
            other => EvalAltResult::ErrorRuntime(Dynamic::from(other), Position::NONE).into(),
        }
    }
}

/// `file:line:column`, or just the file where there is no position.
pub fn place(file: &str, position: Position) -> String {
    match (position.line(), position.position()) {
        (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        (Some(line), None) => format!("{file}:{line}"),
        _ => file.to_owned(),
    }
}

/// A script that cannot even be read, in one sentence with its place.
pub fn explain_parse(file: &str, error: &ParseError) -> String {
    format!("{}: {}", place(file, error.position()), error.err_type())
}

/// Sorts an error that ended a script.
pub fn ending(file: &str, source: &str, error: EvalAltResult) -> Ending {
    let mut position = error.position();
    let mut error = error;
    // A mistake in a function is where it is written, not where the function was called.
    loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => error = *inner,
            EvalAltResult::ErrorRuntime(ref value, at) => {
                if !at.is_none() {
                    position = at;
                }
                let at = place(file, position);
                return match value.clone().try_cast::<Trouble>() {
                    Some(trouble) => of_trouble(trouble, &at),
                    None => Ending::Stopped(Stopped::Thrown(format!("{value} ({at})"))),
                };
            }
            _ => break,
        }
        if !error.position().is_none() {
            position = error.position();
        }
    }
    if matches!(error, EvalAltResult::ErrorTerminated(..)) {
        return Ending::Stopped(Stopped::Cancelled);
    }
    let text = explain(source, &error);
    let at = place(file, position);
    Ending::Stopped(Stopped::Mistake(format!("{at}: {text}")))
}

fn of_trouble(trouble: Trouble, at: &str) -> Ending {
    let stopped = match trouble {
        Trouble::Claim(_) => Stopped::Claim,
        Trouble::Refused(why) | Trouble::Unknown(why) => Stopped::Cluster(format!("{why} ({at})")),
        Trouble::Skipped(why) => Stopped::Skipped(format!("{why} ({at})")),
        Trouble::Mistake(why) => Stopped::Mistake(format!("{at}: {why}")),
        Trouble::Cancelled => Stopped::Cancelled,
        Trouble::Rig(error) => return Ending::Rig(error),
    };
    Ending::Stopped(stopped)
}

/// What is wrong, without its place, and what was probably meant.
fn explain(source: &str, error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorFunctionNotFound(call, _) => {
            let name = call.split([' ', '(']).next().unwrap_or(call);
            let usages: Vec<_> = api::docs().filter(|doc| doc.name() == name).collect();
            if !usages.is_empty() {
                let usages: Vec<_> = usages.iter().map(|doc| doc.usage).collect();
                return format!("{call} does not fit: it is used as {}", usages.join(" or "));
            }
            let known = documented().chain(functions_of(source));
            match nearest(name, known) {
                Some(near) => format!("there is no function {name}, did you mean {near}?"),
                None => format!("there is no function {call}; docs/scenarios.md lists them all"),
            }
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => {
            let known = variables_of(source).chain(documented());
            match nearest(name, known) {
                Some(near) => format!("there is no variable {name}, did you mean {near}?"),
                None => format!("there is no variable {name}: declare it with let"),
            }
        }
        EvalAltResult::ErrorTooManyOperations(_) => format!(
            "more than {} steps: it looks like a loop without an end",
            super::engine::OPERATIONS_MAX
        ),
        other => {
            // Its own text carries its own position.
            let mut bare = other.to_string();
            if let Some(at) = bare.rfind(" (line ") {
                bare.truncate(at);
            }
            bare
        }
    }
}

fn documented<'a>() -> impl Iterator<Item = &'a str> {
    api::docs().map(|doc| doc.name())
}

fn variables_of(source: &str) -> impl Iterator<Item = &str> {
    words_after(source, "let ").chain(words_after(source, "const "))
}

fn functions_of(source: &str) -> impl Iterator<Item = &str> {
    words_after(source, "fn ")
}

fn words_after<'a>(source: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    source.split(keyword).skip(1).filter_map(|rest| {
        let word = rest
            .trim_start()
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()?;
        (!word.is_empty()).then_some(word)
    })
}
