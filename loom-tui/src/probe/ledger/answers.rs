//! What the ledger tells: samples, counts, and where writes stand.

use std::time::Duration;

use super::{Class, WriteId};
use crate::client::{Key, Stamp};
use crate::cluster::Member;

/// An observer showed a write for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which write.
    pub id: WriteId,
    /// Where it was sent.
    pub origin: Member,
    /// Who showed it.
    pub observer: Member,
    /// On whose behalf.
    pub class: Class,
    /// From the intended moment to the showing; `None` for a write that was overtaken before it
    /// was even sent, which measures nothing.
    pub latency: Option<Duration>,
    /// When it was shown.
    pub at: Duration,
}

/// What one observer still owes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// Acked writes of other origins it has not shown.
    pub behind: u64,
    /// When the oldest of them was to be sent.
    pub oldest: Option<Duration>,
}

/// Where one write stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Sent, not answered.
    InFlight,
    /// Acked, and these observers have not shown it.
    Missing(Vec<Member>),
    /// Shown by everybody; the worst latency, if it was measured.
    Seen(Option<Duration>),
    /// Not followed: refused, unknown, beyond the ledger's bound, or settled long ago.
    NotFollowed,
}

/// Counts since the ledger began. All only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Writes intended.
    pub intended: u64,
    /// Answered with a yes.
    pub acked: u64,
    /// Answered with a no.
    pub refused: u64,
    /// Not answered.
    pub unknown: u64,
    /// Shown by every observer.
    pub settled: u64,
    /// Not followed for lack of room.
    pub overflow: u64,
}

impl Tally {
    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            intended: self.intended - earlier.intended,
            acked: self.acked - earlier.acked,
            refused: self.refused - earlier.refused,
            unknown: self.unknown - earlier.unknown,
            settled: self.settled - earlier.settled,
            overflow: self.overflow - earlier.overflow,
        }
    }
}

/// An acked write that somebody has not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Which write.
    pub id: WriteId,
    /// What was written.
    pub key: Key,
    /// Where.
    pub origin: Member,
    /// On whose behalf.
    pub class: Class,
    /// When it was to be sent.
    pub intended: Duration,
    /// What it was stamped.
    pub stamp: Stamp,
    /// Who has not shown it.
    pub missing: Vec<Member>,
}
