//! Bytes read from one side and not yet written to the other, and when each may go.
//!
//! [`Backlog`] is a bounded buffer without IO. A clear flow uses it as a plain buffer that is
//! allocated once; a flow with latency lets it grow to [`DELAYED_MAX`] and marks each chunk with
//! the moment it was read, so that a changed latency holds for bytes already waiting.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Flow;

/// Bytes held when nothing is delayed on purpose.
const CLEAR_MAX: usize = 64 * 1024;
/// Bytes held under latency. With 100 ms of it this is 40 MB/s: latency stays latency.
const DELAYED_MAX: usize = 4 * 1024 * 1024;
/// Chunks held under latency.
const CHUNKS_MAX: usize = 16 * 1024;

/// How long a sender waits before it sends a lost segment again, the first time: Linux' least.
const RESEND_AFTER: Duration = Duration::from_millis(200);
/// How often one segment is lost in a row at most: 12.6 s of waiting.
const LOST_MAX: u32 = 6;

/// How a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It closed: FIN.
    Closed,
    /// It broke: RST.
    Reset,
}

/// One chunk that waits for its latency to pass.
#[derive(Debug)]
struct Mark {
    bytes: usize,
    read_at: Instant,
    /// Where in the flow's jitter it falls, from -1 to 1.
    skew: f32,
    /// How often it was lost before it got through.
    lost: u32,
}

impl Mark {
    fn due(&self, flow: &Flow) -> Instant {
        let jitter = flow.jitter.mul_f32(self.skew.abs());
        let delay = if self.skew < 0.0 {
            flow.latency.saturating_sub(jitter)
        } else {
            flow.latency.saturating_add(jitter)
        };
        // Waits of 1, 2, 4, … times the first.
        let resent = RESEND_AFTER * ((1 << self.lost) - 1);
        let resent = if flow.loss_permille > 0 {
            resent
        } else {
            Duration::ZERO
        };
        self.read_at + delay + resent
    }
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Backlog {
    /// `head..tail` is held; the first `ready` bytes of it may go.
    bytes: Vec<u8>,
    head: usize,
    tail: usize,
    ready: usize,
    marks: VecDeque<Mark>,
    ending: Option<(Ending, Mark)>,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; CLEAR_MAX],
            head: 0,
            tail: 0,
            ready: 0,
            marks: VecDeque::new(),
            ending: None,
        }
    }

    /// Books `bytes` that were just read into the spare part.
    pub(super) fn filled(&mut self, bytes: usize, flow: &Flow, draw: impl FnMut() -> f32) {
        self.tail += bytes;
        if delays(flow) {
            self.marks.push_back(mark(bytes, flow, draw));
        } else {
            self.ready += bytes;
        }
    }

    /// The source ended; nothing more will be filled in.
    pub(super) fn end(&mut self, ending: Ending, flow: &Flow, draw: impl FnMut() -> f32) {
        self.ending = Some((ending, mark(0, flow, draw)));
    }

    /// Whether the source ended, told to the other side or not.
    pub(super) fn has_ended(&self) -> bool {
        self.ending.is_some()
    }

    /// Lets go what is due. Returns when to come back if more is waiting.
    pub(super) fn release(
        &mut self,
        flow: &Flow,
        now: impl FnOnce() -> Instant,
    ) -> Option<Instant> {
        if self.marks.is_empty() && self.ending.is_none() {
            return None;
        }
        if !delays(flow) {
            self.ready = self.tail - self.head;
            self.marks.clear();
            return None;
        }
        let now = now();
        while let Some(mark) = self.marks.front() {
            let due = mark.due(flow);
            if due > now {
                return Some(due);
            }
            self.ready += mark.bytes;
            self.marks.pop_front();
        }
        let (_, mark) = self.ending.as_ref()?;
        Some(mark.due(flow)).filter(|due| *due > now)
    }

    /// How the source ended, once everything before it has gone and its own moment has come.
    pub(super) fn ended(&self, flow: &Flow, now: impl FnOnce() -> Instant) -> Option<Ending> {
        let (ending, mark) = self.ending.as_ref()?;
        let told = self.head == self.tail && (!delays(flow) || mark.due(flow) <= now());
        told.then_some(*ending)
    }

    /// What may go, and room for what may come. Room is empty when the backlog is full.
    pub(super) fn split(&mut self, flow: &Flow) -> (&[u8], &mut [u8]) {
        let (max, full) = if delays(flow) {
            (DELAYED_MAX, self.marks.len() >= CHUNKS_MAX)
        } else {
            (CLEAR_MAX, false)
        };
        self.make_room(max);
        let end = if full || self.ending.is_some() {
            self.tail
        } else {
            self.bytes.len().min(self.head + max).max(self.tail)
        };
        let (held, spare) = self.bytes[..end].split_at_mut(self.tail);
        (&held[self.head..self.head + self.ready], spare)
    }

    /// Books `bytes` that were written.
    pub(super) fn gone(&mut self, bytes: usize) {
        self.head += bytes;
        self.ready -= bytes;
        if self.head == self.tail {
            self.head = 0;
            self.tail = 0;
            if self.bytes.len() > 2 * CLEAR_MAX {
                // A burst under latency is over: give the memory back.
                self.bytes.truncate(CLEAR_MAX);
                self.bytes.shrink_to_fit();
            }
        }
    }

    /// Moves or grows so that there is room behind `tail`, if `max` allows any.
    fn make_room(&mut self, max: usize) {
        if self.tail < self.bytes.len() {
            return;
        }
        let held = self.tail - self.head;
        if self.head >= held.max(1) {
            // At least half is free: moving costs less than has been written since the last move.
            self.bytes.copy_within(self.head..self.tail, 0);
            self.head = 0;
            self.tail = held;
        } else if held < max && self.bytes.len() < 2 * max {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }
}

fn delays(flow: &Flow) -> bool {
    flow.latency > Duration::ZERO || flow.jitter > Duration::ZERO || flow.loss_permille > 0
}

/// `draw` gives numbers from -1 to 1.
fn mark(bytes: usize, flow: &Flow, mut draw: impl FnMut() -> f32) -> Mark {
    let skew = if flow.jitter > Duration::ZERO {
        draw()
    } else {
        0.0
    };
    let limit = f32::from(flow.loss_permille) / 500.0 - 1.0;
    let mut lost = 0;
    while flow.loss_permille > 0 && lost < LOST_MAX && draw() < limit {
        lost += 1;
    }
    Mark {
        bytes,
        read_at: Instant::now(),
        skew,
        lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow() -> Flow {
        Flow {
            latency: Duration::from_secs(60),
            ..Flow::default()
        }
    }

    fn fill(backlog: &mut Backlog, flow: &Flow, byte: u8, most: usize) -> usize {
        let (_, spare) = backlog.split(flow);
        let bytes = spare.len().min(most);
        spare[..bytes].fill(byte);
        backlog.filled(bytes, flow, || 0.0);
        bytes
    }

    #[test]
    fn a_clear_flow_holds_no_more_than_its_bound() {
        let mut backlog = Backlog::new();
        let mut held = 0;
        loop {
            match fill(&mut backlog, &Flow::default(), 1, 10_000) {
                0 => break,
                bytes => held += bytes,
            }
        }
        assert_eq!(held, CLEAR_MAX);
    }

    #[test]
    fn a_slow_flow_holds_no_more_than_its_bound_and_gives_the_memory_back() {
        let mut backlog = Backlog::new();
        let mut held = 0;
        loop {
            match fill(&mut backlog, &slow(), 1, 10_000) {
                0 => break,
                bytes => held += bytes,
            }
        }
        assert_eq!(held, DELAYED_MAX);
        // The flow clears: everything is due at once, nothing more is taken in.
        backlog.release(&Flow::default(), Instant::now);
        let (due, spare) = backlog.split(&Flow::default());
        assert_eq!((due.len(), spare.len()), (DELAYED_MAX, 0));
        backlog.gone(DELAYED_MAX);
        assert_eq!(backlog.bytes.len(), CLEAR_MAX);
        assert_eq!(backlog.bytes.capacity(), CLEAR_MAX);
    }

    #[test]
    fn tiny_chunks_are_bounded_by_count() {
        let mut backlog = Backlog::new();
        let chunks = std::iter::from_fn(|| (fill(&mut backlog, &slow(), 1, 1) > 0).then_some(()));
        assert_eq!(chunks.take(CHUNKS_MAX * 2).count(), CHUNKS_MAX);
    }

    #[test]
    fn shortening_the_latency_frees_bytes_already_waiting_and_order_is_kept() {
        let mut backlog = Backlog::new();
        for byte in 0..5 {
            fill(&mut backlog, &slow(), byte, 1);
        }
        backlog.end(Ending::Closed, &slow(), || 0.0);
        let now = Instant::now();
        assert!(backlog.release(&slow(), || now) > Some(now + Duration::from_secs(50)));
        assert!(backlog.split(&slow()).0.is_empty());
        let later = now + Duration::from_secs(61);
        assert_eq!(backlog.release(&slow(), || later), None);
        assert_eq!(backlog.split(&slow()).0, [0, 1, 2, 3, 4]);
        assert_eq!(
            backlog.ended(&slow(), || later),
            None,
            "bytes go before the end"
        );
        backlog.gone(5);
        assert_eq!(
            backlog.ended(&slow(), || now),
            None,
            "the end is delayed too"
        );
        assert_eq!(backlog.ended(&slow(), || later), Some(Ending::Closed));
    }

    #[test]
    fn what_is_lost_comes_later_and_what_follows_waits_for_it() {
        let lossy = Flow {
            loss_permille: 500,
            ..Flow::default()
        };
        let mut backlog = Backlog::new();
        // Lost twice, then through; the next one gets through at once.
        for draws in [vec![-0.5, -0.1, 0.1], vec![0.9]] {
            let mut draws = draws.into_iter();
            backlog.split(&lossy).1[0] = 1;
            backlog.filled(1, &lossy, || draws.next().unwrap());
        }
        let begun = Instant::now();
        let due = backlog.release(&lossy, || begun).unwrap();
        let waits = due - begun;
        assert!(waits > RESEND_AFTER * 5 / 2, "{waits:?}");
        assert!(waits <= RESEND_AFTER * 3, "{waits:?}");
        assert!(backlog.split(&lossy).0.is_empty(), "order is kept");
        assert_eq!(backlog.release(&lossy, || due), None);
        assert_eq!(backlog.split(&lossy).0.len(), 2);
        // A link that is well again holds nothing back.
        backlog.gone(2);
        backlog.filled(1, &lossy, || -1.0);
        assert_eq!(backlog.release(&Flow::default(), Instant::now), None);
        assert_eq!(backlog.split(&Flow::default()).0.len(), 1);
    }

    #[test]
    fn a_partly_written_backlog_keeps_taking_and_loses_nothing() {
        let flow = Flow::default();
        let mut backlog = Backlog::new();
        let (mut sent, mut seen, mut next) = (0_u32, 0_u32, 0_u8);
        for step in 0..20_000_usize {
            let (_, spare) = backlog.split(&flow);
            let bytes = spare.len().min(step * 31 % 4_000);
            for slot in &mut spare[..bytes] {
                *slot = next;
                next = next.wrapping_add(1);
            }
            backlog.filled(bytes, &flow, || 0.0);
            sent += bytes as u32;
            let (due, _) = backlog.split(&flow);
            let go = due.len().min(step * 17 % 4_100);
            for byte in &due[..go] {
                assert_eq!(u32::from(*byte), seen % 256);
                seen += 1;
            }
            backlog.gone(go);
        }
        assert!(sent - seen <= CLEAR_MAX as u32);
    }
}
