//! Where reconciling with one Loom peer stands. [`Sync`] remembers, [`super::reconcile`] carries
//! out, [`pace`] says when, [`pass`] what differs, [`common`] how far back to look.
//!
//! Of two peers the one that dialled asks; the other answers and remembers only what to show.

pub(super) mod common;
pub(super) mod pace;
pub(super) mod pass;

use std::time::Duration;

use crate::clock::Mono;
use crate::graph::Root;
use crate::model::{Field, Soul};
use crate::wire::Id;

use pace::Pace;
use pass::Pass;

/// How much of a graph one chunk carries, in bytes. With one chunk on its way per link a transfer
/// is paced by its receiver and live writes pass between chunks.
pub const CHUNK_BYTES: usize = 256 << 10;

/// How long a link may be silent before an unanswered question is asked again; doubled each time.
/// Twice what a dead link takes to be noticed, so this is for answers that got lost on a live one.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How often one question is asked before the attempt counts as failed.
const TRIES_MAX: u32 = 3;

/// Where a link's reconciliation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncView {
    /// What is going on.
    pub phase: SyncPhase,
    /// Fields that came in since the last time both sides agreed.
    pub items_in: u64,
    /// Fields that went out since then.
    pub items_out: u64,
    /// How many in and out are known to be needed; rises while differences are being found.
    pub expected: u64,
}

/// What a reconciliation is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPhase {
    /// Not a Loom peer, or not known to be one yet.
    #[default]
    None,
    /// Roots are being compared for the first time on this link.
    Comparing,
    /// What differs is being worked out.
    Finding,
    /// What differs is on its way.
    Moving,
    /// The whole graph is on its way: too much differs to list it.
    Copying,
    /// Both sides held the same when they last compared, or everything found has been moved.
    Agreed,
    /// Roots differed, which writes on their way do as well: they are compared again soon.
    Differing,
    /// The other side did not answer, or not sensibly; it is asked again later.
    Failed,
}

impl SyncPhase {
    /// In one word, for people and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Comparing => "comparing",
            Self::Finding => "finding",
            Self::Moving => "moving",
            Self::Copying => "copying",
            Self::Agreed => "agreed",
            Self::Differing => "differing",
            Self::Failed => "failed",
        }
    }
}

impl SyncView {
    /// How much of what is known to be needed has been moved; 100 when nothing is.
    pub fn percent(&self) -> u8 {
        let moved = self.items_in.saturating_add(self.items_out);
        match (self.phase, self.expected) {
            (SyncPhase::Agreed, _) => 100,
            (_, 0) => 0,
            // 100 is for when both sides agree.
            (_, expected) => (u128::from(moved) * 100 / u128::from(expected)).min(99) as u8,
        }
    }
}

/// The state of one link.
#[derive(Debug, Default)]
pub(super) struct Sync {
    pub(super) view: SyncView,
    pub(super) work: Work,
    question: Option<Question>,
    pub(super) pace: Pace,
    /// Everything either side held when the link came up has reached the other.
    pub(super) caught_up: bool,
    /// Both roots at the last comparison that found them different.
    pub(super) last: Option<(Root, String)>,
    /// The one timer of this link that is set.
    pub(super) timer: Option<Mono>,
    /// When the last pass began that the other side asked for.
    pub(super) asked_since: Option<Mono>,
    /// The last pass found and moved everything; the other side has not been told yet.
    pub(super) passed: bool,
    /// When something the other side sent was last not taken in; both have not held the same since.
    pub(super) missed: Option<Mono>,
    /// The other side takes nothing in at the moment.
    pub(super) far_stalled: bool,
    /// Copies made since both sides agreed: another one would not help.
    pub(super) copies: u32,
    /// Both sides have agreed since [`Self::view`] began to count.
    settled: bool,
}

/// What is being asked for.
#[derive(Debug, Default)]
pub(super) enum Work {
    /// Nothing.
    #[default]
    Rest,
    /// The other side's root.
    Compare,
    /// What differs.
    Find(Pass),
    /// What this side lacks.
    Fetch(Pass),
    /// What the other side lacks.
    Give(Pass),
    /// All it has.
    Pull {
        after: Option<(Soul, Field)>,
        refused: u64,
    },
    /// To take all this side has.
    Push {
        /// What has been taken.
        after: Option<(Soul, Field)>,
        /// Where the chunk that is on its way ends; `None` at the end.
        next: Option<(Soul, Field)>,
        refused: u64,
    },
}

/// What to do about an unanswered question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    NotYet(Mono),
    AskAgain,
    GiveUp,
}

fn patience(tries: u32) -> Duration {
    ANSWER_WITHIN * (1 << tries.saturating_sub(1).min(4))
}

/// The only question of a link that is on its way.
#[derive(Debug)]
struct Question {
    id: Id,
    asked: Mono,
    tries: u32,
    /// Own writes of sections below this were sent before it.
    covers: u64,
}

impl Sync {
    /// The question that was just sent.
    pub(super) fn asked(&mut self, id: Id, now: Mono, covers: u64, again: bool) -> Mono {
        let before = self.question.take().filter(|_| again);
        let tries = 1 + before.map_or(0, |question| question.tries);
        self.question = Some(Question {
            id,
            asked: now,
            tries,
            covers,
        });
        now.after(patience(tries))
    }

    /// Whether `answers` is what is waited for.
    pub(super) fn expects(&self, answers: Option<&Id>) -> bool {
        let question = self.question.as_ref().map(|question| &question.id);
        answers.is_some() && question == answers
    }

    /// The answer has come; what own writes it covers.
    pub(super) fn answered(&mut self) -> u64 {
        self.question.take().map_or(0, |question| question.covers)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.question.is_some()
    }

    /// What to do about the question on its way, if the link was last heard at `heard`.
    pub(super) fn look(&self, now: Mono, heard: Mono) -> Option<Overdue> {
        let question = self.question.as_ref()?;
        let patience = patience(question.tries);
        let due = question.asked.max(heard).after(patience);
        // What else a busy link brings does not excuse it for ever.
        let limit = question.asked.after(patience * 4);
        Some(match due.min(limit) {
            due if due > now => Overdue::NotYet(due),
            _ if question.tries < TRIES_MAX => Overdue::AskAgain,
            _ => Overdue::GiveUp,
        })
    }

    /// Gives up what is being done.
    pub(super) fn stop(&mut self) {
        self.question = None;
        self.work = Work::Rest;
        self.passed = false;
    }

    /// Both sides hold the same, or all that was found has been moved.
    pub(super) fn settle(&mut self) {
        self.view.phase = SyncPhase::Agreed;
        self.copies = 0;
        self.settled = true;
    }

    /// Starts to count anew, unless what is counted still goes on.
    pub(super) fn begin(&mut self, phase: SyncPhase) {
        if std::mem::take(&mut self.settled) {
            self.view = SyncView::default();
        }
        self.view.phase = phase;
    }

    pub(super) fn moved(&mut self, phase: SyncPhase, fields_in: u64, fields_out: u64) {
        self.view.phase = phase;
        self.view.items_in += fields_in;
        self.view.items_out += fields_out;
        let moved = self.view.items_in + self.view.items_out;
        self.view.expected = self.view.expected.max(moved);
    }
}
