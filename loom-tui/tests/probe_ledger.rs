//! The probe's ledger: tables of what counts as seen, and a seeded random cluster against a model
//! that remembers everything.

use std::collections::BTreeMap;
use std::time::Duration;

use loom_tui::client::{Key, Stamp};
use loom_tui::cluster::Member;
use loom_tui::probe::ledger::{Owed, Sample};
use loom_tui::probe::{Class, Intent, Ledger, Limits, Standing, WriteId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

const N1: Member = Member::Node(1);
const N2: Member = Member::Node(2);
const N3: Member = Member::Node(3);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A ledger with a running list of samples and shorter calls.
struct Desk {
    ledger: Ledger,
    samples: Vec<Sample>,
}

impl Desk {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            ledger: Ledger::new(vec![N1, N2, N3], limits),
            samples: Vec::new(),
        }
    }

    fn intend(&mut self, id: u64, origin: Member, key: &str, at: u64) -> WriteId {
        self.intend_as(id, origin, Key::vertex(key), at, false)
    }

    fn intend_as(&mut self, id: u64, origin: Member, key: Key, at: u64, delete: bool) -> WriteId {
        let intent = Intent {
            origin,
            key,
            class: Class::User,
            delete,
            stamp: None,
            intended: ms(at),
        };
        self.ledger.intend(WriteId(id), intent);
        WriteId(id)
    }

    fn acked(&mut self, id: WriteId, stamp: f64) {
        self.ledger.acked(id, Stamp(stamp), &mut self.samples);
    }

    fn shown(&mut self, observer: Member, key: &str, stamp: f64, at: u64) {
        let key = Key::vertex(key);
        (self.ledger).shown(observer, &key, Stamp(stamp), ms(at), &mut self.samples);
    }

    /// (observer, latency in ms) of one write, in the order they were found.
    fn seen(&self, id: WriteId) -> Vec<(Member, Option<u128>)> {
        (self.samples.iter())
            .filter(|sample| sample.id == id)
            .map(|sample| (sample.observer, sample.latency.map(|l| l.as_millis())))
            .collect()
    }
}

#[test]
fn latency_is_from_the_intended_moment_to_each_showing() {
    let mut desk = Desk::new();
    let id = desk.intend(1, N1, "a", 100);
    desk.acked(id, 5.0);
    desk.shown(N1, "a", 5.0, 103);
    desk.shown(N3, "a", 5.0, 110);
    assert_eq!(desk.ledger.standing(id), Standing::Missing(vec![N2]));
    desk.shown(N2, "a", 5.0, 400);
    assert_eq!(
        desk.seen(id),
        [(N1, Some(3)), (N3, Some(10)), (N2, Some(300))]
    );
    assert_eq!(desk.ledger.standing(id), Standing::Seen(Some(ms(300))));
    assert_eq!(desk.ledger.counts(Class::User).settled, 1);
    assert!(desk.ledger.is_quiet(&[N1, N2, N3]));
}

#[test]
fn a_showing_before_the_acknowledgement_counts_from_when_it_was_shown() {
    let mut desk = Desk::new();
    let id = desk.intend(1, N1, "a", 0);
    desk.shown(N2, "a", 5.0, 2);
    desk.shown(N2, "a", 9.0, 4);
    desk.shown(N3, "a", 4.0, 3);
    assert_eq!(desk.ledger.standing(id), Standing::InFlight);
    desk.acked(id, 5.0);
    // node-2 showed it at 2 already; what node-3 showed is older than the write.
    assert_eq!(desk.seen(id), [(N2, Some(2))]);
    desk.shown(N3, "a", 6.0, 8);
    assert_eq!(desk.seen(id), [(N2, Some(2)), (N3, Some(8))]);
}

#[test]
fn a_write_that_was_overtaken_is_seen_when_the_later_one_shows() {
    let mut desk = Desk::new();
    let first = desk.intend(1, N1, "a", 0);
    let second = desk.intend(2, N3, "a", 1);
    desk.acked(first, 5.0);
    desk.acked(second, 6.0);
    desk.shown(N2, "a", 6.0, 50);
    assert_eq!(desk.seen(first), [(N2, Some(50))]);
    assert_eq!(desk.seen(second), [(N2, Some(49))]);
    // The older one arriving afterwards changes nothing.
    desk.shown(N2, "a", 5.0, 60);
    assert_eq!(desk.samples.len(), 2);
}

#[test]
fn a_write_never_shown_keeps_ageing_and_is_not_dropped() {
    let mut desk = Desk::new();
    let lost = desk.intend(1, N1, "lost", 10);
    desk.acked(lost, 5.0);
    for (n, at) in (2..1_000).zip(20..) {
        let key = format!("k{n}");
        let id = desk.intend(n, N1, &key, at);
        desk.acked(id, 5.0);
        for observer in [N1, N2, N3] {
            desk.shown(observer, &key, 5.0, at + 1);
        }
    }
    desk.shown(N1, "lost", 5.0, 11);
    desk.shown(N3, "lost", 5.0, 12);
    let owed = Owed {
        behind: 1,
        oldest: Some(ms(10)),
    };
    assert_eq!(desk.ledger.owed(N2), owed);
    assert_eq!(desk.ledger.owed(N3), Owed::default());
    assert!(!desk.ledger.is_quiet(&[N2]));
    assert!(desk.ledger.is_quiet(&[N1, N3]));
    let unseen: Vec<_> = desk.ledger.unseen(Duration::ZERO).collect();
    assert_eq!(unseen.len(), 1);
    assert_eq!(
        (unseen[0].id, unseen[0].missing.as_slice()),
        (lost, &[N2][..])
    );
    assert_eq!(desk.ledger.open_oldest(), Some(ms(10)));
    assert_eq!(desk.ledger.unseen(ms(11)).count(), 0);
}

#[test]
fn the_origin_owes_its_own_write_but_has_no_lag_by_it() {
    let mut desk = Desk::new();
    let id = desk.intend(1, N1, "a", 0);
    desk.acked(id, 5.0);
    desk.shown(N2, "a", 5.0, 1);
    desk.shown(N3, "a", 5.0, 1);
    assert_eq!(desk.ledger.owed(N1), Owed::default());
    assert_eq!(desk.ledger.standing(id), Standing::Missing(vec![N1]));
    assert!(!desk.ledger.is_quiet(&[N1]));
}

#[test]
fn refused_and_unknown_writes_are_owed_by_nobody() {
    let mut desk = Desk::new();
    let refused = desk.intend(1, N1, "a", 0);
    let unknown = desk.intend(2, N1, "b", 0);
    assert!(!desk.ledger.is_quiet(&[]));
    desk.ledger.refused(refused);
    desk.ledger.unknown(unknown, &mut desk.samples);
    let counts = desk.ledger.counts(Class::User);
    assert_eq!((counts.refused, counts.unknown, counts.acked), (1, 1, 0));
    assert!(desk.ledger.is_quiet(&[N1, N2, N3]));
    assert_eq!(desk.ledger.standing(unknown), Standing::NotFollowed);
}

#[test]
fn what_an_unknown_write_showed_still_overtakes_later_ones() {
    let mut desk = Desk::new();
    let unknown = desk.intend(1, N1, "a", 0);
    desk.ledger.unknown(unknown, &mut desk.samples);
    desk.shown(N2, "a", 9.0, 5);
    // node-3 has not heard of it and writes below it; node-2 will never show that.
    let later = desk.intend(2, N3, "a", 10);
    desk.acked(later, 7.0);
    assert_eq!(
        desk.seen(later),
        [(N2, None)],
        "seen, but nothing to measure"
    );
    assert_eq!(desk.ledger.standing(later), Standing::Missing(vec![N1, N3]));
}

#[test]
fn a_canary_without_an_answer_that_somebody_heard_did_happen() {
    let mut desk = Desk::new();
    let key = Key::canary("node-1");
    for (id, stamp) in [(1, 1.0), (2, 2.0)] {
        let intent = Intent {
            origin: N1,
            key: key.clone(),
            class: Class::Canary,
            delete: false,
            stamp: Some(Stamp(stamp)),
            intended: ms(0),
        };
        desk.ledger.intend(WriteId(id), intent);
    }
    (desk.ledger).shown(N2, &key, Stamp(1.0), ms(900), &mut desk.samples);
    desk.ledger.unknown(WriteId(1), &mut desk.samples);
    desk.ledger.unknown(WriteId(2), &mut desk.samples);
    assert_eq!(desk.seen(WriteId(1)), [(N2, Some(900))]);
    let counts = desk.ledger.counts(Class::Canary);
    assert_eq!((counts.acked, counts.unknown), (1, 1));
}

#[test]
fn a_list_shows_what_it_holds_and_what_is_gone() {
    let mut desk = Desk::new();
    let kept = desk.intend(1, N1, "kept", 0);
    let gone = desk.intend(2, N1, "gone", 0);
    let deleted = desk.intend_as(3, N1, Key::vertex("gone"), 1, true);
    let missing = desk.intend(4, N1, "missing", 0);
    for (id, stamp) in [(kept, 5.0), (gone, 5.0), (deleted, 6.0), (missing, 5.0)] {
        desk.acked(id, stamp);
    }
    let records = BTreeMap::from([(Key::vertex("kept"), Stamp(5.0))]);
    (desk.ledger).listed(N2, &records, ms(100), &mut desk.samples);
    assert_eq!(desk.seen(kept), [(N2, Some(100))]);
    assert_eq!(desk.seen(gone), [(N2, Some(100))]);
    assert_eq!(desk.seen(deleted), [(N2, Some(99))]);
    assert_eq!(
        desk.seen(missing),
        [],
        "absence shows a deletion, not a creation"
    );
}

#[test]
fn beyond_the_bound_writes_are_counted_and_not_followed() {
    let mut desk = Desk::with(Limits {
        writes_max: 2,
        ..Limits::default()
    });
    for n in 0..5 {
        let id = desk.intend(n, N1, &format!("k{n}"), 0);
        desk.acked(id, 1.0);
    }
    let counts = desk.ledger.counts(Class::User);
    assert_eq!((counts.intended, counts.overflow), (5, 3));
    assert_eq!(desk.ledger.open_len(), 2);
}

#[test]
fn haunted_keys_are_bounded() {
    let mut desk = Desk::with(Limits {
        haunted_max: 10,
        ..Limits::default()
    });
    for n in 0..1_000 {
        let id = desk.intend(n, N1, &format!("k{n}"), 0);
        desk.ledger.unknown(id, &mut desk.samples);
    }
    desk.shown(N2, "k0", 1.0, 1);
    desk.shown(N2, "k999", 1.0, 1);
    assert_eq!(desk.ledger.latest(N2, &Key::vertex("k0")), None);
    assert_eq!(
        desk.ledger.latest(N2, &Key::vertex("k999")),
        Some(Stamp(1.0))
    );
}

/// A write as the model remembers it.
#[derive(Debug)]
struct Remembered {
    origin: Member,
    key: Key,
    intended: u64,
    /// Showings there had been when it was sent.
    booked: u64,
    stamp: Option<f64>,
    acked: bool,
    answered: bool,
}

#[derive(Debug)]
struct Showing {
    stamp: f64,
    at: u64,
    /// Counts all showings, from 1.
    number: u64,
}

/// A cluster of three that merges by the highest stamp and delivers in any order, and all it did.
struct Model {
    rng: StdRng,
    now: u64,
    desk: Desk,
    writes: Vec<Remembered>,
    /// What each node holds of each key.
    held: BTreeMap<(Member, Key), f64>,
    /// Every showing there ever was.
    showings: BTreeMap<(Member, Key), Vec<Showing>>,
    shown: u64,
    /// Deliveries under way.
    wire: Vec<(Member, Key, f64)>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            now: 0,
            desk: Desk::new(),
            writes: Vec::new(),
            held: BTreeMap::new(),
            showings: BTreeMap::new(),
            shown: 0,
            wire: Vec::new(),
        }
    }

    fn step(&mut self) {
        self.now += self.rng.random_range(0..3);
        match self.rng.random_range(0..10) {
            0..=2 => self.intend(),
            3..=4 => self.apply(),
            5..=6 => self.answer(),
            _ => self.deliver(),
        }
    }

    fn intend(&mut self) {
        let origin = [N1, N2, N3][self.rng.random_range(0..3)];
        let key = format!("k{}", self.rng.random_range(0..4));
        // Sent late: intended a little before now.
        let intended = self.now.saturating_sub(self.rng.random_range(0..3));
        let id = self.writes.len() as u64;
        self.desk.intend(id, origin, &key, intended);
        self.writes.push(Remembered {
            origin,
            key: Key::vertex(&key),
            intended,
            booked: self.shown,
            stamp: None,
            acked: false,
            answered: false,
        });
    }

    /// The origin carries out a write that is not refused yet: with a stamp above what it holds,
    /// by a clock of its own.
    fn apply(&mut self) {
        let open: Vec<usize> = (0..self.writes.len())
            .filter(|n| self.writes[*n].stamp.is_none() && !self.refused(*n))
            .collect();
        let Some(n) = open.choose(&mut self.rng).copied() else {
            return;
        };
        let (origin, key) = (self.writes[n].origin, self.writes[n].key.clone());
        let held = self
            .held
            .get(&(origin, key.clone()))
            .copied()
            .unwrap_or(0.0);
        let stamp = held + f64::from(self.rng.random_range(1..40)) / 8.0 + n as f64 * 1e-6;
        self.writes[n].stamp = Some(stamp);
        self.merge(origin, key.clone(), stamp);
        for node in [N1, N2, N3] {
            if node != origin {
                self.wire.push((node, key.clone(), stamp));
            }
        }
    }

    fn refused(&self, n: usize) -> bool {
        let write = &self.writes[n];
        write.answered && !write.acked && n.is_multiple_of(3)
    }

    fn answer(&mut self) {
        let open: Vec<usize> = (0..self.writes.len())
            .filter(|n| !self.writes[*n].answered)
            .collect();
        let Some(n) = open.choose(&mut self.rng).copied() else {
            return;
        };
        let id = WriteId(n as u64);
        self.writes[n].answered = true;
        match self.writes[n].stamp {
            Some(stamp) if self.rng.random_range(0..5) > 0 => {
                self.writes[n].acked = true;
                self.desk.acked(id, stamp);
            }
            // Every third that was not carried out yet is refused, the others may be later.
            None if n.is_multiple_of(3) => self.desk.ledger.refused(id),
            _ => self.desk.ledger.unknown(id, &mut self.desk.samples),
        }
    }

    fn deliver(&mut self) {
        if self.wire.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.wire.len());
        let (node, key, stamp) = self.wire.swap_remove(at);
        self.merge(node, key, stamp);
    }

    fn merge(&mut self, node: Member, key: Key, stamp: f64) {
        let held = self.held.entry((node, key.clone())).or_insert(0.0);
        if *held >= stamp {
            return;
        }
        *held = stamp;
        (self.desk.ledger).shown(
            node,
            &key,
            Stamp(stamp),
            ms(self.now),
            &mut self.desk.samples,
        );
        let showings = self.showings.entry((node, key)).or_default();
        self.shown += 1;
        showings.push(Showing {
            stamp,
            at: self.now,
            number: self.shown,
        });
    }

    /// When a node first showed a write or what overtook it, by looking through everything.
    fn first_shown(&self, node: Member, write: &Remembered) -> Option<&Showing> {
        let stamp = write.stamp?;
        let showings = self.showings.get(&(node, write.key.clone()))?;
        let mut enough = showings.iter().filter(|shown| shown.stamp >= stamp);
        enough.next()
    }

    fn check(&self) {
        let mut found = BTreeMap::new();
        for sample in &self.desk.samples {
            let again = found.insert((sample.id, sample.observer), sample.latency);
            assert_eq!(again, None, "{sample:?} was found twice");
        }
        let mut behind = BTreeMap::from([
            (N1, Owed::default()),
            (N2, Owed::default()),
            (N3, Owed::default()),
        ]);
        let mut quiet = true;
        for (n, write) in self.writes.iter().enumerate() {
            let id = WriteId(n as u64);
            quiet &= write.answered;
            for node in [N1, N2, N3] {
                let got = found.remove(&(id, node));
                let shown = self.first_shown(node, write).filter(|_| write.acked);
                let expected = shown.map(|shown| {
                    let measured = shown.number > write.booked;
                    measured.then(|| ms(shown.at.saturating_sub(write.intended)))
                });
                assert_eq!(got, expected, "write {n} at {node}: {write:?}");
                if write.acked && shown.is_none() {
                    quiet = false;
                    if node != write.origin {
                        let owed = behind.entry(node).or_default();
                        owed.behind += 1;
                        let oldest = owed.oldest.get_or_insert(ms(write.intended));
                        *oldest = (*oldest).min(ms(write.intended));
                    }
                }
            }
        }
        assert!(found.is_empty(), "samples of writes nobody made: {found:?}");
        for (node, owed) in behind {
            assert_eq!(self.desk.ledger.owed(node), owed, "{node}");
        }
        assert_eq!(self.desk.ledger.is_quiet(&[N1, N2, N3]), quiet);
    }
}

#[test]
fn a_random_cluster_is_booked_as_a_model_that_forgets_nothing_books_it() {
    let seeds = match std::env::var("LOOM_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("LOOM_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..300,
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut model = Model::new(seed);
            for step in 0..400 {
                model.step();
                if step % 20 == 0 {
                    model.check();
                }
            }
            model.check();
        });
        assert!(
            outcome.is_ok(),
            "replay with: LOOM_SEED={seed} cargo test -p loom-tui --test probe_ledger random"
        );
    }
}
