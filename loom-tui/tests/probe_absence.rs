//! Deletions that no feed tells: what a node does not have may settle what it owes.

use std::collections::BTreeMap;
use std::time::Duration;

use loom_tui::client::{Key, Stamp};
use loom_tui::cluster::Member;
use loom_tui::probe::ledger::Sample;
use loom_tui::probe::{Class, Intent, Ledger, Limits, WriteId};

const WRITER: Member = Member::Node(1);
const LATE: Member = Member::Node(2);

struct Books {
    ledger: Ledger,
    samples: Vec<Sample>,
}

impl Books {
    fn new() -> Self {
        Self {
            ledger: Ledger::new(vec![WRITER, LATE], Limits::default()),
            samples: Vec::new(),
        }
    }

    fn intend(&mut self, id: u64, delete: bool) -> WriteId {
        let intent = Intent {
            origin: WRITER,
            key: key(),
            class: Class::User,
            delete,
            stamp: None,
            intended: Duration::from_millis(id),
        };
        self.ledger.intend(WriteId(id), intent);
        WriteId(id)
    }

    fn acked(&mut self, id: WriteId, stamp: f64) {
        self.ledger.acked(id, Stamp(stamp), &mut self.samples);
    }

    fn doubtful(&self) -> Vec<(Member, Key)> {
        let before = Duration::from_secs(5);
        self.ledger.doubtful(&[LATE], before, 10)
    }

    fn late_has_none(&mut self) {
        let at = Duration::from_secs(9);
        (self.ledger).absent(LATE, &key(), at, &mut self.samples);
    }
}

fn key() -> Key {
    Key::vertex("a")
}

#[test]
fn a_deletion_acknowledged_after_the_list_that_lacked_it_is_settled_by_asking() {
    let mut books = Books::new();
    let created = books.intend(1, false);
    books.acked(created, 5.0);
    let deleted = books.intend(2, true);
    // The tombstone has arrived before this node is followed: its list has no record.
    let at = Duration::from_millis(3);
    (books.ledger).listed(LATE, &BTreeMap::new(), at, &mut books.samples);
    books.acked(deleted, 6.0);
    assert!(!books.ledger.is_quiet(&[LATE]));
    assert_eq!(books.doubtful(), [(LATE, key())]);
    books.late_has_none();
    assert!(books.ledger.is_quiet(&[LATE]));
    assert_eq!(books.doubtful(), []);
}

#[test]
fn a_deletion_nobody_knows_the_outcome_of_explains_what_came_before_it_and_nothing_after() {
    let mut books = Books::new();
    let created = books.intend(1, false);
    books.acked(created, 5.0);
    let deleted = books.intend(2, true);
    books.ledger.unknown(deleted, &mut books.samples);
    assert_eq!(books.doubtful(), [(LATE, key())]);
    let again = books.intend(3, false);
    books.acked(again, 7.0);
    books.late_has_none();
    // The first one is explained; the second one is missing.
    assert!(!books.ledger.is_quiet(&[LATE]));
    assert_eq!(books.doubtful(), []);
}

#[test]
fn a_record_nobody_deleted_is_not_explained_by_its_absence() {
    let mut books = Books::new();
    let created = books.intend(1, false);
    books.acked(created, 5.0);
    assert_eq!(books.doubtful(), []);
    books.late_has_none();
    assert!(!books.ledger.is_quiet(&[LATE]));
}
