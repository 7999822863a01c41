//! Gives a blocking store a thread of its own, and lets waiting batches share one commit.
//!
//! Group commit without a timer: whatever arrives while one commit is on its way to the disk rides
//! in the next. A lone write waits for nothing, and under load the batches grow by themselves.
//!
//! The queue is bounded in batches and bytes; when it is full ([`StoreThread::is_full`]) the driver
//! takes nothing more in until the disk has caught up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::watch;

use super::{Durability, Store, StoreError};
use crate::machine::{Batch, Commit, Deferral};
use crate::metrics::Counter;
use crate::model::{Change, Write};

/// A store at work.
#[derive(Debug)]
pub struct StoreThread {
    durability: Durability,
    batches: blocking::Sender<Submitted>,
    /// Counted as queued already, and sent with the next [`StoreThread::flush`].
    gathered: Option<Submitted>,
    progress: watch::Receiver<Progress>,
    submitted: Commit,
    reported: Commit,
    queued: Arc<Queued>,
    thread: JoinHandle<()>,
}

/// What the store's thread has done so far.
#[derive(Debug, Default)]
pub struct StoreStats {
    /// Commits carried out; `batches / commits` is how well they are grouped.
    pub commits: Counter,
    /// Batches they contained.
    pub batches: Counter,
    /// Changes they contained.
    pub changes: Counter,
    /// Time they took, in microseconds.
    pub commit_us: Counter,
}

#[derive(Debug)]
struct Submitted {
    /// The last of them.
    commit: Commit,
    batch: Batch,
    /// How many went into it.
    batches: usize,
    bytes: usize,
}

impl Submitted {
    fn append(&mut self, later: Self) {
        self.commit = later.commit;
        self.batch.append(later.batch);
        self.batches += later.batches;
        self.bytes += later.bytes;
    }
}

#[derive(Debug, Default)]
struct Queued {
    batches: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether everything that was ever issued has been submitted, and nothing else will be.
    in_order: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    durable: Commit,
    failure: Option<Arc<StoreError>>,
}

/// Batches that may wait before the driver stops taking more in.
const QUEUE_LEN_MAX: usize = 4096;
/// Their bytes, about.
const QUEUE_BYTES_MAX: usize = 32 << 20;

impl StoreThread {
    /// Starts the thread.
    ///
    /// # Panics
    ///
    /// If the operating system has no thread to give.
    pub fn start(store: Box<dyn Store>, stats: Arc<StoreStats>) -> Self {
        let (batches, waiting) = blocking::channel();
        let (report, progress) = watch::channel(Progress::default());
        let queued = Arc::<Queued>::default();
        let durability = store.durability();
        let work = Work {
            store,
            waiting,
            report,
            queued: Arc::clone(&queued),
            stats,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || work.run())
            .expect("a process that cannot start one thread cannot serve");
        Self {
            durability,
            batches,
            gathered: None,
            progress,
            submitted: Commit::default(),
            reported: Commit::default(),
            queued,
            thread,
        }
    }

    /// What a commit that was reported survives.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Queues a batch for the next [`StoreThread::flush`]. Commits must rise. Never blocks: ask
    /// [`StoreThread::is_full`] before taking in what may lead here.
    pub fn submit(&mut self, commit: Commit, batch: Batch) {
        debug_assert!(commit > self.submitted, "commits must rise");
        self.submitted = commit;
        let bytes = weight(&batch);
        self.queued.batches.fetch_add(1, Relaxed);
        self.queued.bytes.fetch_add(bytes, Relaxed);
        let submitted = Submitted {
            commit,
            batch,
            batches: 1,
            bytes,
        };
        match &mut self.gathered {
            Some(gathered) => gathered.append(submitted),
            None => self.gathered = Some(submitted),
        }
    }

    /// Wakes the thread for all that was submitted: once for many, because waking costs more than
    /// any of them.
    pub fn flush(&mut self) {
        if let Some(gathered) = self.gathered.take() {
            // A thread that has failed says so through `progress`.
            let _ = self.batches.send(gathered);
        }
    }

    /// Whether as much is waiting as may.
    pub fn is_full(&self) -> bool {
        self.queued.batches.load(Relaxed) >= QUEUE_LEN_MAX
            || self.queued.bytes.load(Relaxed) >= QUEUE_BYTES_MAX
    }

    /// Whether something submitted has not been reported by [`StoreThread::progress`] yet.
    pub fn is_behind(&self) -> bool {
        self.reported < self.submitted
    }

    /// Waits until more is stored, and returns the highest commit that is. Safe to drop and retry.
    ///
    /// # Errors
    ///
    /// [`StoreError`] once a commit has failed: nothing after it will ever be reported.
    pub async fn progress(&mut self) -> Result<Commit, Arc<StoreError>> {
        let reported = self.reported;
        let seen = self
            .progress
            .wait_for(|it| it.durable > reported || it.failure.is_some())
            .await;
        let Progress { durable, failure } = match seen {
            Ok(seen) => seen.clone(),
            Err(_) => return Err(Arc::new(StoreError::thread_ended())),
        };
        // What was stored before the failure may still be acknowledged.
        if durable > reported {
            self.reported = durable;
            return Ok(durable);
        }
        match failure {
            Some(failure) => Err(failure),
            None => Err(Arc::new(StoreError::thread_ended())),
        }
    }

    /// Lets the thread finish what is queued, close the store, and end. Only for an end in order:
    /// see [`Store::release`].
    pub async fn join(mut self) {
        self.flush();
        self.queued.in_order.store(true, Relaxed);
        drop(self.batches);
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the store's thread panicked while closing");
        }
    }
}

/// What the thread itself holds.
struct Work {
    store: Box<dyn Store>,
    waiting: blocking::Receiver<Submitted>,
    report: watch::Sender<Progress>,
    queued: Arc<Queued>,
    stats: Arc<StoreStats>,
}

impl Work {
    fn run(mut self) {
        while let Ok(first) = self.waiting.recv() {
            let mut all = first;
            // The queue is bounded, so what one commit can collect is too.
            while let Ok(next) = self.waiting.try_recv() {
                all.append(next);
            }
            let Submitted {
                commit,
                batch,
                batches,
                bytes,
            } = all;
            let started = Instant::now();
            let outcome = self.store.commit(&batch);
            let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.queued.batches.fetch_sub(batches, Relaxed);
            self.queued.bytes.fetch_sub(bytes, Relaxed);
            match outcome {
                Ok(()) => {
                    self.stats.commits.up();
                    self.stats.batches.add(batches as u64);
                    self.stats.changes.add(batch.changes.len() as u64);
                    self.stats.commit_us.add(took_us);
                    self.report.send_modify(|it| it.durable = commit);
                }
                Err(error) => {
                    // Trying again is no cure: after a failed fsync the kernel may have dropped
                    // the very pages that could not be written, and report success next time.
                    tracing::error!(%error, "the store failed");
                    let failure = Some(Arc::new(error));
                    self.report.send_modify(|it| it.failure = failure);
                    return;
                }
            }
        }
        if self.queued.in_order.load(Relaxed)
            && let Err(error) = self.store.release()
        {
            tracing::error!(%error, "the store could not be closed cleanly");
        }
    }
}

/// About what a batch costs in memory.
fn weight(batch: &Batch) -> usize {
    let changes = batch.changes.iter().map(|Change { write, was, .. }| {
        let was = was.as_ref().map_or(0, |was| was.value.json().len());
        size_of::<Change>() + text_bytes(write) + was
    });
    let deferrals = batch.deferrals.iter().map(|deferral| {
        let (Deferral::Waits(write) | Deferral::Over(write)) = deferral;
        size_of::<Deferral>() + text_bytes(write)
    });
    changes.chain(deferrals).sum()
}

fn text_bytes(write: &Write) -> usize {
    write.soul.len() + write.field.len() + write.cell.value.json().len()
}
