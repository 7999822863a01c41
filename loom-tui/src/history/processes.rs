//! Who is doing what: numbers for logical processes, and their retirement.
//!
//! A process does one operation at a time. When an operation ends unknown, it may still be under
//! way, so its process never does another: the worker goes on under its successor's number,
//! [`CONCURRENCY`] higher. `process % CONCURRENCY` therefore stays the worker.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Process;

/// Distance between a process and its successor; no run has this many workers at once, because
/// every load is bounded well below it.
pub const CONCURRENCY: u64 = 10_000;

/// Hands out workers, lowest free number first.
#[derive(Clone, Debug, Default)]
pub struct Processes(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// How many processes of each worker were retired.
    retired: Vec<u64>,
    free: BTreeSet<usize>,
}

impl Processes {
    /// A worker nobody else uses while it is held.
    pub fn worker(&self) -> Worker {
        let mut table = self.lock();
        let number = table.free.pop_first().unwrap_or_else(|| {
            table.retired.push(0);
            table.retired.len() - 1
        });
        Worker {
            number,
            processes: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing between lock and unlock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One sequence of operations, returned to the pool when dropped.
#[derive(Debug)]
pub struct Worker {
    number: usize,
    processes: Processes,
}

impl Worker {
    /// The process this worker is at the moment.
    pub fn process(&self) -> Process {
        let generation = self.processes.lock().retired[self.number];
        Process::Client(self.number as u64 + CONCURRENCY * generation)
    }

    /// Ends the current process: what it began may still be under way.
    pub fn retire(&self) {
        self.processes.lock().retired[self.number] += 1;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.processes.lock().free.insert(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_process_never_works_again_and_its_worker_does() {
        let processes = Processes::default();
        let first = processes.worker();
        let second = processes.worker();
        assert_eq!(second.process(), Process::Client(1));
        first.retire();
        assert_eq!(first.process(), Process::Client(CONCURRENCY));
        drop(first);
        assert_eq!(processes.worker().process(), Process::Client(CONCURRENCY));
    }
}
