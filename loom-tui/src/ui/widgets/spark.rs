//! A row of bars: one cell a second, the newest at the right end.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ui::pen::Pen;
use crate::ui::theme::Role;

/// Draws the newest values that fit into `cells` cells. A gap is where nothing was known.
pub fn draw(pen: &mut Pen<'_>, x: u16, y: u16, cells: u16, values: &VecDeque<Option<Duration>>) {
    let bars = pen.theme().glyphs.bars;
    let shown = values.len().min(usize::from(cells));
    let start = x.saturating_add(cells - u16::try_from(shown).unwrap_or(cells));
    for (x, value) in (start..).zip(values.iter().skip(values.len() - shown)) {
        if let Some(value) = value {
            let level = level(*value);
            let role = if level >= 5 { Role::Warn } else { Role::Text };
            pen.text(x, y, bars[level], role);
        }
    }
}

/// From 0 below 10 ms to 7 for 30 s and more, about two steps to a decade: small changes
/// of a healthy node must not look like trouble.
fn level(value: Duration) -> usize {
    const STEPS_MS: [u128; 7] = [10, 30, 100, 300, 1_000, 5_000, 30_000];
    STEPS_MS
        .iter()
        .filter(|step| value.as_millis() >= **step)
        .count()
}
