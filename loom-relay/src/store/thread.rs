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
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Durability, Store, StoreError, weight};
use crate::machine::{Batch, Commit};
use crate::metrics::Counter;

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
    /// Whether it was told last that nothing is stored.
    stalled: bool,
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
    /// Commits that failed and were tried again.
    pub failures: Counter,
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
    /// Why nothing is stored at the moment.
    stalled: Option<Arc<StoreError>>,
    failure: Option<Arc<StoreError>>,
}

/// What [`StoreThread::progress`] has to tell.
#[derive(Clone, Debug)]
pub enum Progressed {
    /// Everything up to this commit is stored.
    Stored(Commit),
    /// The last commit failed and is tried again until it succeeds.
    Stalled(Arc<StoreError>),
    /// It did.
    Resumed,
}

/// How long to wait before a commit that failed is tried again: at first, and at most.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

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
            stalled: false,
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

    /// Waits until there is something to tell, such as the highest commit that is stored. Safe to
    /// drop and retry.
    ///
    /// # Errors
    ///
    /// [`StoreError`] once a commit has failed for good: nothing after it will ever be reported.
    pub async fn progress(&mut self) -> Result<Progressed, Arc<StoreError>> {
        let (reported, told) = (self.reported, self.stalled);
        let news = |it: &Progress| {
            it.durable > reported || it.stalled.is_some() != told || it.failure.is_some()
        };
        let Progress {
            durable,
            stalled,
            failure,
        } = match self.progress.wait_for(news).await {
            Ok(seen) => seen.clone(),
            Err(_) => return Err(Arc::new(StoreError::thread_ended())),
        };
        if told && stalled.is_none() && failure.is_none() {
            self.stalled = false;
            return Ok(Progressed::Resumed);
        }
        // What was stored before the failure may still be acknowledged.
        if durable > reported {
            self.reported = durable;
            return Ok(Progressed::Stored(durable));
        }
        if let Some(why) = stalled
            && !told
        {
            self.stalled = true;
            return Ok(Progressed::Stalled(why));
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
            let all = self.gather(first);
            if !self.keep(all) {
                return;
            }
        }
        if self.queued.in_order.load(Relaxed)
            && let Err(error) = self.store.release()
        {
            tracing::error!(%error, "the store could not be closed cleanly");
        }
    }

    /// Everything that waits, in one.
    fn gather(&self, first: Submitted) -> Submitted {
        let mut all = first;
        // The queue is bounded, so what one commit can collect is too.
        while let Ok(next) = self.waiting.try_recv() {
            all.append(next);
        }
        all
    }

    /// Stores it, however often that has to be tried; false when it is in vain.
    fn keep(&mut self, mut all: Submitted) -> bool {
        let [mut pause, pause_max] = RETRY_AFTER;
        loop {
            let started = Instant::now();
            let outcome = self.store.commit(&all.batch);
            let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            let error = match outcome {
                Ok(()) => {
                    self.queued.batches.fetch_sub(all.batches, Relaxed);
                    self.queued.bytes.fetch_sub(all.bytes, Relaxed);
                    self.stats.commits.up();
                    self.stats.batches.add(all.batches as u64);
                    self.stats.changes.add(all.batch.changes.len() as u64);
                    self.stats.commit_us.add(took_us);
                    self.report.send_modify(|it| {
                        if it.stalled.take().is_some() {
                            tracing::info!("the store takes writes again");
                        }
                        it.durable = all.commit;
                    });
                    return true;
                }
                Err(error) => Arc::new(error),
            };
            if !error.passing {
                return self.fail(error);
            }
            self.stats.failures.up();
            self.report.send_if_modified(|it| {
                let news = it.stalled.is_none();
                if news {
                    tracing::error!(%error, "the store takes no writes; trying again");
                    it.stalled = Some(Arc::clone(&error));
                }
                news
            });
            // What was on its way when it began rides along.
            match self.waiting.recv_timeout(pause) {
                Ok(next) => all.append(self.gather(next)),
                Err(blocking::RecvTimeoutError::Timeout) => {}
                Err(blocking::RecvTimeoutError::Disconnected) => return self.fail(error),
            }
            pause = (pause * 2).min(pause_max);
        }
    }

    fn fail(&self, error: Arc<StoreError>) -> bool {
        tracing::error!(%error, "the store failed");
        self.report.send_modify(|it| it.failure = Some(error));
        false
    }
}
