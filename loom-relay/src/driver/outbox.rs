//! What waits to be sent to one peer, and what waits for all peers together: [`outbox`].
//!
//! A frame that goes to many peers is in memory once, so it counts for each peer's queue and not for
//! the sum of all. What is only for one peer, an answer above all, counts for both: else a thousand
//! peers that ask and do not read could each have a whole queue of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes that are in memory for one peer each, over all peers.
pub(super) type OwnBytes = Arc<AtomicUsize>;

/// Both ends of a new queue.
pub(super) fn outbox(all: &OwnBytes) -> (Outbox, Waiting) {
    let (queue, frames) = mpsc::unbounded_channel();
    let tally = Arc::new(Tally {
        bytes: AtomicUsize::new(0),
        own: AtomicUsize::new(0),
        all: Arc::clone(all),
    });
    let waiting = Waiting {
        frames,
        tally: Arc::clone(&tally),
    };
    (Outbox { queue, tally }, waiting)
}

/// The end frames are put into. Dropping it lets what waits be sent first.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: mpsc::UnboundedSender<Frame>,
    tally: Arc<Tally>,
}

/// The end frames are sent from. Dropping it forgets what waits.
#[derive(Debug)]
pub(super) struct Waiting {
    frames: mpsc::UnboundedReceiver<Frame>,
    tally: Arc<Tally>,
}

/// One frame that waits.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    /// Whether it is in memory for this peer only.
    is_own: bool,
}

/// Frames that are sent together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: usize,
    own: usize,
}

#[derive(Debug)]
struct Tally {
    /// Waiting, or in the batch being flushed.
    bytes: AtomicUsize,
    /// Those of them that are in memory for this peer only.
    own: AtomicUsize,
    all: OwnBytes,
}

impl Outbox {
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.tally.bytes.load(Relaxed)
    }

    /// Bytes that wait and are in memory for this peer only.
    pub(super) fn own_bytes(&self) -> usize {
        self.tally.own.load(Relaxed)
    }

    /// Queues a frame. A link that has just ended takes it no more.
    pub(super) fn push(&self, bytes: Bytes) {
        let len = bytes.len();
        let is_own = bytes.is_unique();
        self.tally.add(len, is_own);
        if self.queue.send(Frame { bytes, is_own }).is_err() {
            self.tally.forget();
        }
    }
}

impl Waiting {
    /// The next frame; `None` when there will be none.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }

    /// The next frame, if there is one now.
    pub(super) fn try_next(&mut self) -> Option<Frame> {
        self.frames.try_recv().ok()
    }

    /// A batch was sent.
    pub(super) fn sent(&self, batch: &Batch) {
        self.tally.bytes.fetch_sub(batch.bytes, Relaxed);
        self.tally.own.fetch_sub(batch.own, Relaxed);
        self.tally.all.fetch_sub(batch.own, Relaxed);
    }
}

impl Batch {
    /// Takes a frame in and gives its bytes out.
    pub(super) fn take(&mut self, frame: Frame) -> Bytes {
        let len = frame.bytes.len();
        self.bytes += len;
        if frame.is_own {
            self.own += len;
        }
        frame.bytes
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Nothing is queued after this, and what is queued goes with the receiver.
        self.frames.close();
        self.tally.forget();
    }
}

impl Tally {
    fn add(&self, len: usize, is_own: bool) {
        self.bytes.fetch_add(len, Relaxed);
        if is_own {
            self.own.fetch_add(len, Relaxed);
            self.all.fetch_add(len, Relaxed);
        }
    }

    /// Takes this peer's bytes out of the sum, once however often it is called.
    fn forget(&self) {
        let own = self.own.swap(0, Relaxed);
        self.all.fetch_sub(own, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(len: usize) -> Bytes {
        vec![b'x'; len].into()
    }

    #[test]
    fn a_frame_for_many_counts_for_each_and_not_for_all() {
        let all = OwnBytes::default();
        let (first, _waiting) = outbox(&all);
        let (second, _waiting_too) = outbox(&all);
        let shared = own(100);
        first.push(shared.clone());
        second.push(shared);
        second.push(own(7));
        assert_eq!((first.bytes(), second.bytes()), (100, 107));
        assert_eq!((first.own_bytes(), second.own_bytes()), (0, 7));
        assert_eq!(all.load(Relaxed), 7);
    }

    #[tokio::test]
    async fn what_was_sent_and_what_went_with_its_link_are_counted_no_more() {
        let all = OwnBytes::default();
        let (outbox, mut waiting) = outbox(&all);
        for len in [10, 20, 30] {
            outbox.push(own(len));
        }
        let mut batch = Batch::default();
        batch.take(waiting.next().await.unwrap());
        batch.take(waiting.try_next().unwrap());
        assert_eq!(all.load(Relaxed), 60);
        waiting.sent(&batch);
        assert_eq!((outbox.bytes(), all.load(Relaxed)), (30, 30));
        drop(waiting);
        assert_eq!(all.load(Relaxed), 0);
        // The driver hears of the end a moment later.
        outbox.push(own(5));
        assert_eq!(all.load(Relaxed), 0);
    }
}
