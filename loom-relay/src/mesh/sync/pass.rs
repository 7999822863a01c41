//! One pass: which items one side has and the other lacks, worked out with negentropy.
//!
//! Nothing is copied from the graph: each message is made from what it holds at that moment, and a
//! pass is over when no range of fields is left that differed when it was looked at. What changes
//! meanwhile is sent live, and seen by the next comparison.

use std::collections::VecDeque;

use negentropy::Negentropy;

use crate::clock::Mono;
use crate::graph::{Brief, Chronicle, ItemId};
use crate::model::Stamp;
use crate::wire::loom::{DIFF_BYTES_MAX, ITEMS_MAX};

/// Largest message of negentropy this side makes. Smaller ones would take more round trips.
const MESSAGE_BYTES: u64 = DIFF_BYTES_MAX as u64 / 2;

/// Round trips it takes to narrow a difference down, sixteenfold with each, and some to spare.
const ROUNDS_TO_NARROW: u64 = 16;

/// Items one more round trip must be good for: a message lists 8,000.
const ITEMS_PER_ROUND: u64 = 4_096;

/// Most round trips of one pass. One that is cut short moves what it has found, and another one
/// finds the rest.
const ROUNDS_MAX: u64 = 192;

/// Most items found by one pass, in each direction: 16 MiB of names.
pub const FOUND_MAX: usize = 1 << 20;

/// Items asked for at first; then as many as fitted into the last answer.
const ASKED_AT_FIRST: usize = 512;

/// A graph that lacks more than this part of another one gets a copy: listing what differs costs
/// about as much by then.
const COPY_ABOVE_PERCENT: u64 = 15;

/// Smaller differences are listed whatever part they are.
const COPY_ABOVE: u64 = 1_024;

/// What one pass has found and not moved yet.
#[derive(Debug)]
pub(in crate::mesh) struct Pass {
    /// Where it begins; `None` for everything.
    pub(in crate::mesh) from: Option<Stamp>,
    /// The window covers what can differ.
    pub(in crate::mesh) certain: bool,
    pub(in crate::mesh) began: Mono,
    /// How many fields the other side has.
    pub(in crate::mesh) theirs: u64,
    /// The last message of this side.
    pub(in crate::mesh) message: Vec<u8>,
    pub(in crate::mesh) rounds: u32,
    /// What this side lacks.
    pub(in crate::mesh) need: VecDeque<Brief>,
    /// What the other side lacks.
    pub(in crate::mesh) have: VecDeque<Brief>,
    /// How many of `need` to ask for at once.
    pub(in crate::mesh) batch: usize,
    /// How many of `have` are on their way.
    pub(in crate::mesh) given: usize,
    /// It was cut short.
    pub(in crate::mesh) cut: bool,
    /// Items there was no room for, on either side.
    pub(in crate::mesh) refused: u64,
}

/// What a message of the other side leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Found {
    /// Ask on.
    More,
    /// Everything, or as much as one pass may find.
    Enough,
}

impl Pass {
    /// Begins; [`Self::message`] is what to ask first.
    pub(in crate::mesh) fn new(
        chronicle: &Chronicle,
        from: Option<Stamp>,
        certain: bool,
        began: Mono,
    ) -> Self {
        let window = chronicle.window(from);
        let message = Negentropy::owned(window, MESSAGE_BYTES)
            .and_then(|mut side| side.initiate())
            .expect("a window is a valid storage and the message limit is above the least");
        Self {
            from,
            certain,
            began,
            theirs: 0,
            message,
            rounds: 0,
            need: VecDeque::new(),
            have: VecDeque::new(),
            batch: ASKED_AT_FIRST,
            given: 0,
            cut: false,
            refused: 0,
        }
    }

    /// Takes the other side's answer.
    ///
    /// # Errors
    ///
    /// It is not a message of negentropy.
    pub(in crate::mesh) fn hear(
        &mut self,
        chronicle: &Chronicle,
        answer: &[u8],
    ) -> Result<Found, negentropy::Error> {
        self.rounds += 1;
        let mut side = Negentropy::owned(chronicle.window(self.from), MESSAGE_BYTES)?;
        side.set_initiator();
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = side.reconcile_with_ids(answer, &mut have, &mut need)?;
        for (list, ids) in [(&mut self.have, have), (&mut self.need, need)] {
            let mut briefs: Vec<Brief> = ids.iter().map(ItemId::brief_of).collect();
            briefs.sort_unstable();
            self.cut |= list.len() + briefs.len() > FOUND_MAX;
            briefs.truncate(FOUND_MAX.saturating_sub(list.len()));
            list.extend(briefs);
        }
        let Some(next) = next else {
            return Ok(Found::Enough);
        };
        let items = chronicle.len().saturating_add(self.theirs);
        let rounds_max = ROUNDS_TO_NARROW.saturating_add(items / ITEMS_PER_ROUND);
        self.cut |= u64::from(self.rounds) >= rounds_max.min(ROUNDS_MAX);
        if self.cut {
            return Ok(Found::Enough);
        }
        self.message = next;
        Ok(Found::More)
    }

    pub(in crate::mesh) fn found(&self) -> u64 {
        (self.need.len() + self.have.len()) as u64
    }

    /// Whether a copy of all the other side has would be cheaper than naming what is lacking. Of a
    /// window only what is new is named, which is cheap whatever part it is.
    pub(in crate::mesh) fn calls_for_a_copy(&self) -> bool {
        self.from.is_none() && is_large(self.need.len() as u64, self.theirs)
    }

    /// `done` of those asked for have been dealt with.
    pub(in crate::mesh) fn fetched(&mut self, done: usize) {
        let asked = self.batch.min(self.need.len());
        self.need.drain(..done.min(asked));
        self.batch = match done >= asked {
            true => (self.batch * 2).min(ITEMS_MAX),
            false => done.max(16),
        };
    }
}

/// The answer to a message of the asking side.
///
/// # Errors
///
/// It is not a message of negentropy.
pub(in crate::mesh) fn answer(
    chronicle: &Chronicle,
    from: Option<Stamp>,
    message: &[u8],
) -> Result<Vec<u8>, negentropy::Error> {
    Negentropy::owned(chronicle.window(from), MESSAGE_BYTES)?.reconcile(message)
}

/// Whether a difference of so many fields among so many is worth a copy.
pub(in crate::mesh) fn is_large(difference: u64, count: u64) -> bool {
    difference > COPY_ABOVE
        && u128::from(difference) * 100 > u128::from(count) * u128::from(COPY_ABOVE_PERCENT)
}
