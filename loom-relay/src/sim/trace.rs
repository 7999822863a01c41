//! What happened, for whoever has to find out why: the last events in full, all of them as a hash.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;

use super::{MemberId, Time};
use crate::machine::Commit;
use crate::model::PeerId;

/// Events kept in full.
const KEPT: usize = 200;

/// Bytes of a frame that are shown.
const SHOWN_BYTES: usize = 160;

/// The record of one run.
#[derive(Debug, Default)]
pub struct Trace {
    /// Keyed with zeros, so equal in every process.
    hasher: DefaultHasher,
    events: u64,
    last: VecDeque<(Time, Note)>,
}

/// One event.
#[derive(Clone, Debug, Hash)]
pub(super) enum Note {
    Up(MemberId, PeerId),
    Down(MemberId, PeerId),
    Heard(MemberId, PeerId, Bytes),
    Sent(MemberId, PeerId, Bytes),
    Deadline(MemberId),
    Command(MemberId),
    Persist(MemberId, Commit),
    Committed(MemberId, Commit),
    Stalled(MemberId, bool),
    Said(String),
}

impl Trace {
    pub(super) fn note(&mut self, at: Time, note: Note) {
        at.hash(&mut self.hasher);
        note.hash(&mut self.hasher);
        self.events += 1;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((at, note));
    }

    /// Equal for two runs in which the same happened.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// How many events there were.
    pub fn len(&self) -> u64 {
        self.events
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }
}

impl fmt::Display for Trace {
    /// The last events, one per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the last {} of {} events:", self.last.len(), self.events)?;
        for (at, note) in &self.last {
            writeln!(f, "{:>13.6}  {note}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(member, peer) => write!(f, "#{member} link {} up", peer.0),
            Self::Down(member, peer) => write!(f, "#{member} link {} down", peer.0),
            Self::Heard(member, peer, frame) => {
                write!(f, "#{member} <- {}: {}", peer.0, Shown(frame))
            }
            Self::Sent(member, peer, frame) => {
                write!(f, "#{member} -> {}: {}", peer.0, Shown(frame))
            }
            Self::Deadline(member) => write!(f, "#{member} deadline"),
            Self::Command(member) => write!(f, "#{member} command"),
            Self::Persist(member, commit) => write!(f, "#{member} persist {}", commit.0),
            Self::Stalled(member, stalled) => write!(f, "#{member} stalled: {stalled}"),
            Self::Committed(member, commit) => write!(f, "#{member} committed {}", commit.0),
            Self::Said(text) => f.write_str(text),
        }
    }
}

struct Shown<'a>(&'a Bytes);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES)];
        f.write_str(&String::from_utf8_lossy(shown))?;
        if self.0.len() > shown.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}
