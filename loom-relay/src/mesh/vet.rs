//! The one way in for what others wrote: checked for what its soul allows, if this member checks.
//!
//! [`Mesh::merge`] takes nothing but [`Vetted`] writes, so a put, an answer, a chunk and whatever
//! comes later all pass here. What a signature costs is bounded: what is held already is not
//! checked again, what would lose is dropped unread, and one frame gets only so many checks.

use std::time::Duration;

use crate::clock::Mono;
use crate::ham::{self, Decision};
use crate::model::{PeerId, Write};
use crate::sea::{self, Space, Unverified};

use super::Mesh;
use super::turn::Turn;

/// Most writes checked for one frame: about a second of the machine's time in a debug build, in
/// which one takes 0.5 ms (one with a certificate twice that). A chunk of 256 KiB holds fewer, and
/// gun.js fills frames to 9,000 characters.
pub const SIGNATURES_PER_FRAME_MAX: usize = 2_048;

/// How often a refusal is logged; those between are only counted.
const LOGGED_EVERY: Duration = Duration::from_secs(1);

/// A write of this process, or one that its soul allows.
#[derive(Debug)]
pub(super) struct Vetted(Write);

impl Vetted {
    /// A write of this process, or one that was vetted before it had to wait.
    pub(super) fn own(write: Write) -> Self {
        Self(write)
    }

    pub(super) fn write(&self) -> &Write {
        &self.0
    }

    pub(super) fn into_write(self) -> Write {
        self.0
    }
}

/// What is left of some writes.
#[derive(Debug, Default)]
pub(super) struct Vetting {
    pub(super) passed: Vec<Vetted>,
    /// Something is left out: the frame must not be passed on as it came.
    pub(super) reduced: bool,
    /// Why the first of those refused was refused.
    pub(super) refused: Option<String>,
    /// How many of those refused were not looked at: there were too many in one frame.
    pub(super) unchecked: u64,
}

/// When a refusal was logged last, and how many were not.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    quiet_until: Mono,
    unsaid: u64,
}

impl Mesh {
    /// Tells what may be merged of what a peer sent. With `all_or_nothing` the first refusal ends
    /// it, and nothing is to be taken.
    pub(super) fn vet(
        &mut self,
        from: PeerId,
        writes: Vec<Write>,
        all_or_nothing: bool,
        turn: &mut Turn<'_>,
    ) -> Vetting {
        if !self.config.verifies_sea {
            return Vetting {
                passed: writes.into_iter().map(Vetted).collect(),
                ..Vetting::default()
            };
        }
        let mut vetting = Vetting::default();
        for write in writes {
            match self.question(&write) {
                Question::Settled => vetting.passed.push(Vetted(write)),
                Question::Lost => {
                    self.counters.fields_kept += 1;
                    self.note_beaten(write);
                    vetting.reduced = true;
                }
                Question::Open => match self.check(from, &write, turn) {
                    Ok(()) => vetting.passed.push(Vetted(write)),
                    Err(why) => {
                        self.counters.fields_unverified += 1;
                        vetting.reduced = true;
                        vetting.unchecked += u64::from(why == Why::Unchecked);
                        vetting.refused.get_or_insert_with(|| why.to_string());
                        if all_or_nothing {
                            break;
                        }
                    }
                },
            }
        }
        vetting
    }

    /// Whether the signature has to be looked at.
    fn question(&self, write: &Write) -> Question {
        if Space::of(&write.soul) == Space::Free {
            return Question::Settled;
        }
        let Some(held) = self.graph.get(&write.soul, &write.field) else {
            return Question::Open;
        };
        if *held == write.cell {
            return Question::Settled;
        }
        // At its own time; a write from the future that loses today loses then as well.
        match ham::decide(Some(held), &write.cell, write.cell.stamp) {
            Decision::Take => Question::Open,
            Decision::Keep | Decision::Defer(_) => Question::Lost,
        }
    }

    fn check(&mut self, from: PeerId, write: &Write, turn: &mut Turn<'_>) -> Result<(), Why> {
        if turn.signatures_left == 0 {
            // Whatever is left of a Loom peer's graph is asked for again.
            self.ask_again_later(from, turn);
            return Err(Why::Unchecked);
        }
        turn.signatures_left -= 1;
        self.counters.signatures_checked += 1;
        sea::check(write).map_err(|unverified| {
            self.log_refusal(from, &unverified, turn.now.mono);
            Why::Unverified(unverified.to_string())
        })
    }

    fn log_refusal(&mut self, from: PeerId, unverified: &Unverified, now: Mono) {
        let log = &mut self.refusal_log;
        if now < log.quiet_until {
            log.unsaid += 1;
            return;
        }
        tracing::warn!(
            peer = from.0,
            soul = unverified.soul,
            field = unverified.field,
            reason = %unverified.reason,
            unsaid = log.unsaid,
            "refused an unverified write"
        );
        *log = RefusalLog {
            quiet_until: now.after(LOGGED_EVERY),
            unsaid: 0,
        };
    }
}

/// Why a write is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("more than {SIGNATURES_PER_FRAME_MAX} signed fields in one frame; send fewer")]
    Unchecked,
    #[error("{0}")]
    Unverified(String),
}

/// What is known about a write before its signature is looked at.
enum Question {
    /// It may be merged: anybody may write there, or it is what is held.
    Settled,
    /// What is held stays whatever the signature says.
    Lost,
    /// The signature decides.
    Open,
}
