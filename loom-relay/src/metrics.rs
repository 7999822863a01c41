//! Counting, and printing counts in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// `by` more.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The content type of [`Exposition::finish`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics being written. Each family is written once, in one call.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// A number that only rises; by convention `name` ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        let _ = writeln!(self.text, "{name} {value}");
    }

    /// A time that only rises, counted in microseconds and printed in seconds.
    pub fn counter_seconds(&mut self, name: &str, help: &str, value_us: u64) {
        self.head(name, help, "counter");
        let _ = writeln!(self.text, "{name} {}", value_us as f64 / 1e6);
    }

    /// A number that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.text, "{name} {value}");
    }

    /// One counter per value of one label.
    pub fn labelled_counter(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) {
        self.head(name, help, "counter");
        for (of, value) in values {
            let of = escaped(of);
            let _ = writeln!(self.text, "{name}{{{label}=\"{of}\"}} {value}");
        }
    }

    /// One gauge per value of one label.
    pub fn labelled_gauge(&mut self, name: &str, help: &str, label: &str, values: &[(&str, f64)]) {
        self.head(name, help, "gauge");
        for (of, value) in values {
            let of = escaped(of);
            let _ = writeln!(self.text, "{name}{{{label}=\"{of}\"}} {value}");
        }
    }

    /// What Prometheus expects of every process, as far as the operating system tells.
    pub fn process(&mut self) {
        if let Some(bytes) = resident_bytes() {
            self.gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                bytes as f64,
            );
        }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

/// Resident memory of this process; `None` where `/proc` does not tell.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_help_and_type_and_labels_are_escaped() {
        let mut page = Exposition::default();
        page.counter("a_total", "Count of a.", 3);
        page.gauge("b", "Size of b.", 0.5);
        page.labelled_counter("c_total", "By reason.", "reason", &[("say \"x\"", 1)]);
        assert_eq!(
            page.finish(),
            "# HELP a_total Count of a.\n# TYPE a_total counter\na_total 3\n\
             # HELP b Size of b.\n# TYPE b gauge\nb 0.5\n\
             # HELP c_total By reason.\n# TYPE c_total counter\nc_total{reason=\"say \\\"x\\\"\"} 1\n"
        );
    }
}
