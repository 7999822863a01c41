//! When to draw: keys at once, data at most five times a second, nothing when nothing changed.

use std::time::Duration;

use super::update::Urgency;

/// Between two frames whatever happens, so that a held key cannot flood a slow terminal.
const NOW_GAP: Duration = Duration::from_millis(10);
/// Between two frames of data: five a second.
const DATA_GAP: Duration = Duration::from_millis(200);
/// The same while another window has the focus.
const UNFOCUSED_GAP: Duration = Duration::from_secs(1);

/// Decides when the next frame is due. Times are since the dashboard started.
#[derive(Debug)]
pub struct Pace {
    wanted: Option<Urgency>,
    drawn_at: Option<Duration>,
    focused: bool,
}

impl Default for Pace {
    /// Nothing wanted, nothing drawn, focused.
    fn default() -> Self {
        Self {
            wanted: None,
            drawn_at: None,
            focused: true,
        }
    }
}

impl Pace {
    /// Something visible changed.
    pub fn want(&mut self, urgency: Urgency) {
        self.wanted = self.wanted.max(Some(urgency));
    }

    /// The terminal's window got or lost the focus.
    pub fn focus(&mut self, focused: bool) {
        self.focused = focused;
    }

    /// When to draw, or `None` while there is nothing new to show.
    pub fn due(&self) -> Option<Duration> {
        let urgency = self.wanted?;
        let gap = match urgency {
            Urgency::Now => NOW_GAP,
            Urgency::Data if self.focused => DATA_GAP,
            Urgency::Data => UNFOCUSED_GAP,
        };
        let due = self.drawn_at.map(|drawn| drawn.saturating_add(gap));
        Some(due.unwrap_or_default())
    }

    /// A frame was drawn.
    pub fn drawn(&mut self, now: Duration) {
        self.wanted = None;
        self.drawn_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws whenever due, with data every `every`; returns the number of frames in `span`.
    fn frames(pace: &mut Pace, every: Duration, span: Duration) -> usize {
        let step = Duration::from_millis(1);
        let (mut now, mut frames, mut next) = (Duration::ZERO, 0, Duration::ZERO);
        while now < span {
            if now >= next {
                pace.want(Urgency::Data);
                next = now.saturating_add(every);
            }
            if pace.due().is_some_and(|due| due <= now) {
                pace.drawn(now);
                frames += 1;
            }
            now += step;
        }
        frames
    }

    #[test]
    fn without_messages_no_frame_is_ever_due() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(), None);
        pace.want(Urgency::Now);
        pace.drawn(Duration::from_secs(1));
        assert_eq!(pace.due(), None);
        assert_eq!(frames(&mut pace, Duration::MAX, Duration::from_secs(10)), 1);
    }

    #[test]
    fn data_is_drawn_five_times_a_second_and_once_when_nobody_looks() {
        let often = Duration::from_millis(7);
        let span = Duration::from_secs(10);
        assert_eq!(frames(&mut Pace::default(), often, span), 50);
        let mut unfocused = Pace::default();
        unfocused.focus(false);
        assert_eq!(frames(&mut unfocused, often, span), 10);
    }

    #[test]
    fn a_key_is_drawn_within_16_ms_even_right_after_a_frame() {
        let mut pace = Pace::default();
        pace.drawn(Duration::from_secs(1));
        pace.want(Urgency::Data);
        pace.want(Urgency::Now);
        pace.want(Urgency::Data);
        let due = pace.due().unwrap();
        assert!(due <= Duration::from_millis(1_016));
    }
}
