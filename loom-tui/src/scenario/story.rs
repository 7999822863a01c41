//! How a run tells how far it is, while it runs.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Somebody who listens to a run. Listening never holds the run up.
pub trait Listen: Send + Sync + fmt::Debug {
    /// A step begins, the `number`th from 1.
    fn step(&self, number: u32, text: &str);

    /// Something was done to the cluster, or is worth a line.
    fn note(&self, text: &str);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence;

impl Listen for Silence {
    fn step(&self, _: u32, _: &str) {}

    fn note(&self, _: &str) {}
}

/// Lines on standard error, each with the age of the run.
#[derive(Debug)]
pub struct Lines {
    begun: Instant,
    /// One line at a time, whole.
    line: Mutex<()>,
}

impl Lines {
    /// Counts from now.
    pub fn begin() -> Self {
        Self {
            begun: Instant::now(),
            line: Mutex::new(()),
        }
    }

    fn print(&self, mark: &str, text: &str) {
        let _whole = self.line.lock();
        let age = clock(self.begun.elapsed());
        eprintln!("{age}  {mark} {text}");
    }
}

impl Listen for Lines {
    fn step(&self, _: u32, text: &str) {
        self.print(">", text);
    }

    fn note(&self, text: &str) {
        self.print(" ", text);
    }
}

fn clock(age: Duration) -> String {
    format!("{:>7.2}s", age.as_secs_f64())
}
