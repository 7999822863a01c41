//! The load: one peer publishes, three count and time what arrives.
//!
//! A message is the put that gun.js sends for `gun.get(soul).get(field).put(text)`, about 300 bytes,
//! each with an id of its own, on a new field, with a later state. Every text carries its number,
//! which is how it is recognised at the other end, in whatever frame it comes.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;

use crate::Error;
use crate::floor::LINKS;
use crate::peer::{self, Ear, Mouth};
use crate::subject::Process;

/// Souls written to, in turn.
const SOULS: u64 = 16;
/// How long a message may take before the run has failed.
const LOST_AFTER: Duration = Duration::from_secs(20);
/// Comes before the number of a message, in its text and nowhere else.
const MARK: &[u8] = b"~~";
const DIGITS: usize = 10;
/// gun.js fills arrays up to this many characters.
const PACK: usize = 9_000;

/// The four peers, connected.
#[derive(Debug)]
pub(crate) struct Load {
    publisher: Mouth,
    subscribers: Vec<(Mouth, JoinHandle<Result<(), Error>>)>,
    drain: JoinHandle<Result<(), Error>>,
    shared: Arc<Shared>,
    /// Messages that may be published and not yet with all three.
    window: u64,
    /// Messages published so far; the number of the next.
    sent: u64,
    first_state_ms: u64,
}

/// How messages are put into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One message in each.
    Single,
    /// As gun.js does when it has more than one to say: one alone, then arrays.
    Packed,
}

impl Framing {
    pub(crate) const ALL: [Self; 2] = [Self::Single, Self::Packed];
}

#[derive(Debug)]
struct Shared {
    seen: Vec<AtomicU64>,
    /// A subscriber that has seen this many wakes the publisher.
    wake_at: AtomicU64,
    publisher: Thread,
    timing: Mutex<Option<Timing>>,
}

/// When messages are meant to be sent, and how much later they arrived.
#[derive(Debug)]
struct Timing {
    /// The number of the first that is timed.
    first: u64,
    start: Instant,
    period: Duration,
    times: Histogram<u64>,
}

impl Load {
    /// Connects the peers. The thread that calls this is the one that publishes.
    pub(crate) fn connect(process: &Process, window: u64) -> Result<Self, Error> {
        let souls: Vec<String> = (0..SOULS).map(soul).collect();
        let shared = Arc::new(Shared {
            seen: (1..LINKS).map(|_| AtomicU64::new(0)).collect(),
            wake_at: AtomicU64::new(u64::MAX),
            publisher: thread::current(),
            timing: Mutex::new(None),
        });
        let mut subscribers = Vec::new();
        for nth in 0..LINKS - 1 {
            let (ear, mouth) = peer::connect(process.address, &format!("sub{nth}"), &souls)?;
            let shared = Arc::clone(&shared);
            let counting = thread::spawn(move || count(ear, nth, &shared));
            subscribers.push((mouth, counting));
        }
        let (mut ear, publisher) = peer::connect(process.address, "publ", &souls)?;
        let drain = thread::spawn(move || {
            // Acknowledgements, and questions of the relay that hold no news.
            while ear.listen(|_| ())? {}
            Ok(())
        });
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(Self {
            publisher,
            subscribers,
            drain,
            shared,
            window,
            sent: 0,
            // States rise by one with every message and never reach the future.
            first_state_ms: u64::try_from(now.as_millis())? - 100_000_000,
        })
    }

    /// As fast as the relay carries them to all three, for this long; returns messages a second.
    pub(crate) fn saturate(&mut self, time: Duration, framing: Framing) -> Result<f64, Error> {
        let (began, before) = (Instant::now(), self.sent);
        let mut frames = Vec::new();
        while began.elapsed() < time {
            let room = self.window - (self.sent - self.seen_by_all());
            self.push(&mut frames, room, framing);
            self.publisher.send_frames(&frames)?;
            frames.clear();
            // Half a window at a time: enough is on its way meanwhile.
            self.await_seen(self.sent - self.window / 2)?;
        }
        self.await_seen(self.sent)?;
        Ok((self.sent - before) as f64 / began.elapsed().as_secs_f64())
    }

    /// `rate` messages a second for this long, sent when they are due whatever has become of the
    /// others; returns the nanoseconds from that moment to each arrival.
    pub(crate) fn paced(&mut self, rate: u32, time: Duration) -> Result<Histogram<u64>, Error> {
        let period = Duration::from_secs(1) / rate;
        let start = Instant::now() + period;
        *self.shared.timing() = Some(Timing {
            first: self.sent,
            start,
            period,
            times: histogram(),
        });
        let count = u32::try_from(time.as_nanos() / period.as_nanos())?;
        let mut frame = Vec::new();
        for nth in 0..count {
            frame.clear();
            self.push(&mut frame, 1, Framing::Single);
            until(start + period * nth);
            self.publisher.send_frames(&frame)?;
        }
        self.await_seen(self.sent)?;
        let timing = self.shared.timing().take();
        Ok(timing.expect("it was set above").times)
    }

    /// Messages published so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Ends all links and says whether every message came to everybody exactly once.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.publisher.hang_up();
        join(self.drain)?;
        for (mouth, counting) in self.subscribers {
            mouth.hang_up();
            join(counting)?;
        }
        Ok(())
    }

    /// Appends the next messages to `frames`.
    fn push(&mut self, frames: &mut Vec<u8>, count: u64, framing: Framing) {
        let mut packed = Vec::new();
        for nth in 0..count {
            let mut message = Vec::with_capacity(320);
            push_message(&mut message, self.sent, self.first_state_ms + self.sent);
            self.sent += 1;
            if framing == Framing::Single || nth == 0 {
                peer::push_text(frames, &message);
                continue;
            }
            if packed.len() + message.len() > PACK {
                packed.push(b']');
                peer::push_text(frames, &packed);
                packed.clear();
            }
            packed.push(if packed.is_empty() { b'[' } else { b',' });
            packed.extend_from_slice(&message);
        }
        if !packed.is_empty() {
            packed.push(b']');
            peer::push_text(frames, &packed);
        }
    }

    fn seen_by_all(&self) -> u64 {
        let seen = self.shared.seen.iter().map(|seen| seen.load(SeqCst));
        seen.min().expect("there are subscribers")
    }

    fn await_seen(&self, count: u64) -> Result<(), Error> {
        let deadline = Instant::now() + LOST_AFTER;
        self.shared.wake_at.store(count, SeqCst);
        while self.seen_by_all() < count {
            if Instant::now() > deadline {
                let seen = &self.shared.seen;
                return Err(format!("{} sent, not all arrived: {seen:?}", self.sent).into());
            }
            if self
                .subscribers
                .iter()
                .any(|(_, counting)| counting.is_finished())
            {
                return Err("the relay ended a link".into());
            }
            thread::park_timeout(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Shared {
    fn timing(&self) -> MutexGuard<'_, Option<Timing>> {
        self.timing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timing {
    fn arrived(&mut self, number: u64, at: Instant) -> Result<(), Error> {
        let due = self.start + self.period * u32::try_from(number - self.first)?;
        let late = at.saturating_duration_since(due).as_nanos();
        self.times.saturating_record(u64::try_from(late)?);
        Ok(())
    }
}

/// Nanoseconds up to a minute, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3).expect("these bounds are allowed")
}

/// Bytes of one message.
pub(crate) fn message_bytes() -> usize {
    let mut message = Vec::new();
    push_message(&mut message, 0, 1_800_000_000_000);
    message.len()
}

fn join(thread: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    thread.join().map_err(|_| "a peer's thread panicked")?
}

fn soul(nth: u64) -> String {
    format!("chat/{nth:02}")
}

/// As gun.js writes it, its members in gun.js's order.
fn push_message(into: &mut Vec<u8>, number: u64, state_ms: u64) {
    let soul = number % SOULS;
    let _ = write!(
        into,
        r##"{{"put":{{"chat/{soul:02}":{{"_":{{"#":"chat/{soul:02}",">":{{"m{number:09}":{state_ms}}}}},"m{number:09}":"~~{number:010} "##
    );
    into.extend_from_slice(TEXT);
    let _ = write!(into, r##""}}}},"#":"i{number:08}"}}"##);
}

const TEXT: &[u8] = b"A weaver sets up a warp of many threads under even tension and passes the \
weft between them, one row after the other, until the cloth is done and cut from the loom";

/// Counts what one subscriber hears, once each, and times what is timed.
fn count(mut ear: Ear, nth: usize, shared: &Shared) -> Result<(), Error> {
    let mark = memchr::memmem::Finder::new(MARK);
    let mut arrived: Vec<bool> = Vec::new();
    let mut seen = 0;
    let mut bad = None;
    let mut numbers = Vec::new();
    loop {
        let is_open = ear.listen(|text| {
            let mut rest = text;
            while let Some(at) = mark.find(rest) {
                rest = &rest[at + MARK.len()..];
                let digits = rest.get(..DIGITS).and_then(|it| str::from_utf8(it).ok());
                match digits.and_then(|digits| digits.parse::<u64>().ok()) {
                    Some(number) => numbers.push(number),
                    None => bad = Some("a message came mutilated".to_owned()),
                }
            }
        })?;
        let now = Instant::now();
        if let Some(timing) = &mut *shared.timing() {
            for number in &numbers {
                timing.arrived(*number, now)?;
            }
        }
        for number in numbers.drain(..) {
            let index = usize::try_from(number)?;
            if arrived.len() <= index {
                arrived.resize(2 * index + 1, false);
            }
            if std::mem::replace(&mut arrived[index], true) {
                bad = Some(format!("message {number} came twice"));
            }
            seen += 1;
        }
        if let Some(bad) = bad {
            return Err(bad.into());
        }
        let before = shared.seen[nth].swap(seen, SeqCst);
        let wake_at = shared.wake_at.load(SeqCst);
        if before < wake_at && wake_at <= seen {
            shared.publisher.unpark();
        }
        if !is_open {
            return Ok(());
        }
    }
}

/// Returns at `moment`; sleeping alone would be late by as much as a hop takes.
fn until(moment: Instant) {
    let early = moment - Duration::from_micros(150);
    thread::sleep(early.saturating_duration_since(Instant::now()));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
}
