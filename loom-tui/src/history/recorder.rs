//! The way into a history: a bounded queue and one thread that writes the file.
//!
//! When the queue is full, actors wait. Nothing is dropped: a history with a hole proves nothing.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc;

use super::processes::{Processes, Worker};
use super::{Action, Op, OpType, Process};
use crate::client::{Json, Key};
use crate::cluster::Member;

/// Operations waiting for the file; when full, whoever records waits.
const QUEUE_CAP: usize = 4_096;

/// Records operations. Cheap to clone; the history ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Op>,
    processes: Processes,
    epoch: Instant,
    /// Faults so far.
    faults: Arc<AtomicU64>,
}

/// The writing end's thread; joined to get the whole history.
#[derive(Debug)]
pub struct Writer(JoinHandle<io::Result<Vec<Op>>>);

impl Recorder {
    /// Starts a history in `file`, replacing what was there. Its times count from now.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn create(file: &Path) -> io::Result<(Self, Writer)> {
        let sink = BufWriter::new(File::create(file)?);
        let (queue, ops) = mpsc::channel(QUEUE_CAP);
        let thread = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write_all(ops, sink))?;
        let recorder = Self {
            queue,
            processes: Processes::default(),
            epoch: Instant::now(),
            faults: Arc::default(),
        };
        Ok((recorder, Writer(thread)))
    }

    /// Nanoseconds since the history began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// When the history began.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// A worker of its own for an actor that does one thing after another.
    pub fn worker(&self) -> Worker {
        self.processes.worker()
    }

    /// Records that an operation begins; how it ended is told to what this returns.
    ///
    /// Dropping that without an answer leaves the operation unknown, and retires its process.
    pub async fn begin<'w>(&self, worker: &'w Worker, asked: Asked) -> Pending<'w> {
        let mut op = Op {
            index: 0,
            time: self.now(),
            process: worker.process(),
            kind: OpType::Invoke,
            f: asked.action,
            value: asked.value,
            error: None,
            node: Some(asked.node),
            key: asked.key,
            state: None,
            fault: None,
        };
        self.put(op.clone()).await;
        op.value = None;
        Pending {
            recorder: self.clone(),
            worker: Some(worker),
            op,
        }
    }

    /// Records that a fault is about to be injected; that it was is told to what this returns.
    pub async fn inject(
        &self,
        action: Action,
        member: Option<Member>,
        value: Option<Json>,
    ) -> Injecting {
        let op = Op {
            index: 0,
            time: self.now(),
            process: Process::Nemesis,
            kind: OpType::Info,
            f: action,
            value,
            error: None,
            node: member,
            key: None,
            state: None,
            fault: Some(1 + self.faults.fetch_add(1, Ordering::Relaxed)),
        };
        self.put(op.clone()).await;
        Injecting {
            recorder: self.clone(),
            op,
        }
    }

    async fn put(&self, op: Op) {
        // The writer only goes away early when the disk failed; `Writer::finish` reports that.
        let _ = self.queue.send(op).await;
    }
}

/// What an operation asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What.
    pub action: Action,
    /// Of whom.
    pub node: Member,
    /// About which record, where it is about one.
    pub key: Option<Key>,
    /// The request's body or filter.
    pub value: Option<Json>,
}

/// A fault about to take hold. Dropped without an end, it may have.
#[derive(Debug)]
pub struct Injecting {
    recorder: Recorder,
    op: Op,
}

impl Injecting {
    /// Records that it has taken hold, or why it could not be injected.
    pub async fn done(mut self, error: Option<String>) {
        self.op.time = self.recorder.now();
        self.op.error = error.map(Cow::Owned);
        self.recorder.put(self.op).await;
    }
}

/// An operation under way.
#[derive(Debug)]
pub struct Pending<'w> {
    recorder: Recorder,
    /// `None` once it was answered.
    worker: Option<&'w Worker>,
    op: Op,
}

impl Pending<'_> {
    /// It happened, and this is what the cluster said.
    pub async fn ok(mut self, value: Option<Json>, state: Option<f64>) {
        self.worker = None;
        self.op.value = value;
        self.op.state = state;
        self.end(OpType::Ok, None).await;
    }

    /// It was refused: it did not happen.
    pub async fn fail(mut self, why: impl Into<Cow<'static, str>>) {
        self.worker = None;
        self.end(OpType::Fail, Some(why.into())).await;
    }

    /// Nobody knows whether it happened.
    pub async fn info(mut self, why: impl Into<Cow<'static, str>>) {
        self.end(OpType::Info, Some(why.into())).await;
        // Dropping `self` retires the process.
    }

    /// A reader of its own answer: the key only known once the cluster named it.
    pub fn about(&mut self, key: Key) {
        self.op.key = Some(key);
    }

    async fn end(&mut self, kind: OpType, error: Option<Cow<'static, str>>) {
        let op = Op {
            kind,
            error,
            time: self.recorder.now(),
            ..self.op.clone()
        };
        self.recorder.put(op).await;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.worker {
            worker.retire();
        }
    }
}

impl Writer {
    /// Waits until every recorder is gone and everything is in the file.
    ///
    /// # Errors
    ///
    /// When the file could not be written: there is no evidence then, and no verdict.
    pub async fn finish(self) -> io::Result<Vec<Op>> {
        let joined = tokio::task::spawn_blocking(move || self.0.join()).await;
        match joined {
            Ok(Ok(written)) => written,
            Ok(Err(_)) | Err(_) => Err(io::Error::other("the history's writer panicked")),
        }
    }
}

fn write_all(mut ops: mpsc::Receiver<Op>, mut sink: BufWriter<File>) -> io::Result<Vec<Op>> {
    let mut history = Vec::new();
    while let Some(mut op) = ops.blocking_recv() {
        op.index = history.len() as u64;
        serde_json::to_writer(&mut sink, &op)?;
        sink.write_all(b"\n")?;
        if ops.is_empty() {
            // Whoever follows the file, or finds it after a crash, sees all there is.
            sink.flush()?;
        }
        history.push(op);
    }
    sink.flush()?;
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::processes::CONCURRENCY;

    fn create(id: &str) -> Asked {
        Asked {
            action: Action::Create,
            node: Member::Node(1),
            key: Some(Key::vertex(id)),
            value: Some(Json::parse("{}").unwrap()),
        }
    }

    #[tokio::test]
    async fn what_was_recorded_is_in_the_file_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.jsonl");
        let (recorder, writer) = Recorder::create(&file).unwrap();
        let worker = recorder.worker();
        let pending = recorder.begin(&worker, create("a")).await;
        pending.ok(None, Some(5.0)).await;
        let pending = recorder.begin(&worker, create("b")).await;
        pending.info("no answer within 5 s").await;
        let pending = recorder.begin(&worker, create("c")).await;
        pending.fail("connection refused").await;
        drop((recorder, worker));

        let ops = writer.finish().await.unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let read: Vec<Op> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, ops);
        let shape: Vec<_> = ops
            .iter()
            .map(|op| (op.index, op.process, op.kind))
            .collect();
        let successor = Process::Client(CONCURRENCY);
        assert_eq!(
            shape,
            [
                (0, Process::Client(0), OpType::Invoke),
                (1, Process::Client(0), OpType::Ok),
                (2, Process::Client(0), OpType::Invoke),
                (3, Process::Client(0), OpType::Info),
                (4, successor, OpType::Invoke),
                (5, successor, OpType::Fail),
            ]
        );
        assert!(ops.windows(2).all(|pair| pair[0].time <= pair[1].time));
    }

    #[tokio::test]
    async fn an_operation_nobody_finished_retires_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let (recorder, _writer) = Recorder::create(&folder.path().join("h")).unwrap();
        let worker = recorder.worker();
        drop(recorder.begin(&worker, create("a")).await);
        assert_eq!(worker.process(), Process::Client(CONCURRENCY));
    }

    #[tokio::test]
    async fn more_than_the_queue_holds_is_waited_for_not_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (recorder, writer) = Recorder::create(&folder.path().join("h")).unwrap();
        let count = QUEUE_CAP * 3;
        for _ in 0..count {
            drop(recorder.inject(Action::Kill, None, None).await);
        }
        drop(recorder);
        assert_eq!(writer.finish().await.unwrap().len(), count);
    }
}
