//! One side of reconciling with a Loom peer: compare roots, and pull what the other side holds.
//!
//! Both sides do this on their own, so both end with the union. [`Sync`] only decides what to ask
//! next; merging is the mesh's. It pulls the whole graph when the roots differ; a difference
//! worked out first (negentropy) would take the place of [`Phase::Pulling`] and nothing else.

use crate::graph::Root;
use crate::model::{Field, Soul};
use crate::wire::Id;

/// How much of a graph one chunk carries, in bytes. With one chunk on its way per link a pull is
/// paced by its receiver and live writes pass between chunks.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Where a link's reconciliation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncView {
    /// Not a Loom peer, or not known to be one yet.
    #[default]
    None,
    /// The other side's root was asked for.
    Comparing,
    /// Its graph is being pulled.
    Pulling {
        /// Fields received.
        received: u64,
        /// Fields the other side had when asked.
        expected: u64,
    },
    /// Done: this side has everything the other side had.
    Done {
        /// Fields received; 0 when the roots were equal.
        received: u64,
    },
    /// The other side broke the rules; the next connection starts over.
    Failed,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for the fields after this.
    Ask(Option<(Soul, Field)>),
    Finished,
    Failed,
    /// Not what was waited for.
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Sync {
    phase: Phase,
    /// The only question on its way.
    question: Option<Id>,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    None,
    Comparing,
    Pulling {
        after: Option<(Soul, Field)>,
        received: u64,
        expected: u64,
    },
    Done {
        received: u64,
    },
    Failed,
}

impl Sync {
    /// Starts over; `question` asks for the root.
    pub(super) fn start(&mut self, question: Id) {
        self.phase = Phase::Comparing;
        self.question = Some(question);
    }

    /// The question that [`Step::Ask`] was turned into.
    pub(super) fn asked(&mut self, question: Id) {
        self.question = Some(question);
    }

    /// Whether `answers` is what is waited for.
    pub(super) fn expects(&self, answers: Option<&Id>) -> bool {
        answers.is_some() && self.question.as_ref() == answers
    }

    /// The other side's root came; `own` is ours at this moment.
    ///
    /// Writes on their way make roots differ without harm: the pull finds nothing new.
    pub(super) fn on_root(&mut self, root: &str, count: u64, own: &Root) -> Step {
        if !matches!(self.phase, Phase::Comparing) {
            return Step::Nothing;
        }
        self.question = None;
        let same = count == own.count() && root == own.hex();
        if same || count == 0 {
            self.phase = Phase::Done { received: 0 };
            return Step::Finished;
        }
        self.phase = Phase::Pulling {
            after: None,
            received: 0,
            expected: count,
        };
        Step::Ask(None)
    }

    /// A chunk of `fields` fields came and was merged.
    pub(super) fn on_chunk(&mut self, fields: u64, next: Option<(Soul, Field)>) -> Step {
        let Phase::Pulling {
            after, received, ..
        } = &mut self.phase
        else {
            return Step::Nothing;
        };
        self.question = None;
        *received += fields;
        let Some(next) = next else {
            let received = *received;
            self.phase = Phase::Done { received };
            return Step::Finished;
        };
        // A cursor that does not move on would be a pull without an end.
        if fields == 0 || after.as_ref().is_some_and(|after| next <= *after) {
            self.phase = Phase::Failed;
            return Step::Failed;
        }
        *after = Some(next.clone());
        Step::Ask(Some(next))
    }

    pub(super) fn fail(&mut self) {
        self.phase = Phase::Failed;
        self.question = None;
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.question.is_some()
    }

    pub(super) fn view(&self) -> SyncView {
        match self.phase {
            Phase::None => SyncView::None,
            Phase::Comparing => SyncView::Comparing,
            Phase::Pulling {
                received, expected, ..
            } => SyncView::Pulling { received, expected },
            Phase::Done { received } => SyncView::Done { received },
            Phase::Failed => SyncView::Failed,
        }
    }
}
