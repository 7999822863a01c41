//! A histogram over fixed log-spaced bins, so that two frames can be compared by eye.

use std::time::Duration;

use crate::snapshot::{LATENCY_MAX, LATENCY_MIN, LatencyWindow};
use crate::ui::fmt;
use crate::ui::pen::{Pen, width};
use crate::ui::theme::Role;

/// A place on the time axis.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// At most three letters.
    pub label: &'static str,
    /// Where.
    pub at: Duration,
}

/// Decades of the axis.
const DECADES: [(&str, Duration); 6] = [
    ("0.1ms", LATENCY_MIN),
    ("1ms", Duration::from_millis(1)),
    ("10ms", Duration::from_millis(10)),
    ("100ms", Duration::from_millis(100)),
    ("1s", Duration::from_secs(1)),
    ("10s", LATENCY_MAX),
];
/// For counts left of the bars.
const LEFT: u16 = 7;

/// Draws bars, axis, where the percentiles are now and where they should be at most.
pub fn draw(pen: &mut Pen<'_>, latency: &LatencyWindow, now: &[Tick], goals: &[Tick]) {
    let height = pen.height();
    let axis_lines: u16 = match height {
        0..=2 => 0,
        3 => 1,
        4 | 5 => 2,
        6 => 3,
        _ => 4,
    };
    let bars_height = height.saturating_sub(axis_lines);
    let left = if pen.width() >= 40 { LEFT } else { 0 };
    let cells = pen.width().saturating_sub(left);
    if cells == 0 || bars_height == 0 {
        return;
    }
    let glyphs = pen.theme().glyphs;
    let columns = resample(&latency.bins, usize::from(cells));
    let peak = nice_above(latency.bins.iter().copied().max().unwrap_or(0));
    for goal in goals {
        let x = left + place(goal.at, cells);
        for y in 0..bars_height {
            pen.text(x, y, glyphs.dotted, Role::Dim);
        }
    }
    for (x, value) in (left..).zip(&columns) {
        bar(pen, x, bars_height, *value / peak as f64);
    }
    if left > 0 {
        pen.text_before(left - 2, 0, &fmt::count(peak), Role::Dim);
        if bars_height > 2 {
            pen.text_before(left - 2, bars_height - 1, "0", Role::Dim);
        }
        for y in 0..bars_height {
            pen.text(left - 1, y, glyphs.axis, Role::Dim);
        }
    }
    if latency.above > 0 && bars_height > 1 {
        let text = format!("+{} over 10s", fmt::count(latency.above));
        pen.text_before(left + cells, 0, &text, Role::Bad);
    }
    let mut y = bars_height;
    if axis_lines >= 2 {
        let from = left.saturating_sub(1);
        pen.rule(from, left + cells, y, glyphs.axis_flat, Role::Dim);
        if left > 0 {
            pen.text(from, y, glyphs.axis_corner, Role::Dim);
        }
        y += 1;
    }
    if axis_lines >= 1 {
        axis_labels(pen, left, cells, y);
        y += 1;
    }
    if axis_lines >= 3 {
        tick_line(pen, y, "now", now, left, cells, Role::Strong);
        y += 1;
    }
    if axis_lines >= 4 {
        tick_line(pen, y, "limit", goals, left, cells, Role::Text);
    }
}

fn axis_labels(pen: &mut Pen<'_>, left: u16, cells: u16, y: u16) {
    let mut free_from = 0;
    for (label, at) in DECADES {
        let x = (left + place(at, cells)).min((left + cells).saturating_sub(width(label)));
        if x >= free_from {
            free_from = pen.text(x, y, label, Role::Dim).saturating_add(1);
        }
    }
}

/// Labels at their places, moved apart where they would touch.
fn tick_line(
    pen: &mut Pen<'_>,
    y: u16,
    name: &str,
    ticks: &[Tick],
    left: u16,
    cells: u16,
    role: Role,
) {
    let mut free_from = 0;
    if left > 0 {
        free_from = pen.text(0, y, name, Role::Dim).saturating_add(1);
    }
    let mut places: Vec<u16> = Vec::new();
    for tick in ticks {
        let x = (left + place(tick.at, cells)).max(free_from);
        free_from = x.saturating_add(width(tick.label) + 1);
        places.push(x);
    }
    // Those that would leave the axis push the others back.
    let mut end = left + cells;
    for (tick, x) in ticks.iter().zip(&mut places).rev() {
        *x = (*x).min(end.saturating_sub(width(tick.label)));
        end = x.saturating_sub(1);
    }
    for (tick, x) in ticks.iter().zip(places) {
        pen.text(x, y, tick.label, role);
    }
}

fn bar(pen: &mut Pen<'_>, x: u16, height: u16, share: f64) {
    if share <= 0.0 {
        return;
    }
    let bars = pen.theme().glyphs.bars;
    // One sample must be visible beside a thousand. The cast saturates.
    let eighths = ((share.min(1.0) * f64::from(height) * 8.0).round() as u16).max(1);
    for up in 0..height {
        let level = eighths.saturating_sub(up * 8).min(8);
        if level == 0 {
            break;
        }
        pen.text(x, height - 1 - up, bars[usize::from(level - 1)], Role::Info);
    }
}

/// The cell of the axis in which `at` lies.
fn place(at: Duration, cells: u16) -> u16 {
    let min = LATENCY_MIN.as_secs_f64().ln();
    let max = LATENCY_MAX.as_secs_f64().ln();
    let here = at.as_secs_f64().max(f64::MIN_POSITIVE).ln();
    let share = ((here - min) / (max - min)).clamp(0.0, 1.0);
    // A decade begins exactly at a cell; rounding must not put it into the one before.
    ((share * f64::from(cells) + 1e-9) as u16).min(cells.saturating_sub(1))
}

/// The mean count per bin under each cell; a bin spreads evenly over its width.
fn resample(bins: &[u64], cells: usize) -> Vec<f64> {
    let per_cell = bins.len() as f64 / cells as f64;
    let column = |cell: usize| {
        let (from, to) = (cell as f64 * per_cell, (cell + 1) as f64 * per_cell);
        let first = from as usize;
        let overlapping = bins.iter().enumerate().skip(first);
        let overlapping = overlapping.take_while(|(i, _)| (*i as f64) < to);
        let sum: f64 = overlapping
            .map(|(i, count)| {
                let overlap = to.min(i as f64 + 1.0) - from.max(i as f64);
                *count as f64 * overlap.max(0.0)
            })
            .sum();
        if per_cell > 0.0 { sum / per_cell } else { 0.0 }
    };
    (0..cells).map(column).collect()
}

/// The smallest of 1, 2, 5, 10, 20, … that is not below `n`: the scale changes rarely.
fn nice_above(n: u64) -> u64 {
    let mut step = 1u64;
    loop {
        for factor in [1, 2, 5] {
            let nice = step.saturating_mul(factor);
            if nice >= n {
                return nice;
            }
        }
        step = step.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_keeps_all_counts() {
        let bins: Vec<u64> = (0..48).map(|i| i * i % 17).collect();
        let all: u64 = bins.iter().sum();
        for cells in [1, 7, 24, 46, 48, 90, 200] {
            let columns = resample(&bins, cells);
            let sum: f64 = columns.iter().sum::<f64>() * 48.0 / cells as f64;
            assert!(
                (sum - all as f64).abs() < 1e-6,
                "{cells} cells: {sum} of {all}"
            );
        }
        assert_eq!(resample(&[], 3), vec![0.0; 3]);
    }

    #[test]
    fn places_are_fixed_and_inside() {
        assert_eq!(place(LATENCY_MIN, 50), 0);
        assert_eq!(place(Duration::from_millis(1), 50), 10);
        assert_eq!(place(LATENCY_MAX, 50), 49);
        assert_eq!(place(Duration::ZERO, 50), 0);
        assert_eq!(place(Duration::MAX, 50), 49);
    }

    #[test]
    fn the_scale_is_round_and_ends() {
        for (n, nice) in [(0, 1), (1, 1), (3, 5), (420, 500), (501, 1_000)] {
            assert_eq!(nice_above(n), nice);
        }
        assert_eq!(nice_above(u64::MAX), u64::MAX);
    }
}
