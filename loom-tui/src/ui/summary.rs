//! What is left on the shell's screen after the dashboard: a plain summary, without colours.

use std::fmt::Write as _;
use std::path::Path;

use crate::snapshot::{ScenarioState, Verdict};

use super::app::App;
use super::fmt;
use super::standing::{Standing, active_faults, is_node};

/// Run time, faults, latency, verdicts and where the results are.
pub(super) fn summary(app: &App, runs: Option<&Path>) -> String {
    let snapshot = &*app.newest;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "ran {}", fmt::clock(snapshot.at));
    let made: Vec<String> = app
        .faults_made
        .iter()
        .map(|(kind, times)| format!("{kind} {times}"))
        .collect();
    if !made.is_empty() {
        let _ = writeln!(text, "faults made here: {}", made.join(", "));
    }
    match active_faults(snapshot) {
        0 => {}
        active => {
            let _ = writeln!(text, "still at fault when left: {active}");
        }
    }
    latency(&mut text, app);
    let done: Vec<_> = snapshot
        .scenarios
        .iter()
        .filter(|row| row.state != ScenarioState::Never)
        .collect();
    let runs = runs.filter(|_| !done.is_empty());
    if !done.is_empty() {
        let _ = writeln!(text, "scenarios");
    }
    for row in done {
        let name = &row.name;
        let _ = match &row.state {
            ScenarioState::Done {
                verdict,
                took,
                note,
            } => {
                let took = fmt::age(*took);
                writeln!(
                    text,
                    "  {:<20} {:<8} {took:>7}  {note}",
                    name,
                    verdict_word(*verdict)
                )
            }
            ScenarioState::Running { .. } => writeln!(text, "  {name:<20} not finished"),
            ScenarioState::Queued | ScenarioState::Never => writeln!(text, "  {name:<20} not run"),
        };
    }
    if let Some(runs) = runs {
        let _ = writeln!(text, "results: {}", runs.display());
    }
    for broken in &app.broken_tasks {
        let _ = writeln!(text, "a background task broke: {broken}");
    }
    text
}

fn latency(text: &mut String, app: &App) {
    let window = &app.newest.latency;
    if window.count == 0 && window.unseen == 0 {
        return;
    }
    let _ = writeln!(
        text,
        "convergence over the last {}: p50 {}  p95 {}  p99 {}  max {}  ({} samples, {} not seen yet)",
        fmt::age(window.span),
        fmt::age_or_unknown(window.p50),
        fmt::age_or_unknown(window.p95),
        fmt::age_or_unknown(window.p99),
        fmt::age_or_unknown(window.max),
        fmt::count(window.count),
        fmt::count(window.unseen),
    );
    for row in app.newest.members.iter().filter(|row| is_node(row)) {
        let _ = writeln!(
            text,
            "  {:<8} {:<8} p99 {:>7}  lag {:>7}  behind {}",
            row.status.member,
            Standing::of(row).word(),
            fmt::age_or_unknown(row.p99),
            fmt::age_or_unknown(row.lag),
            fmt::count(row.behind),
        );
    }
}

/// The verdict in a word; only bad news is loud.
pub(super) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Unknown => "unknown",
        Verdict::Fail => "FAIL",
    }
}
