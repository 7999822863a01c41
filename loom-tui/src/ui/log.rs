//! Reading a member's log: following, holding still while somebody reads back, filtering.
//!
//! Whoever scrolls up reads a copy that does not move; the end of the log lets go of it. So a line
//! that is being read never runs away, however fast the member prints.

use std::sync::Arc;

use super::key::Key;
use super::overlay::Line;
use crate::cluster::Member;
use crate::snapshot::MemberLog;

/// Lines a page key moves by, and cells a sideways key.
const PAGE_LINES: usize = 20;
const SIDEWAYS_CELLS: usize = 16;

/// Where somebody reads in whose log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogReader {
    /// Whose log.
    pub member: Member,
    /// Only lines that contain this are shown; case does not matter.
    pub filter: Line,
    /// Whether keys go into the filter.
    pub typing: bool,
    /// What is read while it is not followed.
    pub held: Option<Arc<MemberLog>>,
    /// Lines below the view; 0 while it is followed.
    pub below: usize,
    /// Cells to the left of the view.
    pub right: usize,
}

/// What a key asks of whoever holds the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Stay,
    /// To be closed.
    Close,
    /// So many members further.
    Member(isize),
    /// This line on the clipboard.
    Copy(String),
}

impl LogReader {
    /// A reader that follows.
    pub fn new(member: Member) -> Self {
        Self {
            member,
            filter: Line::default(),
            typing: false,
            held: None,
            below: 0,
            right: 0,
        }
    }

    /// Reads somebody else's log from its end. The filter stays.
    pub fn turn_to(&mut self, member: Member) {
        self.member = member;
        self.follow();
    }

    /// The log that is shown, of what is known now.
    pub fn shown<'a>(&'a self, newest: Option<&'a Arc<MemberLog>>) -> Option<&'a Arc<MemberLog>> {
        let newest = newest.filter(|log| log.member == self.member);
        self.held.as_ref().or(newest)
    }

    /// The lines of `log` that pass the filter, oldest first.
    pub fn matching<'a>(&self, log: &'a MemberLog) -> Vec<&'a str> {
        let wanted = self.filter.text.to_lowercase();
        let lines = log.lines.iter().map(String::as_str);
        lines
            .filter(|line| wanted.is_empty() || line.to_lowercase().contains(&wanted))
            .collect()
    }

    /// Takes pasted text into the filter.
    pub fn paste(&mut self, text: &str) {
        self.filter.insert(text);
        self.follow();
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key, newest: Option<&Arc<MemberLog>>) -> Turn {
        if self.typing {
            match key {
                Key::Enter => self.typing = false,
                Key::Esc => {
                    self.typing = false;
                    self.filter = Line::default();
                    self.follow();
                }
                _ => {
                    if self.filter.edit(key) {
                        self.follow();
                    }
                }
            }
            return Turn::Stay;
        }
        match key {
            Key::Up | Key::Char('k') => self.back(1, newest),
            Key::PageUp | Key::Ctrl('b') => self.back(PAGE_LINES, newest),
            Key::Home | Key::Char('g') => self.back(usize::MAX, newest),
            Key::Down | Key::Char('j') => self.forth(1),
            Key::PageDown | Key::Ctrl('f') | Key::Char(' ') => self.forth(PAGE_LINES),
            Key::End | Key::Char('G') => self.follow(),
            Key::Left | Key::Char('h') => self.right = self.right.saturating_sub(SIDEWAYS_CELLS),
            Key::Right | Key::Char('l') => self.right = self.right.saturating_add(SIDEWAYS_CELLS),
            Key::Char('/') => self.typing = true,
            Key::Tab => return Turn::Member(1),
            Key::BackTab => return Turn::Member(-1),
            Key::Char('y') => {
                let log = self.shown(newest);
                let lines = log.map(|log| self.matching(log)).unwrap_or_default();
                let lowest = lines.len().checked_sub(self.below.saturating_add(1));
                return lowest.map_or(Turn::Stay, |at| Turn::Copy(lines[at].to_owned()));
            }
            // One step back at a time, as everywhere.
            Key::Esc if !self.filter.text.is_empty() => {
                self.filter = Line::default();
                self.follow();
            }
            Key::Esc if self.held.is_some() => self.follow(),
            Key::Esc | Key::Char('q' | 'L') => return Turn::Close,
            _ => {}
        }
        Turn::Stay
    }

    fn follow(&mut self) {
        self.held = None;
        self.below = 0;
    }

    fn back(&mut self, lines: usize, newest: Option<&Arc<MemberLog>>) {
        let Some(log) = self.shown(newest).cloned() else {
            return;
        };
        let most = self.matching(&log).len().saturating_sub(1);
        self.below = self.below.saturating_add(lines).min(most);
        self.held = Some(log);
    }

    fn forth(&mut self, lines: usize) {
        self.below = self.below.saturating_sub(lines);
        if self.below == 0 {
            self.follow();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Member = Member::Node(1);

    fn log(lines: &[&str]) -> Arc<MemberLog> {
        Arc::new(MemberLog {
            member: WHO,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            file: None,
        })
    }

    fn lowest(reader: &LogReader, newest: &Arc<MemberLog>) -> String {
        let shown = reader.shown(Some(newest)).expect("there is a log");
        let lines = reader.matching(shown);
        lines[lines.len() - 1 - reader.below].to_owned()
    }

    #[test]
    fn what_is_read_holds_still_and_the_end_follows_again() {
        let mut reader = LogReader::new(WHO);
        let (first, second) = (log(&["a", "b", "c"]), log(&["b", "c", "d"]));
        assert_eq!(lowest(&reader, &first), "c");
        reader.key(Key::Up, Some(&first));
        assert_eq!(lowest(&reader, &second), "b");
        reader.key(Key::Home, Some(&second));
        assert_eq!(lowest(&reader, &second), "a");
        reader.key(Key::Char('G'), Some(&second));
        assert_eq!(lowest(&reader, &second), "d");
    }

    #[test]
    fn scrolling_down_to_the_end_follows() {
        let mut reader = LogReader::new(WHO);
        let (first, second) = (log(&["a", "b", "c"]), log(&["a", "b", "c", "d"]));
        reader.key(Key::Up, Some(&first));
        reader.key(Key::Down, Some(&second));
        assert_eq!(lowest(&reader, &second), "d");
    }

    #[test]
    fn the_filter_is_typed_kept_and_cleared_before_the_reader_closes() {
        let mut reader = LogReader::new(WHO);
        let log = log(&["INFO one", "WARN two", "INFO three"]);
        let keys = [Key::Char('/'), Key::Char('w'), Key::Char('a'), Key::Enter];
        for key in keys {
            assert_eq!(reader.key(key, Some(&log)), Turn::Stay);
        }
        assert_eq!(reader.matching(&log), ["WARN two"]);
        assert_eq!(
            reader.key(Key::Char('y'), Some(&log)),
            Turn::Copy("WARN two".to_owned())
        );
        assert_eq!(reader.key(Key::Esc, Some(&log)), Turn::Stay);
        assert_eq!(reader.matching(&log).len(), 3);
        assert_eq!(reader.key(Key::Esc, Some(&log)), Turn::Close);
    }

    #[test]
    fn another_members_lines_are_not_shown_as_ones_own() {
        let mut reader = LogReader::new(WHO);
        let log = log(&["a", "b"]);
        reader.key(Key::Up, Some(&log));
        reader.turn_to(Member::Relay);
        assert_eq!(reader.shown(Some(&log)), None);
        assert_eq!(reader.key(Key::Char('y'), Some(&log)), Turn::Stay);
    }
}
