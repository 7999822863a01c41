//! Which souls a gun.js client had written when its link went down.
//!
//! Such a client may write the same souls again while it is offline. It never sends that, and it
//! asks again only for what it follows, so one that only writes would never be heard of. When the
//! same client is back, [`Away::back`] tells what to ask it for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::Soul;

/// Most clients remembered; the one that left first is forgotten first.
pub(super) const CLIENTS_MAX: usize = 1_024;

/// Most souls remembered, over all clients.
pub(super) const SOULS_MAX: usize = 16_384;

/// Clients that are away, by the name they give themselves, which lives as long as their process.
#[derive(Debug, Default)]
pub(super) struct Away {
    wrote: BTreeMap<Arc<str>, BTreeSet<Soul>>,
    /// Who left when; a name that is not in `wrote` any more is passed over.
    left: VecDeque<Arc<str>>,
    souls: usize,
}

impl Away {
    /// A client went.
    pub(super) fn gone(&mut self, pid: Arc<str>, mut wrote: BTreeSet<Soul>) {
        if wrote.is_empty() {
            return;
        }
        // Its previous link may have been given up on after this one came up.
        wrote.append(&mut self.back(&pid));
        self.souls += wrote.len();
        self.wrote.insert(Arc::clone(&pid), wrote);
        self.left.push_back(pid);
        while self.left.len() > CLIENTS_MAX || self.souls > SOULS_MAX {
            let Some(first) = self.left.front().cloned() else {
                return;
            };
            self.back(&first);
        }
    }

    /// A client is back: what it had written. It is not away any more.
    pub(super) fn back(&mut self, pid: &str) -> BTreeSet<Soul> {
        let Some(wrote) = self.wrote.remove(pid) else {
            return BTreeSet::new();
        };
        self.left.retain(|left| **left != *pid);
        self.souls -= wrote.len();
        wrote
    }

    /// How many clients are away.
    pub(super) fn clients(&self) -> usize {
        self.left.len()
    }

    /// How many souls are remembered of them.
    pub(super) fn souls(&self) -> usize {
        self.souls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn souls(count: usize, prefix: &str) -> BTreeSet<Soul> {
        let names = (0..count).map(|number| format!("{prefix}{number}"));
        names.map(|name| name.as_str().into()).collect()
    }

    #[test]
    fn what_a_client_wrote_is_told_once() {
        let mut away = Away::default();
        away.gone("a".into(), souls(2, "s"));
        away.gone("a".into(), souls(1, "t"));
        assert_eq!(away.back("a").len(), 3);
        assert!(away.back("a").is_empty());
        assert_eq!((away.souls, away.left.len()), (0, 0));
    }

    #[test]
    fn those_that_left_first_are_forgotten_first() {
        let mut away = Away::default();
        for client in 0..=CLIENTS_MAX {
            away.gone(client.to_string().into(), souls(1, "s"));
        }
        assert!(away.back("0").is_empty());
        assert_eq!(away.back("1").len(), 1);
        away.gone("large".into(), souls(SOULS_MAX, "s"));
        assert!(away.back("2").is_empty());
        assert_eq!(away.back("large").len(), SOULS_MAX);
        assert_eq!((away.souls, away.left.len()), (0, 0));
    }
}
