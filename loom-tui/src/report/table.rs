//! The report for people: what was measured, what was judged, and the verdict last.

use std::fmt::Write as _;

use super::staleness::Staleness;
use super::{Figures, Report};
use crate::check::convergence::{Recovered, Recovery};
use crate::check::set_full::Words;
use crate::snapshot::Verdict;

/// Reasons shown of each checker; the others are in `report.json`.
const REASONS_SHOWN: usize = 4;
/// Pairs of nodes shown: five nodes have 20.
const PAIRS_SHOWN: usize = 20;
/// Faults shown; the others are in `report.json`.
const FAULTS_SHOWN: usize = 20;
/// Characters of a reason shown; records can be long.
const REASON_CHARS: usize = 300;

/// The whole report.
pub fn print(report: &Report) -> String {
    let mut text = String::new();
    head(report, &mut text);
    metrics(report, &mut text);
    latency(report, &mut text);
    staleness(report, &mut text);
    convergence(report, &mut text);
    faults(report, &mut text);
    findings(report, &mut text);
    for note in &report.notes {
        let _ = writeln!(text, "  note  {note}");
    }
    verdict(report, &mut text);
    text
}

/// One line per run, for several.
pub fn print_all(reports: &[Report]) -> String {
    let mut text = String::new();
    let width = reports.iter().map(|report| report.scenario.len()).max();
    let width = width.unwrap_or_default();
    for report in reports {
        let _ = writeln!(
            text,
            "{} {:<width$}  {:>8}  {}",
            report
                .is_skipped()
                .map_or(word(report.verdict), |_| "skip  "),
            report.scenario,
            millis(report.took_ms),
            report.headline()
        );
    }
    text
}

/// How many of several runs came to what, such as `18 scenarios: 6 passed, 12 skipped`.
pub fn sum(reports: &[Report], unplayed: usize) -> String {
    let skipped = |report: &&Report| report.is_skipped().is_some();
    let ended = |verdict| {
        let such = reports.iter().filter(|report| report.verdict == verdict);
        such.filter(|report| !skipped(report)).count()
    };
    let counts = [
        (ended(Verdict::Pass), "passed"),
        (ended(Verdict::Fail), "failed"),
        (ended(Verdict::Unknown), "unknown"),
        (reports.iter().filter(skipped).count(), "skipped"),
        (unplayed, "not played"),
    ];
    let told = counts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told.map(|(count, how)| format!("{count} {how}")).collect();
    let all = reports.len() + unplayed;
    format!("{all} scenarios: {}", told.join(", "))
}

/// Milliseconds in the unit that suits them, with three digits.
pub fn millis(ms: f64) -> String {
    if ms < 1.0 {
        format!("{:.0} µs", ms * 1_000.0)
    } else if ms < 1_000.0 {
        format!("{} ms", rounded(ms))
    } else {
        format!("{} s", rounded(ms / 1_000.0))
    }
}

/// A number with about three digits.
pub fn rounded(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 || size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// The verdict as a word of six characters: it must be told apart without colour.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass  ",
        Verdict::Unknown => "unknwn",
        Verdict::Fail => "FAIL  ",
    }
}

fn head(report: &Report, text: &mut String) {
    let setting = &report.setting;
    let durability = setting.durability.as_deref().unwrap_or("not known");
    let _ = writeln!(text, "{}: {}", report.scenario, report.about);
    let _ = write!(
        text,
        "  {} nodes on {}, durability {durability}, seed {}",
        setting.nodes, setting.backend, report.seed
    );
    for (name, value) in &report.args {
        let _ = write!(text, ", {name}={value}");
    }
    text.push('\n');
    if let Some(planted) = &setting.planted {
        let _ = writeln!(text, "  planted on purpose: {planted}");
    }
    if setting.shared {
        text.push_str("  others use this cluster too: only this run's records are judged\n");
    }
}

fn metrics(report: &Report, text: &mut String) {
    for metric in &report.metrics {
        let _ = writeln!(text, "  {metric}");
    }
    for threshold in &report.thresholds {
        let verdict = word(threshold.verdict());
        let _ = writeln!(text, "  {verdict}  {threshold}");
    }
}

fn latency(report: &Report, text: &mut String) {
    let latency = &report.latency;
    if latency.all.count + latency.all.unseen == 0 {
        return;
    }
    let _ = writeln!(
        text,
        "  {:<18} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "latency", "samples", "unseen", "p50", "p95", "p99", "max"
    );
    let mut pairs: Vec<_> = latency.pairs.iter().collect();
    if pairs.len() > PAIRS_SHOWN {
        // Those that matter: what is not known is worse than any number.
        pairs.sort_by(|(_, a), (_, b)| slowness(b).total_cmp(&slowness(a)));
        pairs.truncate(PAIRS_SHOWN);
        let all = latency.pairs.len();
        let _ = writeln!(text, "  the {PAIRS_SHOWN} slowest of {all} pairs");
    }
    for (pair, figures) in pairs {
        row(pair, figures, text);
    }
    row("all", &latency.all, text);
}

fn slowness(figures: &Figures) -> f64 {
    figures.p99_ms.unwrap_or(f64::INFINITY)
}

fn row(name: &str, figures: &Figures, text: &mut String) {
    let at = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), millis);
    let _ = writeln!(
        text,
        "  {name:<18} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9}",
        figures.count,
        figures.unseen,
        at(figures.p50_ms),
        at(figures.p95_ms),
        at(figures.p99_ms),
        at(figures.max_ms)
    );
}

/// Set-full's words and quantiles for each observer.
fn staleness(report: &Report, text: &mut String) {
    let wrote = |words: &Words| words.stable + words.lost + words.never_read > 0;
    if !report.staleness.values().any(|node| wrote(&node.words)) {
        return;
    }
    let _ = writeln!(
        text,
        "  {:<7} {:>7} {:>5} {:>10} {:>4} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "shown", "stable", "stale", "never-read", "lost", "0", "0.5", "0.95", "0.99", "1"
    );
    for (node, Staleness { words, visible_ms }) in &report.staleness {
        let at = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), millis);
        let _ = writeln!(
            text,
            "  {node:<7} {:>7} {:>5} {:>10} {:>4} {:>7} {:>7} {:>7} {:>7} {:>7}",
            words.stable,
            words.stale,
            words.never_read,
            words.lost,
            at(visible_ms.least),
            at(visible_ms.half),
            at(visible_ms.p95),
            at(visible_ms.p99),
            at(visible_ms.most)
        );
    }
}

fn convergence(report: &Report, text: &mut String) {
    let agreement = &report.convergence;
    for Recovery { after, ended, .. } in agreement.recoveries.iter().take(FAULTS_SHOWN) {
        let told = match ended {
            Recovered::Within(took) => format!("agreed in {}", millis(took.as_secs_f64() * 1e3)),
            Recovered::NotMeasured(why) => format!("not measured: {why}"),
            Recovered::Not(why) => format!("did not agree: {}", shortened(why)),
        };
        let _ = writeln!(text, "  after {after}: {told}");
    }
    let more = agreement.recoveries.len().saturating_sub(FAULTS_SHOWN);
    if more > 0 {
        let _ = writeln!(text, "  … {more} more in report.json");
    }
}

fn faults(report: &Report, text: &mut String) {
    for fault in report.faults.iter().take(FAULTS_SHOWN) {
        let member = fault.member.map(|member| member.to_string());
        let _ = write!(
            text,
            "  {:>9}  {} {}",
            millis(fault.at_ms),
            fault.fault,
            member.as_deref().unwrap_or("")
        );
        if let Some(value) = &fault.value {
            let _ = write!(text, " {}", value.text());
        }
        if let Some(error) = &fault.error {
            let _ = write!(text, " (not done: {error})");
        }
        text.push('\n');
    }
    let more = report.faults.len().saturating_sub(FAULTS_SHOWN);
    if more > 0 {
        let _ = writeln!(text, "             … {more} more in report.json");
    }
}

fn findings(report: &Report, text: &mut String) {
    for finding in &report.findings {
        let (verdict, checker) = (finding.verdict.map_or("-     ", word), finding.checker);
        let _ = writeln!(text, "  {verdict}  {checker:<16} {}", finding.summary);
        for reason in finding.reasons.iter().take(REASONS_SHOWN) {
            let _ = writeln!(text, "            {}", shortened(reason));
        }
        let more = finding.reasons.len().saturating_sub(REASONS_SHOWN);
        if more > 0 {
            let _ = writeln!(text, "            … {more} more in report.json");
        }
    }
}

fn shortened(reason: &str) -> String {
    match reason.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

fn verdict(report: &Report, text: &mut String) {
    let folder = report.folder.display();
    let _ = writeln!(text, "  evidence: {folder}");
    let (word, code) = if report.mistake.is_some() {
        ("MISTAKE IN THE SCRIPT", "exit 254")
    } else {
        match report.verdict {
            Verdict::Pass => ("PASS", "exit 0: everything that was to be shown was shown"),
            Verdict::Fail => ("FAIL", "exit 1: something promised was broken"),
            _ if report.is_skipped().is_some() => {
                ("SKIPPED", "exit 2: it needs what cannot be done here")
            }
            Verdict::Unknown => ("UNKNOWN", "exit 2: too little was measured to say"),
        }
    };
    let took = millis(report.took_ms);
    let _ = writeln!(text, "{word} {} in {took} ({code})", report.scenario);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Member;
    use crate::report::staleness::Quantiles;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        for (ms, text) in [
            (0.4567, "457 µs"),
            (1.5, "1.50 ms"),
            (23.456, "23.5 ms"),
            (999.9, "1000 ms"),
            (1_234.0, "1.23 s"),
        ] {
            assert_eq!(millis(ms), text);
        }
    }

    #[test]
    fn each_observer_has_a_row_that_fits_a_terminal() {
        let mut report = super::super::fixture::report("partition", Verdict::Pass, &[]);
        let words = Words {
            stable: 12_345,
            stale: 3,
            ..Words::default()
        };
        let visible_ms = Quantiles {
            least: Some(0.8),
            half: Some(1.234),
            p95: Some(45.67),
            p99: None,
            most: None,
        };
        let staleness = Staleness { words, visible_ms };
        report.staleness = [(Member::Node(2), staleness)].into();
        let text = print(&report);
        let row = text.lines().find(|line| line.starts_with("  node-2"));
        assert_eq!(
            row,
            Some("  node-2    12345     3          0    0  800 µs 1.23 ms 45.7 ms       -       -")
        );
        assert!(row.is_some_and(|row| row.chars().count() <= 80));
        report.staleness.clear();
        assert!(!print(&report).contains("never-read"));
    }
}
