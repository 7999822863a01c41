//! No stamp is ever given to two writes, whenever the process dies and whatever the clock says then.

use std::time::Duration;

use loom_relay::machine::{Batch, Side};
use loom_relay::mesh::LEASE;
use loom_relay::model::PeerId;
use loom_relay::store::Store as _;
use loom_relay::store::memory::MemoryStore;
use loom_relay::wire::{self, Body};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio::sync::oneshot;

use super::*;

/// One process with one link, and a disk that is as slow as the test wants.
struct Process {
    replica: Replica,
    now: Now,
    batches: Vec<Batch>,
    stored: usize,
    /// Stamps of what a peer has heard.
    sent: Vec<Stamp>,
    answers: Vec<oneshot::Receiver<Outcome>>,
}

const PEER: PeerId = PeerId(1);

impl Process {
    fn start(held: Held, seed: u64, wall_ms: u64) -> Self {
        let config = ReplicaConfig {
            node_id: "node".into(),
            legacy_index: false,
            verify_sea: false,
            feed: Limits::default(),
            plant: None,
            seed,
        };
        let mut process = Self {
            replica: Replica::new(config, held),
            now: Now {
                mono: Mono::default(),
                wall_ms,
            },
            batches: Vec::new(),
            stored: 0,
            sent: Vec::new(),
            answers: Vec::new(),
        };
        let (peer, side) = (PEER, Side::Accepted);
        process.feed(Input::PeerUp { peer, side });
        process
    }

    fn feed(&mut self, input: Input<Command>) {
        let mut effects = Vec::new();
        self.replica.handle(input, self.now, &mut effects);
        for effect in effects {
            match effect {
                Effect::Persist { commit, batch } => {
                    self.batches.push(batch);
                    assert_eq!(commit.0, self.batches.len() as u64);
                }
                Effect::Send { frame, .. } => self.sent.extend(stamps(&frame)),
                Effect::Hangup { .. } => {}
            }
        }
    }

    fn write(&mut self, id: &str) {
        let (reply, answer) = oneshot::channel();
        let wish = put(Table::Nodes, node(id, 1));
        self.feed(Input::Command(Command::Write(wish, reply)));
        self.answers.push(answer);
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono.after(time);
        self.now.wall_ms += time.as_millis() as u64;
        if self
            .replica
            .deadline()
            .is_some_and(|due| due <= self.now.mono)
        {
            self.feed(Input::Deadline);
        }
    }

    fn store_one(&mut self) {
        if self.stored < self.batches.len() {
            self.stored += 1;
            self.feed(Input::Committed(Commit(self.stored as u64)));
        }
    }

    /// Until every write is answered.
    fn settle(&mut self) -> Duration {
        let began = self.now.mono;
        loop {
            while self.stored < self.batches.len() {
                self.store_one();
            }
            self.answers.retain_mut(|answer| answer.try_recv().is_err());
            if self.answers.is_empty() {
                return self.now.mono.since(began);
            }
            let due = self.replica.deadline().expect("something is waited for");
            self.pass(due.since(self.now.mono).max(Duration::from_millis(1)));
        }
    }
}

fn stamps(frame: &[u8]) -> Vec<Stamp> {
    let messages = wire::decode(&bytes::Bytes::copy_from_slice(frame)).unwrap();
    let bodies = messages.into_iter().map(|message| message.unwrap().body);
    let writes = bodies.flat_map(|body| match body {
        Body::Put { writes, .. } => writes,
        _ => Vec::new(),
    });
    writes.map(|write| write.cell.stamp).collect()
}

#[test]
fn no_stamp_is_issued_again_whenever_the_process_dies_and_whatever_the_clock_says() {
    let mut would_have_been = 0;
    for seed in 0..500 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut first = Process::start(Held::default(), seed, WALL_MS);
        for nth in 0..rng.random_range(1..12) {
            first.pass(Duration::from_millis(
                [0, 1, 40, 500, 3_000][rng.random_range(0..5)],
            ));
            first.write(&format!("first-{nth}"));
            (0..rng.random_range(0..3)).for_each(|_| first.store_one());
        }
        let kept = rng.random_range(first.stored..=first.batches.len());
        let mut disk = MemoryStore::default();
        for batch in &first.batches[..kept] {
            disk.commit(batch).unwrap();
        }
        let held = disk.load().unwrap();
        let sent = first.sent.iter().max();
        would_have_been += usize::from(sent > held.graph.latest().as_ref());

        let moved_ms = [1_000, 0, -20, -500, -5_000, -3_600_000][rng.random_range(0..6)];
        let wall_ms = first.now.wall_ms.saturating_add_signed(moved_ms);
        let mut second = Process::start(held, seed + 1, wall_ms);
        second.write("second");
        let waited = second.settle();
        assert!(second.sent.iter().min() > sent, "seed {seed}: {sent:?}");
        let longest = LEASE + Duration::from_millis(2);
        assert!(waited <= longest, "seed {seed}: waited for {waited:?}");
    }
    assert!(
        would_have_been > 20,
        "hardly ever was more sent than stored"
    );
}

#[test]
fn after_an_orderly_end_nothing_is_waited_for() {
    let mut disk = MemoryStore::default();
    let mut first = Process::start(Held::default(), 1, WALL_MS);
    first.write("a");
    first.settle();
    for batch in &first.batches {
        disk.commit(batch).unwrap();
    }
    disk.release().unwrap();
    let mut second = Process::start(disk.load().unwrap(), 2, first.now.wall_ms);
    second.write("b");
    assert_eq!(second.settle(), Duration::ZERO);
}

#[test]
fn writes_in_a_row_share_a_lease_and_too_many_that_wait_are_refused() {
    let mut process = Process::start(Held::default(), 1, WALL_MS);
    for nth in 0..1_024 {
        process.write(&nth.to_string());
    }
    assert_eq!(process.batches.len(), 1, "one lease is asked for");
    process.write("too many");
    let refused = process.answers.last_mut().unwrap().try_recv();
    assert!(matches!(refused, Ok(Err(Refused::Busy))), "{refused:?}");
    process.answers.pop();
    process.settle();
    assert_eq!(process.replica.index.len(Table::Nodes), 1_024);
    // Half a second between writes is no pause.
    for nth in 0..10 {
        process.pass(Duration::from_millis(500));
        let before = process.sent.len();
        process.write(&format!("later-{nth}"));
        assert_eq!(process.sent.len(), before + 1, "sent at once");
        process.settle();
    }
}
