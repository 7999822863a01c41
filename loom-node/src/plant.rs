//! Faults built in on purpose, to prove that a tester finds them. Never on unless asked for, and
//! never to be asked for through the loom-node program: only through the library.
//!
//! [`Saboteur`] is what a planted fault remembers; `replica/planted.rs` is where most of them strike.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use loom_relay::clock::Mono;
use loom_relay::model::{Field, PeerId};

use crate::index::Row;
use crate::record::Table;

/// One way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Plant {
    /// Acknowledges one in five creates without keeping it.
    LoseAcked,
    /// Ignores one in five messages that bring other nodes' records, and those records for good.
    DropRemote,
    /// Keeps the loser when two nodes changed a record without knowing of each other.
    ReverseTie,
    /// Adds a record nobody wrote with every tenth write.
    Invent,
    /// Refuses to patch what it does not have, and keeps the patch all the same.
    KeepRefused,
    /// Refuses every patch.
    RefusePatches,
    /// Having changed a record for a client, shows once more what it was before.
    StaleRead,
    /// Shows what a peer made of a record, then what it was before, and so on by turns.
    FlipFlop,
    /// Makes a record again when a peer has deleted it.
    Resurrect,
    /// Acknowledges one in five writes without storing it: after a restart it is forgotten.
    ForgetOnRestart,
    /// Drops other nodes' records that are stamped in its future, instead of waiting until they
    /// are due.
    IgnoreDeferred,
    /// Holds back what other nodes send until one of its own clients writes.
    StuckUntilNudged,
    /// Hears what other nodes send only [`LATE_BY`] after it came.
    DeliverLate,
    /// Breaks down at the tenth write.
    Crash,
}

/// How long [`Plant::DeliverLate`] sits on what came.
pub const LATE_BY: Duration = Duration::from_secs(6);

/// A planted fault and what it remembers.
#[derive(Debug)]
pub(crate) struct Saboteur {
    plant: Plant,
    /// How often it could have struck.
    chances: u64,
    /// Fields that are not to be heard of, by whatever way they come.
    pub(crate) ignored: BTreeSet<Field>,
    /// Frames that are held back, oldest first.
    pub(crate) held_back: Vec<(PeerId, Bytes)>,
    /// Frames that are heard later, oldest first.
    late: VecDeque<Late>,
    /// What some records were before, and whether the next read still shows the truth.
    before: BTreeMap<(Table, String), (Arc<Row>, bool)>,
    /// Records that a peer has deleted.
    pub(crate) deleted: Vec<Arc<Row>>,
}

/// A frame that is heard late.
#[derive(Debug)]
struct Late {
    due: Mono,
    peer: PeerId,
    frame: Bytes,
    fields: BTreeSet<Field>,
}

impl Saboteur {
    pub(crate) fn new(plant: Plant) -> Self {
        Self {
            plant,
            chances: 0,
            ignored: BTreeSet::new(),
            held_back: Vec::new(),
            late: VecDeque::new(),
            before: BTreeMap::new(),
            deleted: Vec::new(),
        }
    }

    pub(crate) fn is(&self, plant: Plant) -> bool {
        self.plant == plant
    }

    /// Whether this one is to be done wrong: every `nth` of those asked about `plant`.
    pub(crate) fn strikes(&mut self, plant: Plant) -> bool {
        if plant != self.plant {
            return false;
        }
        let nth = match plant {
            Plant::LoseAcked | Plant::DropRemote | Plant::ForgetOnRestart => 5,
            Plant::Invent | Plant::Crash => 10,
            _ => 1,
        };
        self.chances += 1;
        self.chances.is_multiple_of(nth)
    }

    /// A frame that brings these fields is not heard now.
    pub(crate) fn delay(&mut self, peer: PeerId, frame: Bytes, fields: BTreeSet<Field>, now: Mono) {
        self.late.push_back(Late {
            due: now.after(LATE_BY),
            peer,
            frame,
            fields,
        });
    }

    /// When the next of them is heard.
    pub(crate) fn due(&self) -> Option<Mono> {
        self.late.front().map(|late| late.due)
    }

    /// A frame whose time has come. Its fields may come by any way from now on.
    pub(crate) fn take_due(&mut self, now: Mono) -> Option<(PeerId, Bytes)> {
        self.due().filter(|due| *due <= now)?;
        let late = self.late.pop_front()?;
        for field in &late.fields {
            if !self.late.iter().any(|later| later.fields.contains(field)) {
                self.ignored.remove(field);
            }
        }
        Some((late.peer, late.frame))
    }

    /// A record was changed, by a client or by a peer.
    pub(crate) fn changed(&mut self, table: Table, was: &Arc<Row>, by_peer: bool) {
        let truth_first = match self.plant {
            Plant::StaleRead if !by_peer => false,
            Plant::FlipFlop if by_peer => true,
            _ => return,
        };
        let key = (table, was.id.to_string());
        self.before.insert(key, (Arc::clone(was), truth_first));
    }

    /// What a read is to show instead of the truth, if anything.
    pub(crate) fn lie(&mut self, table: Table, id: &str) -> Option<Arc<Row>> {
        let key = (table, id.to_owned());
        let (was, truth) = self.before.get_mut(&key)?;
        let lie = (!*truth).then(|| Arc::clone(was));
        *truth = !*truth;
        if self.plant == Plant::StaleRead {
            self.before.remove(&key);
        }
        lie
    }
}
