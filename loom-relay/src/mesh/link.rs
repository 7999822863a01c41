//! One link: who is at its far end, what it was told and asked, what it still gets.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::clock::Mono;
use crate::machine::Side;
use crate::model::{Field, PeerId, Soul};
use crate::wire::Id;

use super::sync::{Sync, SyncView};

/// Most souls asked back per connection; past that a peer's offline writes arrive when somebody
/// else asks for them, as with gun.js' own relay.
pub(super) const PULLED_MAX: usize = 4_096;

/// Most souls remembered of those a peer writes; see [`super::away`].
pub(super) const WRITTEN_MAX: usize = 256;

/// Most answers being sent piecemeal per link; a peer that asks for more is told so.
pub(super) const PARCELS_MAX: usize = 1_024;

/// A link as an operator wants to see it.
#[derive(Clone, Debug)]
pub struct LinkView {
    /// Its number.
    pub peer: PeerId,
    /// Who opened it.
    pub side: Side,
    /// The name the other side gave itself, once it has.
    pub pid: Option<Arc<str>>,
    /// The other side speaks Loom's reconciliation; `None` while that is not known.
    pub is_loom: Option<bool>,
    /// How far reconciliation is.
    pub sync: SyncView,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) side: Side,
    pub(super) kind: Kind,
    /// Which reconciliation of Loom's the far end speaks.
    pub(super) version: u32,
    /// When something last came.
    pub(super) heard: Mono,
    pub(super) pid: Option<Arc<str>>,
    pub(super) sync: Sync,
    /// The how-manieth link of this process it is.
    pub(super) nth: u64,
    pub(super) pulled: BTreeSet<Soul>,
    pub(super) wrote: BTreeSet<Soul>,
    pub(super) parcels: VecDeque<Parcel>,
}

/// What is known about the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing yet: treated as gun.js.
    Unknown,
    /// gun.js, or something like it.
    Plain,
    /// A Loom peer.
    Loom,
}

/// Something too large for one frame, and how far it is.
#[derive(Debug)]
pub(super) enum Parcel {
    /// A vertex, in answer to this get.
    Answer {
        question: Id,
        soul: Soul,
        after: Field,
    },
    /// All that is held.
    Everything { after: Option<(Soul, Field)> },
}

impl Link {
    pub(super) fn new(side: Side, nth: u64, now: Mono) -> Self {
        Self {
            side,
            kind: Kind::Unknown,
            version: 0,
            heard: now,
            pid: None,
            sync: Sync::default(),
            nth,
            pulled: BTreeSet::new(),
            wrote: BTreeSet::new(),
            parcels: VecDeque::new(),
        }
    }

    pub(super) fn is_loom(&self) -> bool {
        self.kind == Kind::Loom
    }

    /// Whether both sides know how to work out what differs.
    pub(super) fn finds_differences(&self) -> bool {
        self.is_loom() && self.version >= 2
    }

    /// Whether this side asks. With a peer that only knows whole graphs both do.
    pub(super) fn asks(&self) -> bool {
        self.is_loom() && (self.side == Side::Dialled || !self.finds_differences())
    }

    /// Whether this soul is to be asked back now: once per connection, and only of those who
    /// dialled us, which are the ones that write while they are offline.
    pub(super) fn should_pull(&mut self, soul: &Soul) -> bool {
        self.side == Side::Accepted
            && !self.is_loom()
            && self.pulled.len() < PULLED_MAX
            && self.pulled.insert(soul.clone())
    }

    /// Remembers that the far end writes this soul, if it is one that may do so offline.
    pub(super) fn note_written(&mut self, soul: &Soul) {
        if self.side == Side::Accepted
            && !self.is_loom()
            && self.wrote.len() < WRITTEN_MAX
            && !self.wrote.contains(soul)
        {
            self.wrote.insert(soul.clone());
        }
    }

    pub(super) fn view(&self, peer: PeerId) -> LinkView {
        LinkView {
            peer,
            side: self.side,
            pid: self.pid.clone(),
            is_loom: match self.kind {
                Kind::Unknown => None,
                Kind::Plain => Some(false),
                Kind::Loom => Some(true),
            },
            sync: self.sync.view,
        }
    }
}
