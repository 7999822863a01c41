//! The seam between state machines and the world: inputs in, effects out, one deadline.
//!
//! A [`Machine`] never reads a clock, a socket or a random device. The tokio driver
//! ([`crate::driver`]) and the simulator feed it the same inputs and carry out the same effects.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::{Mono, Now};
use crate::model::{Change, PeerId, Stamp, Write};

/// Names one [`Effect::Persist`]; rises by one for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit(pub u64);

/// Who opened a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// They dialled us.
    Accepted,
    /// We dialled them.
    Dialled,
}

/// Everything that can happen to a machine. `C` is what its own process may ask of it.
#[derive(Debug)]
pub enum Input<C> {
    /// A link opened.
    PeerUp {
        /// A number never used before.
        peer: PeerId,
        /// Who opened it.
        side: Side,
    },
    /// A link closed; nothing more will be heard from or sent to this peer.
    PeerDown {
        /// The link that closed.
        peer: PeerId,
    },
    /// One text frame arrived.
    Heard {
        /// The link it came over.
        peer: PeerId,
        /// Valid UTF-8, no larger than the driver's frame limit.
        frame: Bytes,
    },
    /// A frame above the driver's limit arrived and was discarded; the link stays open.
    Oversized {
        /// The link it came over.
        peer: PeerId,
    },
    /// Everything up to and including this commit is stored as durably as was asked for.
    Committed(Commit),
    /// The store takes nothing at the moment, for this reason. What was given to it is kept and tried
    /// again; until [`Input::Resumed`] it must be given nothing more.
    Stalled(Arc<str>),
    /// The store takes again what it is given, and has stored what it was given before.
    Resumed,
    /// This process wants something.
    Command(C),
    /// The moment [`Machine::deadline`] named has come.
    Deadline,
}

impl<C> Input<C> {
    /// Tells commands, which each machine has of its own, from what happens to all of them: for a
    /// machine that contains another one.
    ///
    /// # Errors
    ///
    /// The command, if this is one.
    pub fn or_command<D>(self) -> Result<Input<D>, C> {
        Ok(match self {
            Self::PeerUp { peer, side } => Input::PeerUp { peer, side },
            Self::PeerDown { peer } => Input::PeerDown { peer },
            Self::Heard { peer, frame } => Input::Heard { peer, frame },
            Self::Oversized { peer } => Input::Oversized { peer },
            Self::Committed(commit) => Input::Committed(commit),
            Self::Stalled(why) => Input::Stalled(why),
            Self::Resumed => Input::Resumed,
            Self::Deadline => Input::Deadline,
            Self::Command(command) => return Err(command),
        })
    }
}

/// What must be done about an input, in order.
#[derive(Debug)]
pub enum Effect {
    /// Queue one text frame for a peer. If its queue is full the driver hangs up instead.
    Send {
        /// The link to send over.
        peer: PeerId,
        /// The whole frame, valid UTF-8.
        frame: Bytes,
    },
    /// Close a link.
    Hangup {
        /// The link to close.
        peer: PeerId,
        /// For the log.
        reason: &'static str,
    },
    /// Store this, then answer with [`Input::Committed`].
    Persist {
        /// What to answer with.
        commit: Commit,
        /// What to store.
        batch: Batch,
    },
}

/// What is stored together, whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Writes that won, in merge order.
    pub changes: Vec<Change>,
    /// Writes that began or ceased to wait for the clock, in that order.
    pub deferrals: Vec<Deferral>,
    /// This process may issue stamps up to here; one that starts from the store issues later ones
    /// only.
    pub lease: Option<Stamp>,
}

/// What became of a write that is stamped later than the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// It waits, and must not be forgotten while it does.
    Waits(Write),
    /// Its time has come: it was decided, and is among the changes if it won.
    Over(Write),
}

impl Batch {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.deferrals.is_empty() && self.lease.is_none()
    }

    /// Puts what comes after into the same batch.
    pub fn append(&mut self, later: Self) {
        self.changes.extend(later.changes);
        self.deferrals.extend(later.deferrals);
        self.lease = self.lease.max(later.lease);
    }
}

impl From<Vec<Change>> for Batch {
    fn from(changes: Vec<Change>) -> Self {
        Self {
            changes,
            ..Self::default()
        }
    }
}

/// A state machine without IO.
pub trait Machine {
    /// What its own process may ask of it.
    type Command;

    /// Takes one input at `now` and appends what must be done about it.
    fn handle(&mut self, input: Input<Self::Command>, now: Now, effects: &mut Vec<Effect>);

    /// When to come back with [`Input::Deadline`] if nothing else happens first.
    fn deadline(&self) -> Option<Mono>;
}
