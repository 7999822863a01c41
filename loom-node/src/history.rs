//! The newest changes, for people: what happened here, and which writes lost a conflict.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::feed::Event;

/// Changes kept, as LoomDB keeps them.
pub const HISTORY_EVENTS_MAX: usize = 1000;

/// Memory for their records; only records of many kilobytes make the list shorter than
/// [`HISTORY_EVENTS_MAX`].
pub const HISTORY_BYTES_MAX: usize = 32 << 20;

/// A list that forgets its oldest entries.
#[derive(Debug, Default)]
pub struct History {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl History {
    /// Adds the newest entry; the oldest go when there are too many.
    pub fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.weight();
        self.events.push_back(event);
        while self.events.len() > HISTORY_EVENTS_MAX || self.bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.weight();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> Vec<Arc<Event>> {
        self.events.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Happened, Origin, Subject};

    fn push(history: &mut History, seq: u64, value_bytes: usize) {
        history.push(Arc::new(Event {
            seq,
            happened: Happened {
                at_ms: 0,
                origin: Origin::Local,
                subject: Subject::Canary {
                    node: "n".into(),
                    value: "x".repeat(value_bytes).into(),
                },
            },
        }));
    }

    #[test]
    fn the_newest_are_kept_up_to_a_number_and_up_to_a_size() {
        let mut history = History::default();
        for seq in 0..1010 {
            push(&mut history, seq, 1);
        }
        assert_eq!((history.len(), history.entries()[0].seq), (1000, 10));
        for seq in 0..10 {
            push(&mut history, seq, HISTORY_BYTES_MAX / 4);
        }
        assert_eq!((history.len(), history.entries()[0].seq), (3, 7));
        history.clear();
        push(&mut history, 1, 1);
        assert_eq!(history.len(), 1);
    }
}
