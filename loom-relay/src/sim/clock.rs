//! Wall clocks: each member has its own, and each may be wrong in its own way.

use std::time::Duration;

use super::Time;

/// What a right clock shows when the world begins.
pub const START_MS: u64 = 1_800_000_000_000;

/// One member's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock {
    offset_ms: f64,
    /// How much faster than time it runs.
    drift: f64,
}

impl WallClock {
    /// What it shows, in milliseconds since the Unix epoch.
    pub fn wall_ms(&self, at: Time) -> u64 {
        let passed_ms = at.as_secs_f64() * 1_000.0 * (1.0 + self.drift);
        (START_MS as f64 + passed_ms + self.offset_ms) as u64
    }

    /// Sets it forward or back.
    pub fn jump(&mut self, by_ms: f64) {
        self.offset_ms += by_ms;
    }

    /// Makes it run faster or slower from `at` on; what it shows at `at` does not change.
    pub fn set_drift(&mut self, drift: f64, at: Time) {
        self.offset_ms += at.as_secs_f64() * 1_000.0 * (self.drift - drift);
        self.drift = drift;
    }

    /// Sets it right.
    pub fn mend(&mut self) {
        *self = Self::default();
    }

    /// How long it takes until it shows `wall_ms`; zero if it does already.
    pub fn until(&self, wall_ms: f64, at: Time) -> Duration {
        let missing = wall_ms - self.wall_ms(at) as f64;
        Duration::from_secs_f64((missing / 1_000.0 / (1.0 + self.drift)).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_sets_in_without_a_jump() {
        let mut clock = WallClock::default();
        clock.jump(-500.0);
        let at = Duration::from_secs(10);
        let before = clock.wall_ms(at);
        clock.set_drift(0.01, at);
        assert!(clock.wall_ms(at).abs_diff(before) <= 1);
        let later = at + Duration::from_secs(100);
        assert!(clock.wall_ms(later).abs_diff(before + 101_000) <= 1);
        assert!(
            clock
                .until(before as f64 + 101_000.0, at)
                .abs_diff(later - at)
                < Duration::from_millis(5)
        );
    }
}
