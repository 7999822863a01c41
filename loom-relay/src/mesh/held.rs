//! Which of this process's own writes another Loom peer is known to hold.

use crate::clock::Mono;
use crate::model::PeerId;

use super::Mesh;
use super::sync::pace::HELD_WITHIN;

impl Mesh {
    /// This process has written something.
    pub(super) fn note_own_writes(&mut self, now: Mono) {
        let is_news = !self.has_unheld();
        self.written_in = Some(self.section);
        if !is_news {
            return;
        }
        let soon = now.after(HELD_WITHIN);
        let resting = self.links.iter().filter(|(_, link)| {
            let sync = &link.sync;
            sync.caught_up && !sync.is_waiting() && sync.timer.is_some_and(|timer| timer > soon)
        });
        let resting: Vec<PeerId> = resting.map(|(peer, _)| *peer).collect();
        for peer in resting {
            self.set_sync_timer(peer, soon);
        }
    }

    pub(super) fn has_unheld(&self) -> bool {
        self.written_in.is_some_and(|section| section >= self.held)
    }
}
