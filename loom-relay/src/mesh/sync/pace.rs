//! When roots are compared, and what a difference between them leads to.
//!
//! Writes on their way make roots differ without harm, so a difference is looked at again before
//! anything is done about it; then the recent fields are gone through, which is cheap; all fields
//! only when the difference stays while both sides are quiet, or for long. What no pass can mend (a
//! write one side refuses) is looked for ever more rarely.

use std::time::Duration;

use crate::clock::Mono;

/// How often roots are compared on a link where nothing happens, jitter aside. A frame that got lost
/// is found within this.
pub const COMPARE_EVERY: Duration = Duration::from_secs(4);

/// Part of [`COMPARE_EVERY`] that is random, in milliseconds, so that many links do not do it at
/// once.
pub const COMPARE_JITTER_MS: u64 = 1_000;

/// Roots that differed are compared again after this: longer than writes take to arrive.
pub(in crate::mesh) const SETTLE: Duration = Duration::from_millis(300);

/// How soon after an own write the other side is asked whether it has it.
pub(in crate::mesh) const HELD_WITHIN: Duration = Duration::from_millis(250);

/// Comparisons in a row that found both sides different and busy before all fields are looked at.
const BUSY_MAX: u32 = 4;

/// Time between two passes over all fields that mended nothing; doubled up to the maximum.
const FULL_AFTER: Duration = Duration::from_secs(10);
const FULL_AFTER_MAX: Duration = Duration::from_secs(600);

/// Time between two attempts that failed; doubled up to the maximum.
const RETRY_AFTER: Duration = Duration::from_secs(2);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// What to do about roots that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Next {
    /// Compare again after this.
    Wait(Duration),
    /// Go through what is new since both sides last held the same.
    Window,
    /// Go through everything.
    Full,
}

/// What the comparisons of one link have led to so far.
#[derive(Debug)]
pub(in crate::mesh) struct Pace {
    doubt: Doubt,
    /// Rounds of comparing and passing without agreement, with writes going on.
    busy: u32,
    full_not_before: Mono,
    full_after: Duration,
    retry_after: Duration,
    /// When to compare next, unless something is sooner.
    pub(in crate::mesh) due: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Not compared on this link yet.
    First,
    /// They were the same.
    None,
    /// They differed once.
    Once,
    /// A pass has just been made; the window may have been a guess.
    Passed { guessed: bool },
    /// They differ in spite of a pass.
    Strong,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            doubt: Doubt::First,
            busy: 0,
            full_not_before: Mono::default(),
            full_after: FULL_AFTER,
            retry_after: RETRY_AFTER,
            due: Mono::default(),
        }
    }
}

impl Pace {
    /// Roots were the same.
    pub(in crate::mesh) fn on_same(&mut self) {
        *self = Self {
            doubt: Doubt::None,
            due: self.due,
            ..Self::default()
        };
    }

    /// Roots differ; `still` when neither has changed since they were last found to differ.
    pub(in crate::mesh) fn on_different(&mut self, now: Mono, still: bool) -> Next {
        match self.doubt {
            Doubt::First | Doubt::Once => Next::Window,
            Doubt::None => {
                self.doubt = Doubt::Once;
                Next::Wait(SETTLE)
            }
            Doubt::Passed { guessed: true } if self.allows_full(now) => Next::Full,
            Doubt::Passed { .. } => {
                self.doubt = Doubt::Strong;
                Next::Wait(SETTLE)
            }
            Doubt::Strong => {
                self.busy += 1;
                let lasts = still || self.busy >= BUSY_MAX;
                if lasts && self.allows_full(now) {
                    return Next::Full;
                }
                self.doubt = Doubt::Once;
                Next::Wait(COMPARE_EVERY)
            }
        }
    }

    /// Whether a pass over everything has not been made in vain lately.
    pub(in crate::mesh) fn allows_full(&self, now: Mono) -> bool {
        now >= self.full_not_before
    }

    /// A pass over everything has begun.
    pub(in crate::mesh) fn on_full(&mut self, now: Mono) {
        self.busy = 0;
        self.full_not_before = now.after(self.full_after);
        self.full_after = (self.full_after * 2).min(FULL_AFTER_MAX);
    }

    /// A pass, or a copy, is through; `guessed` when it may not have covered what differs.
    pub(in crate::mesh) fn on_passed(&mut self, guessed: bool) {
        self.doubt = Doubt::Passed { guessed };
        self.retry_after = RETRY_AFTER;
        if guessed {
            // It is not that everything was looked at in vain.
            self.full_not_before = Mono::default();
        }
    }

    /// A pass found more than one may: how long to wait before the next.
    pub(in crate::mesh) fn on_cut(&mut self) -> Duration {
        let wait = self.on_failed();
        self.doubt = Doubt::First;
        wait
    }

    /// Whether they differed in spite of a pass.
    pub(in crate::mesh) fn is_strong(&self) -> bool {
        self.doubt == Doubt::Strong
    }

    /// Nothing came of it: how long to leave it alone.
    pub(in crate::mesh) fn on_failed(&mut self) -> Duration {
        let wait = self.retry_after;
        self.retry_after = (wait * 2).min(RETRY_AFTER_MAX);
        if self.doubt != Doubt::First {
            self.doubt = Doubt::Once;
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn a_new_link_looks_at_what_is_new_without_waiting() {
        assert_eq!(Pace::default().on_different(at(1), false), Next::Window);
    }

    #[test]
    fn a_difference_that_is_gone_at_the_second_look_costs_nothing() {
        let mut pace = Pace::default();
        for n in 0..100 {
            pace.on_same();
            assert_eq!(pace.on_different(at(n), false), Next::Wait(SETTLE));
        }
    }

    #[test]
    fn a_difference_that_a_pass_leaves_while_both_are_quiet_costs_a_full_one() {
        let mut pace = Pace::default();
        pace.on_same();
        assert_eq!(pace.on_different(at(1), false), Next::Wait(SETTLE));
        assert_eq!(pace.on_different(at(1), true), Next::Window);
        pace.on_passed(false);
        assert_eq!(pace.on_different(at(1), false), Next::Wait(SETTLE));
        assert_eq!(pace.on_different(at(2), true), Next::Full);
    }

    #[test]
    fn a_window_that_was_a_guess_is_followed_by_a_full_pass_at_once() {
        let mut pace = Pace::default();
        assert_eq!(pace.on_different(at(1), false), Next::Window);
        pace.on_passed(true);
        assert_eq!(pace.on_different(at(1), false), Next::Full);
    }

    /// Drives a pace through an hour of roots that never agree; counts passes by kind.
    fn an_hour(still: bool) -> (u32, u32) {
        let mut pace = Pace::default();
        pace.on_same();
        let (mut now, mut windows, mut fulls) = (at(1), 0, 0);
        while now < at(3_600) {
            match pace.on_different(now, still) {
                Next::Wait(time) => now = now.after(time),
                Next::Window => {
                    windows += 1;
                    pace.on_passed(false);
                }
                Next::Full => {
                    fulls += 1;
                    pace.on_full(now);
                    pace.on_passed(false);
                }
            }
        }
        (windows, fulls)
    }

    #[test]
    fn what_never_agrees_costs_few_full_passes() {
        for still in [true, false] {
            let (windows, fulls) = an_hour(still);
            assert!((600..1_000).contains(&windows), "{windows}");
            assert!((3..=13).contains(&fulls), "{fulls}");
        }
    }

    #[test]
    fn failures_are_repeated_ever_more_rarely() {
        let mut pace = Pace::default();
        let waits: Vec<_> = (0..8).map(|_| pace.on_failed().as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pace.on_different(at(1), false), Next::Window);
    }
}
