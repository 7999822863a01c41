//! Figures of several rounds, printed as tables a README can take as they are.

use hdrhistogram::Histogram;

use crate::load::{self, Framing};
use crate::subject::Subject;

/// Better than the GUN relay by how much; the goals of the project.
const RATE_GOAL: f64 = 20.0;
const P99_GOAL: f64 = 5.0;
const MEMORY_GOAL: f64 = 4.0;

/// What is known about one subject.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) subject: Subject,
    /// Messages a second, for each framing, in each round.
    pub(crate) rates: [Vec<f64>; Framing::ALL.len()],
    /// Processors used meanwhile.
    pub(crate) processors: Vec<f64>,
    /// Their time for one message, in microseconds: what hardly depends on what else is running.
    pub(crate) processor_us: Vec<f64>,
    /// Nanoseconds, of all rounds.
    pub(crate) times: Histogram<u64>,
    pub(crate) idle_bytes: Vec<f64>,
    /// After the paced load: as many messages for everybody.
    pub(crate) loaded_bytes: Vec<f64>,
}

impl Row {
    pub(crate) fn new(subject: Subject) -> Self {
        Self {
            subject,
            rates: Default::default(),
            processors: Vec::new(),
            processor_us: Vec::new(),
            times: load::histogram(),
            idle_bytes: Vec::new(),
            loaded_bytes: Vec::new(),
        }
    }

    fn rate(&self, framing: Framing) -> f64 {
        median(&self.rates[framing as usize])
    }

    /// In microseconds.
    fn late_us(&self, quantile: f64) -> f64 {
        self.times.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// The figures themselves.
pub(crate) fn print_figures(rows: &[Row], rate: u32, messages: u64) {
    print_head(&[
        "relay",
        "messages/s, one per frame",
        "packed",
        "processors",
        "their time for one",
        &format!("p50 at {rate}/s"),
        "p99",
        "memory, idle",
        &format!("after {messages} messages"),
    ]);
    for row in rows {
        println!(
            "| {} | {:.0} | {:.0} | {:.2} | {:.1} µs | {:.0} µs | {:.0} µs | {:.1} MiB | {:.1} MiB |",
            row.subject.name(),
            row.rate(Framing::Single),
            row.rate(Framing::Packed),
            median(&row.processors),
            median(&row.processor_us),
            row.late_us(0.5),
            row.late_us(0.99),
            mib(&row.idle_bytes),
            mib(&row.loaded_bytes),
        );
    }
}

/// Every row of ours beside every row of GUN's, as factors in our favour.
pub(crate) fn print_ratios(rows: &[Row]) {
    let theirs = || {
        rows.iter()
            .filter(|row| matches!(row.subject, Subject::Gun { .. }))
    };
    let ours = || {
        rows.iter()
            .filter(|row| matches!(row.subject, Subject::Loom { .. }))
    };
    if theirs().next().is_none() || ours().next().is_none() {
        return;
    }
    print_head(&[
        "relay",
        "beside",
        "messages/s, one per frame",
        "packed",
        "processor time",
        "p50",
        "p99",
        "memory",
    ]);
    println!(
        "| goal | | {RATE_GOAL:.0}× | {RATE_GOAL:.0}× | | | 1/{P99_GOAL:.0} | 1/{MEMORY_GOAL:.0} |"
    );
    for our in ours() {
        for their in theirs() {
            let faster = |framing| our.rate(framing) / their.rate(framing);
            let sooner = |quantile| their.late_us(quantile) / our.late_us(quantile);
            println!(
                "| {} | {} | {:.1}× | {:.1}× | 1/{:.1} | 1/{:.1} | 1/{:.1} | 1/{:.1} |",
                our.subject.name(),
                their.subject.name(),
                faster(Framing::Single),
                faster(Framing::Packed),
                median(&their.processor_us) / median(&our.processor_us),
                sooner(0.5),
                sooner(0.99),
                median(&their.loaded_bytes) / median(&our.loaded_bytes),
            );
        }
    }
}

fn print_head(columns: &[&str]) {
    println!(
        "\n| {} |\n|{}",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
}

fn mib(bytes: &[f64]) -> f64 {
    median(bytes) / 1024.0 / 1024.0
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
