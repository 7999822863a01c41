//! Which planted bug is caught by which checker, in which script.

use loom_node::Plant;

use crate::scenario::Scenario;
use crate::snapshot::Verdict;

/// One bug and who must find it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What reports call it.
    pub name: &'static str,
    /// The bug in node-2; without one, the script itself is the mistake.
    pub plant: Option<Plant>,
    /// What is played.
    pub script: Script,
    /// Checkers that must all find it, each by itself.
    pub checkers: &'static [&'static str],
    /// What they must come to.
    pub verdict: Verdict,
}

/// A script that passes on a cluster without bugs, unless it is a mistake itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Script {
    name: &'static str,
    source: &'static str,
}

macro_rules! script {
    ($name:literal) => {
        Script {
            name: $name,
            source: include_str!(concat!("../../selftest/", $name, ".rhai")),
        }
    };
}

const fn caught(
    name: &'static str,
    plant: Plant,
    script: Script,
    checkers: &'static [&'static str],
) -> Case {
    Case {
        name,
        plant: Some(plant),
        script,
        checkers,
        verdict: Verdict::Fail,
    }
}

/// Every planted bug.
pub const CASES: &[Case] = &[
    caught(
        "lose-acked",
        Plant::LoseAcked,
        script!("writes"),
        &["acked_lost"],
    ),
    caught(
        "forget-on-restart",
        Plant::ForgetOnRestart,
        script!("restart"),
        &["acked_lost"],
    ),
    caught(
        "drop-remote",
        Plant::DropRemote,
        script!("others"),
        &["replicas", "acked_lost"],
    ),
    caught(
        "ignore-deferred",
        Plant::IgnoreDeferred,
        script!("clock"),
        &["acked_lost"],
    ),
    caught(
        "stuck-until-nudged",
        Plant::StuckUntilNudged,
        script!("others"),
        &["convergence"],
    ),
    caught(
        "reverse-tie",
        Plant::ReverseTie,
        script!("conflict"),
        &["winner"],
    ),
    caught(
        "resurrect",
        Plant::Resurrect,
        script!("deletes"),
        &["winner"],
    ),
    caught("invent", Plant::Invent, script!("writes"), &["invented"]),
    caught(
        "keep-refused",
        Plant::KeepRefused,
        script!("patches"),
        &["refused_seen"],
    ),
    caught(
        "stale-read",
        Plant::StaleRead,
        script!("reads"),
        &["read_your_writes", "claims"],
    ),
    caught(
        "flip-flop",
        Plant::FlipFlop,
        script!("reads"),
        &["monotonic_reads"],
    ),
    caught("crash", Plant::Crash, script!("writes"), &["crashes"]),
    Case {
        name: "refuse-patches",
        plant: Some(Plant::RefusePatches),
        script: script!("patches"),
        checkers: &["stats"],
        verdict: Verdict::Unknown,
    },
    Case {
        name: "idle-cut",
        plant: None,
        script: script!("idle-cut"),
        checkers: &["gates"],
        verdict: Verdict::Unknown,
    },
];

impl Script {
    /// As the runner takes it; `name` is what its folder is called.
    pub fn scenario(self, name: &str) -> Scenario {
        Scenario {
            name: name.to_owned(),
            file: format!("selftest/{}.rhai", self.name),
            source: self.source.into(),
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        self.name
    }
}

/// The scripts that must pass where nothing is planted.
pub fn clean_scripts() -> Vec<Script> {
    let planted = CASES.iter().filter(|case| case.plant.is_some());
    let mut scripts: Vec<_> = planted.map(|case| case.script).collect();
    scripts.sort_unstable();
    scripts.dedup();
    scripts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum as _;

    use super::*;
    use crate::check::{Evidence, judge};
    use crate::scenario::engine;

    #[test]
    fn every_checker_has_a_bug_that_it_must_find() {
        let named: BTreeSet<_> = CASES.iter().flat_map(|case| case.checkers).collect();
        let findings = judge(&Evidence::default());
        let checkers: BTreeSet<_> = findings.iter().map(|found| &found.checker).collect();
        assert_eq!(named, checkers);
    }

    #[test]
    fn every_plant_is_looked_for_under_its_own_name() {
        let told = |plant: Plant| {
            let value = plant.to_possible_value();
            value.map(|value| value.get_name().to_owned())
        };
        for case in CASES.iter().filter(|case| case.plant.is_some()) {
            assert_eq!(case.plant.and_then(told).as_deref(), Some(case.name));
        }
        let planted: BTreeSet<_> = CASES.iter().filter_map(|case| case.plant).collect();
        let all: BTreeSet<_> = Plant::value_variants().iter().copied().collect();
        assert_eq!(planted, all);
    }

    #[test]
    fn every_script_can_be_read_and_says_what_it_does() {
        for case in CASES {
            let scenario = case.script.scenario(case.name);
            assert_eq!(engine::check(&scenario), Ok(()), "{}", case.script.name);
            assert!(scenario.about().ends_with('.'), "{}", case.script.name);
        }
    }
}
