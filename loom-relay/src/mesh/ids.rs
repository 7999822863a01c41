//! Ids for our own messages.

use std::fmt;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::wire::Id;

/// gun.js uses no `Y`. Ids have one length and are random: it derives ids of its own by appending
/// digits, and drops messages that happen to have those.
const ALPHABET: &[u8; 61] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXZabcdefghijklmnopqrstuvwxyz";

const LENGTH: usize = 9;

/// Makes ids from a seed, so that a simulation can be replayed.
pub(super) struct Ids(SmallRng);

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    pub(super) fn next(&mut self) -> Id {
        Id::new(&self.text())
    }

    /// Some time below `max_ms`, from the same seed.
    pub(super) fn jitter(&mut self, max_ms: u64) -> Duration {
        Duration::from_millis(self.0.random_range(0..max_ms))
    }

    pub(super) fn text(&mut self) -> String {
        let mut letter = || char::from(ALPHABET[self.0.random_range(0..ALPHABET.len())]);
        (0..LENGTH).map(|_| letter()).collect()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}
