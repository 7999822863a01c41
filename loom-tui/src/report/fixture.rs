//! Reports for the printers' tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Agreement, Environment, Expectations, Figures, Latency, Report, Setting};
use crate::check::Finding;
use crate::snapshot::Verdict;

/// A run that one checker judged, for these reasons.
pub(crate) fn report(scenario: &str, verdict: Verdict, reasons: &[&str]) -> Report {
    Report {
        scenario: scenario.to_owned(),
        about: "Something.".to_owned(),
        file: format!("{scenario}.rhai"),
        args: BTreeMap::new(),
        seed: 7,
        started: "2026-11-25T10:00:00Z".to_owned(),
        took_ms: 1_500.0,
        verdict,
        mistake: None,
        skipped: None,
        rig: None,
        setting: Setting {
            backend: "local".to_owned(),
            nodes: 3,
            durability: None,
            shared: false,
            planted: None,
        },
        findings: vec![Finding {
            checker: "acked_lost",
            verdict: Some(verdict),
            summary: "as it is".to_owned(),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        }],
        thresholds: Vec::new(),
        expectations: Expectations::default(),
        gates: Vec::new(),
        metrics: Vec::new(),
        convergence: Agreement {
            worst_ms: None,
            limit_ms: 30_000.0,
            recoveries: Vec::new(),
        },
        latency: Latency {
            all: Figures {
                count: 0,
                unseen: 0,
                p50_ms: None,
                p95_ms: None,
                p99_ms: None,
                max_ms: None,
            },
            pairs: BTreeMap::new(),
        },
        staleness: BTreeMap::new(),
        operations: BTreeMap::new(),
        faults: Vec::new(),
        notes: Vec::new(),
        environment: Environment::here(),
        folder: PathBuf::from("runs/latest"),
    }
}
