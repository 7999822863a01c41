//! The event log: bounded, oldest first.

use std::collections::VecDeque;
use std::time::Duration;

use crate::snapshot::{EventLine, Level};

/// Lines kept; older ones are dropped.
const LINES_MAX: usize = 200;

/// The newest lines.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    lines: VecDeque<EventLine>,
}

impl EventLog {
    pub(super) fn say(&mut self, at: Duration, level: Level, source: &str, text: String) {
        self.lines.push_back(EventLine {
            at,
            level,
            source: source.to_owned(),
            text,
        });
        if self.lines.len() > LINES_MAX {
            self.lines.pop_front();
        }
    }

    pub(super) fn lines(&self) -> &VecDeque<EventLine> {
        &self.lines
    }
}
