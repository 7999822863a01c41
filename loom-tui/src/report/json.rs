//! The report for programs.

use super::Report;

/// The report as indented JSON; what is not known is `null`.
pub fn print(report: &Report) -> String {
    serde_json::to_string_pretty(report).expect("a report has text keys and plain values")
}

/// Several reports as one array.
pub fn print_all(reports: &[Report]) -> String {
    serde_json::to_string_pretty(reports).expect("a report has text keys and plain values")
}
