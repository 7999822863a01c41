//! Which planted bug is caught by which checker, in which script.

use std::time::Duration;

use loom_node::{LATE_BY, Plant};

use crate::check::convergence::LIMIT_DEFAULT;
use crate::scenario::Scenario;
use crate::scenario::settle::Patience;
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
    /// What each must say in a reason, where it tells several ways of being wrong apart.
    pub saying: Option<&'static str>,
    /// How soon the nodes must agree.
    pub converge_within: Duration,
    /// How long that is waited for.
    pub patience: Patience,
}

/// Of a run that is to fail: what a bug keeps from arriving is not waited for as long as what may
/// only be late. Reconciliation looks every few seconds; a bug that it mends is not one to be found.
const WITH_A_BUG: Patience = Patience {
    within: Duration::from_secs(20),
    stuck_after: Duration::from_secs(4),
    lost_after: Duration::from_secs(1),
};

/// Of a run in which something comes late, and comes: nothing moves meanwhile.
const UNTIL_IT_COMES: Patience = Patience {
    within: Duration::from_secs(60),
    stuck_after: LATE_BY.saturating_mul(3),
    ..WITH_A_BUG
};

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
        saying: None,
        converge_within: LIMIT_DEFAULT,
        patience: WITH_A_BUG,
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
    Case {
        saying: Some("stuck until nudged"),
        ..caught(
            "stuck-until-nudged",
            Plant::StuckUntilNudged,
            script!("others"),
            &["convergence"],
        )
    },
    Case {
        saying: Some("late: slow"),
        converge_within: Duration::from_secs(2),
        patience: UNTIL_IT_COMES,
        ..caught(
            "deliver-late",
            Plant::DeliverLate,
            script!("others"),
            &["convergence"],
        )
    },
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
        verdict: Verdict::Unknown,
        ..caught(
            "refuse-patches",
            Plant::RefusePatches,
            script!("patches"),
            &["stats"],
        )
    },
    Case {
        name: "idle-cut",
        plant: None,
        script: script!("idle-cut"),
        checkers: &["gates"],
        verdict: Verdict::Unknown,
        saying: None,
        converge_within: LIMIT_DEFAULT,
        patience: WITH_A_BUG,
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
    fn what_is_delivered_late_is_too_late_and_waited_for() {
        let late = |case: &&Case| case.plant == Some(Plant::DeliverLate);
        let case = CASES.iter().find(late).expect("there is one");
        assert!(
            case.converge_within * 2 < LATE_BY,
            "whatever else takes time"
        );
        assert!(LATE_BY * 2 < case.patience.stuck_after.min(case.patience.within));
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
