//! Scenarios: scripts that do something to a cluster and say what must hold.
//!
//! A scenario is a Rhai script. The built-in ones live in `scenarios/*.rhai` and ship inside the
//! binary; anybody's own file runs the same way. [`runner::play`] plays one and judges it: run,
//! record, judge. [`cli`] is the command line's door, [`live`] the dashboard's.

pub mod api;
pub mod cli;
pub mod engine;
pub mod host;
pub mod live;
pub mod params;
mod place;
pub mod recovery;
pub mod rig;
pub mod runner;
pub mod settle;
pub mod story;
pub mod suggest;
pub mod trouble;
pub mod witness;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use suggest::nearest;

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        /// Name and source of every built-in scenario, in the order they are shown and run.
        const BUILT_IN: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../scenarios/", $name, ".rhai"))),)+
        ];
    };
}

built_in![
    "basic-sync",
    "concurrent-updates",
    "cross-node-edges",
    "high-volume",
    "sync-latency",
    "partition",
    "split-brain",
    "asymmetric-cut",
    "flapping-link",
    "slow-link",
    "every-partition",
    "offline-edit",
    "chaos-kill",
    "rolling-restart",
    "node-wipe",
    "relay-crash",
    "relay-wipe",
    "clock-skew",
    "chaos",
    "torture",
    "soak",
    "throughput",
];

/// One scenario, ready to be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What reports and folders call it.
    pub name: String,
    /// What messages about its lines call it: `partition.rhai`, or the path that was given.
    pub file: String,
    /// The script.
    pub source: Cow<'static, str>,
}

/// Why there is no such scenario.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// Neither built in nor a file.
    #[error("there is no scenario {name:?}{}; the built-in ones are {known}, or give a FILE.rhai",
            .nearest.map(|near| format!(", did you mean {near}?")).unwrap_or_default(),
            known = names().collect::<Vec<_>>().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// A file that cannot be read.
    #[error("scenario {} cannot be read: {error}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Every built-in scenario.
pub fn catalogue() -> impl Iterator<Item = Scenario> {
    BUILT_IN.iter().map(|(name, source)| Scenario {
        name: (*name).to_owned(),
        file: format!("{name}.rhai"),
        source: Cow::Borrowed(source),
    })
}

/// A built-in scenario by name, or anybody's by path.
///
/// # Errors
///
/// [`NotFound`], with the nearest name.
pub fn find(name: &str) -> Result<Scenario, NotFound> {
    if let Some(known) = catalogue().find(|scenario| scenario.name == name) {
        return Ok(known);
    }
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|ending| ending == "rhai");
    if !is_file && !path.is_file() {
        return Err(NotFound::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, names()),
        });
    }
    let source = std::fs::read_to_string(path).map_err(|error| NotFound::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    Ok(Scenario {
        name: stem.to_string_lossy().into_owned(),
        file: name.to_owned(),
        source: Cow::Owned(source),
    })
}

impl Scenario {
    /// What it shows, in one line: the first line of the comment the script begins with.
    pub fn about(&self) -> &str {
        self.comment().next().unwrap_or_default()
    }

    /// The comment the script begins with, line by line.
    pub fn comment(&self) -> impl Iterator<Item = &str> {
        self.source
            .lines()
            .map_while(|line| line.strip_prefix("//"))
            .map(str::trim)
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_says_what_it_shows() {
        for scenario in catalogue() {
            let about = scenario.about();
            assert!(about.ends_with('.'), "{}: {about:?}", scenario.name);
            assert!(about.len() < 80, "{}: too long for a list", scenario.name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = find("partion").unwrap_err().to_string();
        assert!(error.contains("did you mean partition?"), "{error}");
        let error = find("zzzzzzzz").unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
        assert!(error.contains("basic-sync"), "{error}");
        let error = find("missing.rhai").unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}
