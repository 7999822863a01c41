//! A wall clock that is wrong on purpose: what testers shift, and machines are shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Milliseconds by which the wall clock shown to a machine differs from this computer's; 0 unless
/// somebody sets it. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Skew(Arc<AtomicI64>);

impl Skew {
    /// Ahead of this computer's clock; behind if negative.
    pub fn set(&self, ahead_ms: i64) {
        self.0.store(ahead_ms, Relaxed);
    }

    /// What was set last.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    /// What a clock that is right shows, shifted.
    pub(super) fn shift(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_add_signed(self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shifts_as_its_original_was_set() {
        let skew = Skew::default();
        let copy = skew.clone();
        assert_eq!(copy.shift(1_000), 1_000);
        skew.set(-300_000);
        assert_eq!((copy.shift(1_000_000), copy.shift(1)), (700_000, 0));
        skew.set(5);
        assert_eq!(copy.shift(u64::MAX), u64::MAX);
    }
}
