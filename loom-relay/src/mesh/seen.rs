//! What was heard lately: the mesh's only protection against loops, and the way back for answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Mono;
use crate::model::PeerId;

/// How long an id is remembered after it was last heard, at least; as in gun.js.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(9);

/// Most ids remembered: 29,000 messages a second for nine seconds, in about 40 MB. Past that the
/// oldest go first, which costs repeated work, never correctness: merging twice changes nothing.
pub const REMEMBERED_MAX: usize = 1 << 18;

/// Who sent a message first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Me,
    Peer(PeerId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) origin: Origin,
    /// It was a get, and the asker has had an answer: another "nothing here" is no news.
    pub(super) answered: bool,
    /// It was a put that there was no room for: if it comes again it is taken in, and not passed on
    /// a second time.
    pub(super) unstored: bool,
    touched: Mono,
}

/// Bounded in age and in count.
#[derive(Debug)]
pub(super) struct Seen {
    /// Looked up by name and never walked, so its random order decides nothing.
    entries: HashMap<Arc<str>, Entry>,
    /// Every entry once, with the time it was touched when it was put here. A touch only changes
    /// the entry; it is put here again when it would have been forgotten.
    by_age: VecDeque<(Mono, Arc<str>)>,
    max: usize,
}

impl Seen {
    pub(super) fn new(max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_age: VecDeque::new(),
            max,
        }
    }

    /// Whether this was heard lately; if so it is remembered for longer.
    pub(super) fn touch(&mut self, key: &str, now: Mono) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        entry.touched = now;
        true
    }

    pub(super) fn remember(&mut self, key: Arc<str>, origin: Origin, now: Mono) {
        self.forget(now);
        let entry = Entry {
            origin,
            answered: false,
            unstored: false,
            touched: now,
        };
        if self.entries.insert(key.clone(), entry).is_none() {
            self.by_age.push_back((now, key));
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn mark_answered(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.answered = true;
        }
    }

    pub(super) fn mark_unstored(&mut self, key: &str, unstored: bool) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.unstored = unstored;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets what is too old, and the oldest when full.
    fn forget(&mut self, now: Mono) {
        while let Some((then, key)) = self.by_age.front() {
            let full = self.entries.len() >= self.max;
            if !full && now.since(*then) <= REMEMBERED_FOR {
                return;
            }
            let touched = self.entries.get(key).map(|entry| entry.touched);
            let touched = touched.expect("every key in `by_age` has an entry");
            let (then, key) = self.by_age.pop_front().expect("there is a front");
            if touched > then {
                self.by_age.push_back((touched, key));
            } else {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    fn remember(seen: &mut Seen, key: &str, ms: u64) {
        seen.remember(key.into(), Origin::Me, at(ms));
    }

    #[test]
    fn an_id_is_remembered_for_nine_seconds_after_it_was_last_heard() {
        let mut seen = Seen::new(100);
        remember(&mut seen, "a", 0);
        assert!(seen.touch("a", at(8_999)));
        remember(&mut seen, "b", 17_998);
        assert!(seen.get("a").is_some(), "touched 8,999 ms ago");
        remember(&mut seen, "c", 27_000);
        assert!(seen.get("a").is_none() && seen.get("b").is_none());
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn when_full_the_longest_unheard_goes() {
        let mut seen = Seen::new(3);
        for key in ["a", "b", "c"] {
            remember(&mut seen, key, 0);
        }
        assert!(seen.touch("a", at(1)));
        remember(&mut seen, "d", 2);
        assert!(seen.get("a").is_some() && seen.get("b").is_none());
        assert_eq!(seen.len(), 3);
    }
}
