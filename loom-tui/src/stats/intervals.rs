//! Latencies per second and pair since the probe began, for an HdrHistogram interval log.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::latencies::LATENCY_LIMIT;
use super::micros;
use crate::cluster::Member;

/// Intervals remembered: an hour of three nodes writing to all of three.
const INTERVALS_MAX: usize = 9 * 3_600;

/// Latencies of one pair in one second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// When the second began, by the probe's clock.
    pub start: Duration,
    /// Where writes were sent.
    pub origin: Member,
    /// Who showed them.
    pub observer: Member,
    /// (microseconds, how many), three digits, ascending.
    cells: Box<[(u64, u64)]>,
    /// How many were above [`LATENCY_LIMIT`]; they are not in the cells.
    pub above: u64,
}

/// The newest hour of intervals. Older ones are dropped and counted.
#[derive(Debug, Default)]
pub struct Intervals {
    second: u64,
    running: BTreeMap<(Member, Member), Running>,
    ended: VecDeque<Interval>,
    dropped: u64,
}

#[derive(Debug)]
struct Running {
    histogram: Histogram<u64>,
    above: u64,
}

impl Intervals {
    /// Takes one sample of the current second.
    pub fn record(&mut self, origin: Member, observer: Member, latency: Duration) {
        let running = (self.running.entry((origin, observer))).or_insert_with(|| Running {
            histogram: Histogram::new(3).expect("three digits are allowed"),
            above: 0,
        });
        if latency > LATENCY_LIMIT {
            running.above += 1;
        } else {
            (running.histogram.record(micros(latency))).expect("it grows up to the limit");
        }
    }

    /// Moves on to `now`.
    pub fn roll(&mut self, now: Duration) {
        if self.second < now.as_secs() {
            self.end_running();
            self.second = now.as_secs();
        }
    }

    /// Every remembered interval that began at `since` or later. The running second is ended
    /// early; what it still gets becomes another interval of it.
    pub fn since(&mut self, since: Duration) -> Vec<Interval> {
        self.end_running();
        let from = Duration::from_secs(since.as_secs());
        (self.ended.iter())
            .filter(|interval| interval.start >= from)
            .cloned()
            .collect()
    }

    /// How many intervals were dropped for lack of room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn end_running(&mut self) {
        let start = Duration::from_secs(self.second);
        for ((origin, observer), running) in &mut self.running {
            if running.histogram.is_empty() && running.above == 0 {
                continue;
            }
            let cells = (running.histogram.iter_recorded())
                .map(|cell| (cell.value_iterated_to(), cell.count_at_value()))
                .collect();
            self.ended.push_back(Interval {
                start,
                origin: *origin,
                observer: *observer,
                cells,
                above: std::mem::take(&mut running.above),
            });
            running.histogram.reset();
        }
        while self.ended.len() > INTERVALS_MAX {
            self.ended.pop_front();
            self.dropped += 1;
        }
    }
}

/// Writes intervals as an HdrHistogram V2 interval log: one line per second and pair, tagged
/// `origin->observer`, in microseconds. `began` is what the probe's clock calls zero.
pub fn interval_log(intervals: &[Interval], began: SystemTime, dropped: u64) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory succeeds";
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("convergence latency in microseconds: intended send to change event")
        .with_start_time(began)
        .with_base_time(began);
    if dropped > 0 {
        builder.add_comment(&format!("{dropped} older intervals were dropped"));
    }
    let mut writer = builder
        .begin_log_with(&mut log, &mut serializer)
        .expect(IN_MEMORY);
    for interval in intervals {
        let pair = format!("{}->{}", interval.origin, interval.observer);
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
        for (us, count) in &interval.cells {
            (histogram.record_n(*us, *count)).expect("it held them before");
        }
        if interval.above > 0 {
            // The format has no place beside the histogram, and leaving them out would flatter.
            let (above, limit) = (interval.above, micros(LATENCY_LIMIT));
            let note = format!("{above} of {pair} were above {limit} us and are shown as {limit}");
            writer.write_comment(&note).expect(IN_MEMORY);
            (histogram.record_n(limit, above)).expect("it grows up to the limit");
        }
        let tag = Tag::new(&pair).expect("member names hold no commas or spaces");
        writer
            .write_histogram(
                &histogram,
                interval.start,
                Duration::from_secs(1),
                Some(tag),
            )
            .expect(IN_MEMORY);
    }
    log
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn the_log_reads_back_as_what_was_recorded() {
        let (one, two) = (Member::Node(1), Member::Node(2));
        let mut intervals = Intervals::default();
        for ms in 1..=2_500_u64 {
            intervals.roll(Duration::from_millis(ms));
            intervals.record(one, two, Duration::from_micros(ms));
        }
        intervals.record(one, two, Duration::from_secs(90));
        let all = intervals.since(Duration::ZERO);
        assert_eq!(all.len(), 3);
        let log = interval_log(&all, SystemTime::UNIX_EPOCH, 0);
        let mut total = 0;
        for entry in IntervalLogIterator::new(&log) {
            if let LogEntry::Interval(line) = entry.unwrap() {
                assert_eq!(line.tag().unwrap().as_str(), "node-1->node-2");
                let bytes = base64(line.encoded_histogram());
                let read: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut bytes.as_slice())
                    .unwrap();
                total += read.len();
            }
        }
        assert_eq!(total, 2_501);
        // What the running second still gets is neither lost nor exported twice.
        intervals.record(one, two, Duration::from_micros(7));
        let again = intervals.since(Duration::from_secs(2));
        assert_eq!(again.len(), 2);
        assert_eq!(again[1].cells.len(), 1);
    }

    fn base64(text: &str) -> Vec<u8> {
        let value = |byte: u8| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let mut bytes = Vec::new();
        let (mut bits, mut held) = (0_u32, 0);
        for byte in text.bytes().filter(|byte| *byte != b'=') {
            bits = (bits << 6) | u32::from(value(byte));
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
            }
        }
        bytes
    }
}
