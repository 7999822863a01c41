//! Ids for our own messages.

use std::fmt;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

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
        let letters = self.letters();
        Id::new(str::from_utf8(&letters).expect("the alphabet is ASCII"))
    }

    /// Some time below `max_ms`, from the same seed.
    pub(super) fn jitter(&mut self, max_ms: u64) -> Duration {
        Duration::from_millis(self.0.random_range(0..max_ms))
    }

    pub(super) fn text(&mut self) -> String {
        self.letters().into_iter().map(char::from).collect()
    }

    fn letters(&mut self) -> [u8; LENGTH] {
        // 64 bits are enough for nine letters with 1,500 times as many to spare: none is preferred.
        let mut bits = self.0.next_u64();
        std::array::from_fn(|_| {
            let nth = bits % ALPHABET.len() as u64;
            bits /= ALPHABET.len() as u64;
            ALPHABET[nth as usize]
        })
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}
