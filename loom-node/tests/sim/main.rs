//! Nodes and relays in a world where everything that may break does: deterministic simulation.
//!
//! `SEED=n … replay` plays one seed again, `SEEDS=n` plays that many. [`shape`] is who is there,
//! [`run`] is one seed, [`judge`] what must hold at every step, [`ledger`] what must hold in the end,
//! [`mutant`] the planted bugs that prove all of it bites.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cast;
mod client;
mod foreigner;
mod judge;
mod ledger;
mod mutant;
mod run;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread;
use std::time::Instant;

use loom_relay::sim::Fault;

use mutant::Mutant;
use run::{Report, play};
use shape::Form;

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 500;

/// Every planted bug is found within this many seeds, all of which pass without it.
const CAUGHT_WITHIN: u64 = 30;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn pass(seed: u64) -> Report {
    play(seed, None).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn whatever_breaks_nothing_acknowledged_is_lost_and_all_agree_in_the_end() {
    let first = number("FIRST").unwrap_or(0);
    let seeds = first..first + number("SEEDS").unwrap_or(SEEDS);
    let started = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut reports: Vec<(u64, Report)> = thread::scope(|scope| {
        let share = |nth| {
            let seeds = seeds.clone().skip(nth).step_by(threads);
            move || seeds.map(|seed| (seed, pass(seed))).collect::<Vec<_>>()
        };
        let shares: Vec<_> = (0..threads).map(|nth| scope.spawn(share(nth))).collect();
        let played = shares.into_iter().map(|share| share.join());
        played
            .flat_map(|share| share.expect("a seed failed: see above"))
            .collect()
    });
    reports.sort_by_key(|(seed, _)| *seed);

    let mut struck: BTreeMap<Fault, u32> = BTreeMap::new();
    for (fault, times) in reports.iter().flat_map(|(_, report)| &report.struck) {
        *struck.entry(*fault).or_default() += times;
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(|(_, report)| of(report)).sum::<u64>();
    let slowest = reports
        .iter()
        .map(|(seed, report)| (report.agreed_after, *seed));
    let (slowest, at) = slowest.max().unwrap_or_default();
    println!(
        "{} seeds in {:.1?}: {} events, {} writes acknowledged, {} of them lost with a wiped disk \
         and {} with what a durability of os or none does not survive, {} refused by members whose \
         disk was full, {} of foreigners; all agreed at most {slowest:.1?} after everything was \
         mended (seed {at})",
        reports.len(),
        started.elapsed(),
        sum(|report| report.events),
        sum(|report| report.acknowledged),
        sum(|report| report.excused),
        sum(|report| report.waived),
        sum(|report| report.unstored),
        sum(|report| report.foreign),
    );
    println!("faults: {struck:?}");
    let forms: BTreeSet<Form> = reports.iter().map(|(_, report)| report.form).collect();
    // A kind that never struck would have passed for nothing.
    if reports.len() as u64 >= SEEDS {
        assert_eq!(struck.len(), Fault::ALL.len(), "{struck:?}");
        assert_eq!(forms.len(), Form::ALL.len(), "{forms:?}");
        assert!(
            sum(|report| report.waived) > 0,
            "every durability was as good"
        );
        assert!(sum(|report| report.unstored) > 0, "no disk was ever full");
        assert!(sum(|report| report.foreign) > 0, "no foreigner wrote");
    }
}

#[test]
fn replay() {
    if let Some(seed) = number("SEED") {
        println!("seed {seed}: {:#?}", pass(seed));
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_here_and_in_another_process() {
    for seed in 0..5 {
        assert_eq!(pass(seed).trace, pass(seed).trace, "seed {seed}");
    }
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["replay", "--exact", "--nocapture"])
        .env("SEED", "3")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&other.stdout).into_owned();
    let trace = format!("trace: {},", pass(3).trace);
    assert!(said.contains(&trace), "not {trace} but {said}");
}

#[test]
fn every_planted_bug_is_caught_where_correct_members_pass() {
    for seed in 0..CAUGHT_WITHIN {
        let _: Report = pass(seed);
    }
    let mut missed = Vec::new();
    println!("{:20} {:>5}  by", "planted bug", "seeds");
    for mutant in Mutant::ALL {
        let caught = (0..CAUGHT_WITHIN).find_map(|seed| {
            let failure = play(seed, Some(mutant)).err()?;
            Some((seed + 1, failure.what))
        });
        let name = format!("{mutant:?}");
        match caught {
            Some((seeds, what)) => {
                let what: String = what.chars().take(90).collect();
                println!("{name:20} {seeds:>5}  {what}");
            }
            None => missed.push(mutant),
        }
    }
    assert_eq!(missed, [], "not caught within {CAUGHT_WITHIN} seeds");
}
