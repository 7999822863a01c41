//! Acknowledgements that wait for the store.

use std::collections::VecDeque;

use crate::machine::Commit;
use crate::model::PeerId;
use crate::wire::Id;

/// Most acknowledgements that wait. A store that is this far behind has stopped; puts are still
/// merged and passed on, only their writers are not told.
pub(super) const WAITING_MAX: usize = 1 << 16;

/// Commits issued, and who is told when they are done.
#[derive(Debug, Default)]
pub(super) struct Acks {
    issued: Commit,
    done: Commit,
    waiting: VecDeque<(Commit, PeerId, Id)>,
}

impl Acks {
    pub(super) fn next_commit(&mut self) -> Commit {
        self.issued = Commit(self.issued.0 + 1);
        self.issued
    }

    /// Whether something is not stored yet. A put that changes nothing may repeat a write that is
    /// only on its way to the store, so it waits as well.
    pub(super) fn must_wait(&self) -> bool {
        self.done < self.issued
    }

    /// Queues an acknowledgement behind the last commit; false when too many wait.
    pub(super) fn wait(&mut self, peer: PeerId, put: Id) -> bool {
        let room = self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push_back((self.issued, peer, put));
        }
        room
    }

    /// What can be acknowledged now, oldest first.
    pub(super) fn committed(&mut self, commit: Commit) -> Vec<(PeerId, Id)> {
        self.done = self.done.max(commit);
        let ready = self
            .waiting
            .partition_point(|(after, ..)| *after <= self.done);
        let ready = self.waiting.drain(..ready);
        ready.map(|(_, peer, put)| (peer, put)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn forget(&mut self, peer: PeerId) {
        self.waiting.retain(|(_, waiting, _)| *waiting != peer);
    }
}
