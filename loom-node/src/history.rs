//! The newest changes, for people: what happened here, and which writes lost a conflict.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::feed::Event;

/// Changes kept, as LoomDB keeps them.
pub const HISTORY_EVENTS_MAX: usize = 1000;

/// A list that forgets its oldest entries.
#[derive(Debug, Default)]
pub struct History(VecDeque<Arc<Event>>);

impl History {
    /// Adds the newest entry; the oldest goes when there are too many.
    pub fn push(&mut self, event: Arc<Event>) {
        if self.0.len() == HISTORY_EVENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> Vec<Arc<Event>> {
        self.0.iter().cloned().collect()
    }
}
