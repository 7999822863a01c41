//! Time as the state machines see it: an argument, never a system call.

use std::time::Duration;

use crate::model::Stamp;

/// Monotonic time since an arbitrary start, for timers and ages.
///
/// Not [`std::time::Instant`], because a simulation must be able to make one from a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub Duration);

impl Mono {
    /// This moment moved `by` later.
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The two clocks a machine is handed with every input.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers.
    pub mono: Mono,
    /// Wall clock in whole milliseconds since the Unix epoch: what GUN stamps writes with.
    pub wall_ms: u64,
}

/// Issues the stamps of this process' own writes, as GUN's state clock does, and strictly
/// increasing even when the wall clock steps back.
#[derive(Clone, Debug, Default)]
pub struct StateClock {
    last: f64,
    /// The whole millisecond stamps are stepped from.
    base: f64,
    /// Steps taken from it.
    issued: u32,
}

/// Steps between stamps of one millisecond, as in gun.js (`src/state.js`).
const STEPS_PER_MS: f64 = 999.0;

impl StateClock {
    /// A stamp later than every stamp issued or observed before.
    pub fn issue(&mut self, wall_ms: u64) -> Stamp {
        let wall = wall_ms as f64;
        let next = if self.last < wall {
            self.base = wall;
            self.issued = 0;
            wall
        } else {
            self.base = self.base.max(wall);
            self.issued = self.issued.saturating_add(1);
            let stepped = self.base + f64::from(self.issued) / STEPS_PER_MS;
            // Doubles resolve 1/4096 ms at today's dates; what was observed may be between steps.
            if stepped > self.last {
                stepped
            } else {
                self.last.next_up()
            }
        };
        self.last = next;
        Stamp::new(next).expect("wall clock and steps are finite")
    }

    /// What the next `count` stamps do not exceed.
    pub fn reach(&self, count: usize, wall_ms: u64) -> f64 {
        // The millisecond on top pays for what doubles round.
        self.last.max(wall_ms as f64) + count as f64 / STEPS_PER_MS + 1.0
    }

    /// Makes sure later stamps exceed `stamp`, so that an own write wins over what is held.
    pub fn observe(&mut self, stamp: Stamp) {
        if stamp.ms() > self.last {
            self.last = stamp.ms();
            self.base = self.last.trunc();
            self.issued = 0;
        }
    }

    /// What merges compare with: own stamps are never "the future", whatever the wall clock does.
    ///
    /// `wall_ms` is cut to whole milliseconds, so the time may be anywhere up to the next one, and
    /// the stamps that peers issue within this millisecond (`.001`, `.002`, …) are not in the
    /// future yet. gun.js gets there by stepping its clock with every reading.
    pub fn reading(&self, wall_ms: u64) -> Stamp {
        let end_of_ms = (wall_ms.saturating_add(1) as f64).next_down();
        Stamp::new(end_of_ms.max(self.last)).expect("both are finite")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_strictly_increase_even_when_the_wall_clock_steps_back() {
        let mut clock = StateClock::default();
        let walls = [1_800_000_000_000_u64, 1_800_000_000_000, 1_799_999_000_000];
        let mut last = Stamp::new(0.0).unwrap();
        for wall in walls.into_iter().cycle().take(10_000) {
            let next = clock.issue(wall);
            assert!(next > last, "{next} after {last}");
            last = next;
        }
    }

    #[test]
    fn stamps_stay_within_what_they_were_said_to_reach() {
        let mut clock = StateClock::default();
        for (count, wall) in [(1, 1_800_000_000_000), (5_000, 1_800_000_000_001), (7, 0)] {
            let reach = clock.reach(count, wall);
            let last = (0..count).map(|_| clock.issue(wall)).last().unwrap();
            assert!(last.ms() <= reach, "{last} is beyond {reach}");
        }
    }

    #[test]
    fn stamps_within_the_current_millisecond_are_not_in_the_future() {
        let clock = StateClock::default();
        let now = clock.reading(1_800_000_000_000);
        assert!(Stamp::new(1_800_000_000_000.998).unwrap() <= now);
        assert!(Stamp::new(1_800_000_000_001.0).unwrap() > now);
    }

    #[test]
    fn an_own_write_exceeds_what_was_observed() {
        let mut clock = StateClock::default();
        let seen = Stamp::new(1_800_000_000_000.5).unwrap();
        clock.observe(seen);
        assert!(clock.issue(1_700_000_000_000) > seen);
    }
}
