//! Lines over time on a fixed log scale: gaps stay gaps, and marks say what was done when.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ui::pen::Pen;
use crate::ui::theme::Role;

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Tells it apart without colour.
    pub digit: char,
    /// Its colour.
    pub role: Role,
    /// (when, value); `None` where nothing was known. Oldest first.
    pub points: &'a VecDeque<(Duration, Option<Duration>)>,
}

/// What is drawn. Later lines cover earlier ones.
#[derive(Clone, Copy, Debug)]
pub struct Timeline<'a> {
    /// The lines.
    pub lines: &'a [Line<'a>],
    /// (when, letter).
    pub marks: &'a [(Duration, char)],
    /// The right end of the axis.
    pub now: Duration,
    /// From the left end to the right.
    pub span: Duration,
}

/// The scale: five decades, fixed.
const DECADES: [(&str, f64); 6] = [
    ("1ms", 1e-3),
    ("10ms", 1e-2),
    ("100ms", 1e-1),
    ("1s", 1.0),
    ("10s", 1e1),
    ("100s", 1e2),
];
/// For labels left of the axis.
const LEFT: u16 = 6;
/// A mark's letter further than this from its line would be read as another line's.
const STRAY_MAX: u16 = 3;
/// Values come once a second; a pause longer than this is a gap.
const GAP: Duration = Duration::from_millis(1_600);

/// Draws chart, axes and marks into the whole pen.
pub fn draw(pen: &mut Pen<'_>, what: &Timeline<'_>) {
    let (all_cells, all_lines) = (pen.width(), pen.height());
    let axes = all_lines >= 5 && all_cells >= 30;
    let left = if axes { LEFT } else { 0 };
    // The last cell of each line is for the digit that names it.
    let cells = all_cells.saturating_sub(left + 1);
    let head = u16::from(all_lines >= 3 && !what.marks.is_empty() || all_lines >= 5);
    let lines = all_lines.saturating_sub(head + if axes { 2 } else { 0 });
    if cells == 0 || lines == 0 || what.span.is_zero() {
        return;
    }
    let glyphs = pen.theme().glyphs;
    // The newest has its own place; letters of earlier ones give way to the left.
    let mut free_before = cells;
    for (at, letter) in what.marks.iter().rev() {
        let Some(cell) = cell_of(*at, what, cells) else {
            continue;
        };
        for y in 0..lines {
            pen.text(left + cell, head + y, glyphs.dotted, Role::Mark);
        }
        let Some(place) = free_before.checked_sub(1).map(|last| cell.min(last)) else {
            continue;
        };
        if head > 0 && cell - place <= STRAY_MAX {
            pen.text(left + place, 0, &letter.to_string(), Role::Mark);
            free_before = place;
        }
    }
    let grid = Grid::plot(what, cells, lines, glyphs.unicode);
    grid.paint(pen, left, head, what);
    if axes {
        axis(pen, left, cells, head, lines, what.span);
    }
}

fn axis(pen: &mut Pen<'_>, left: u16, cells: u16, head: u16, lines: u16, span: Duration) {
    let glyphs = pen.theme().glyphs;
    let foot = head + lines;
    let mut taken = None;
    for (label, value) in DECADES.into_iter().rev() {
        let y = head + dot_of(value, lines);
        if taken != Some(y) {
            pen.text_before(left - 1, y, label, Role::Dim);
            taken = Some(y);
        }
    }
    for y in head..foot {
        pen.text(left - 1, y, glyphs.axis, Role::Dim);
    }
    pen.rule(left, left + cells, foot, glyphs.axis_flat, Role::Dim);
    pen.text(left - 1, foot, glyphs.axis_corner, Role::Dim);
    let minutes = u16::try_from(span.as_secs() / 60).unwrap_or(u16::MAX);
    let step = if cells < 30 { minutes.max(1) } else { 1 };
    for minute in (1..=minutes).step_by(usize::from(step)) {
        let minute = if step > 1 { minutes } else { minute };
        let x = cells - cells * minute / minutes.max(1);
        pen.text(left + x, foot + 1, &format!("-{minute}m"), Role::Dim);
    }
    let end = left + cells;
    pen.text_before(end, foot + 1, "now", Role::Dim);
}

/// The cell that shows the moment `at`, or `None` outside the axis.
fn cell_of(at: Duration, what: &Timeline<'_>, cells: u16) -> Option<u16> {
    let column = column_of(at, what, u64::from(cells))?;
    u16::try_from(column).ok()
}

/// Which of `columns` columns shows `at`. Columns are fixed in time, so that a line moves as one
/// and does not shimmer.
fn column_of(at: Duration, what: &Timeline<'_>, columns: u64) -> Option<u64> {
    let index = |at: Duration| {
        u64::try_from(at.as_micros() * u128::from(columns) / what.span.as_micros().max(1))
            .unwrap_or(u64::MAX)
    };
    let back = index(what.now).checked_sub(index(at))?;
    columns.checked_sub(1)?.checked_sub(back)
}

/// The line, counted from the top, in which `value` seconds lie when there are `lines`.
fn dot_of(seconds: f64, lines: u16) -> u16 {
    let (low, high) = (DECADES[0].1.ln(), DECADES[DECADES.len() - 1].1.ln());
    let share = ((seconds.max(f64::MIN_POSITIVE).ln() - low) / (high - low)).clamp(0.0, 1.0);
    let last = lines.saturating_sub(1);
    last - (share * f64::from(last)).round() as u16
}

/// Dots of all lines: 2x4 to a cell with Braille, one without.
struct Grid {
    cells: u16,
    lines: u16,
    unicode: bool,
    /// Braille bits, or 1 for a dot; and which line drew last.
    dots: Vec<(u8, usize)>,
    /// The line of cells in which each line ends.
    ends: Vec<Option<u16>>,
}

/// Bits of a Braille cell by column and row.
const BRAILLE: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

impl Grid {
    fn plot(what: &Timeline<'_>, cells: u16, lines: u16, unicode: bool) -> Self {
        let mut grid = Self {
            cells,
            lines,
            unicode,
            dots: vec![(0, 0); usize::from(cells) * usize::from(lines)],
            ends: vec![None; what.lines.len()],
        };
        let (wide, high) = if unicode { (2, 4) } else { (1, 1) };
        for (i, line) in what.lines.iter().enumerate() {
            let values = columns(line, what, usize::from(cells) * wide);
            let mut before = None;
            for (x, value) in values.into_iter().enumerate() {
                let Some(value) = value else {
                    before = None;
                    continue;
                };
                let y = dot_of(value.as_secs_f64(), lines.saturating_mul(high));
                let from = before.unwrap_or(y).min(y);
                let to = before.unwrap_or(y).max(y);
                // A jump is a line, not two dots.
                for y in from..=to {
                    grid.set(x, y, i);
                }
                before = Some(y);
            }
            grid.ends[i] = before.map(|y| y / high);
        }
        grid
    }

    fn set(&mut self, x: usize, y: u16, line: usize) {
        let (cell, row, bit) = if self.unicode {
            (x / 2, y / 4, BRAILLE[x % 2][usize::from(y % 4)])
        } else {
            (x, y, 1)
        };
        let index = usize::from(row) * usize::from(self.cells) + cell;
        if let Some(dot) = self.dots.get_mut(index) {
            dot.0 |= bit;
            dot.1 = line;
        }
    }

    fn paint(&self, pen: &mut Pen<'_>, left: u16, head: u16, what: &Timeline<'_>) {
        let mut dots = self.dots.iter();
        for y in 0..self.lines {
            for x in 0..self.cells {
                let Some((bits, line)) = dots.next() else {
                    return;
                };
                if *bits == 0 {
                    continue;
                }
                let line = &what.lines[*line];
                let mark = if self.unicode {
                    char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ')
                } else {
                    line.digit
                };
                pen.text(left + x, head + y, &mark.to_string(), line.role);
            }
        }
        for (line, end) in what.lines.iter().zip(&self.ends) {
            if let Some(y) = end {
                pen.text(
                    left + self.cells,
                    head + y,
                    &line.digit.to_string(),
                    line.role,
                );
            }
        }
    }
}

/// The worst value under each column. Between two values of a line that is drawn wider than one
/// column a second the earlier one holds.
fn columns(line: &Line<'_>, what: &Timeline<'_>, count: usize) -> Vec<Option<Duration>> {
    let mut columns: Vec<Option<Duration>> = vec![None; count];
    let mut before: Option<(Duration, usize, Duration)> = None;
    for (at, value) in line.points {
        let column = column_of(*at, what, count as u64);
        let column = column.and_then(|column| usize::try_from(column).ok());
        let (Some(column), Some(value)) = (column, value) else {
            before = None;
            continue;
        };
        if let Some((earlier, from, held)) = before
            && at.saturating_sub(earlier) < GAP
        {
            for between in columns.iter_mut().take(column).skip(from + 1) {
                *between = Some(held);
            }
        }
        columns[column] = columns[column].max(Some(*value));
        before = Some((*at, column, *value));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(u64, Option<u64>)]) -> VecDeque<(Duration, Option<Duration>)> {
        let point = |(at, ms): &(u64, Option<u64>)| {
            (Duration::from_secs(*at), ms.map(Duration::from_millis))
        };
        values.iter().map(point).collect()
    }

    fn plotted(values: &[(u64, Option<u64>)], count: usize) -> Vec<Option<u128>> {
        let points = points(values);
        let line = Line {
            digit: '1',
            role: Role::Text,
            points: &points,
        };
        let what = Timeline {
            lines: &[],
            marks: &[],
            now: Duration::from_secs(10),
            span: Duration::from_secs(10),
        };
        let columns = columns(&line, &what, count);
        columns
            .into_iter()
            .map(|v| v.map(|v| v.as_millis()))
            .collect()
    }

    #[test]
    fn unknown_stays_a_gap_and_the_worst_of_a_column_wins() {
        let values = [
            (6, Some(5)),
            (7, Some(90)),
            (8, None),
            (9, Some(4)),
            (10, Some(3)),
        ];
        assert_eq!(
            plotted(&values, 10),
            [
                None,
                None,
                None,
                None,
                None,
                Some(5),
                Some(90),
                None,
                Some(4),
                Some(3)
            ]
        );
        assert_eq!(plotted(&values, 5)[2..], [Some(90), Some(4), Some(3)]);
    }

    #[test]
    fn a_wide_chart_has_no_holes_between_seconds() {
        let values = [(8, Some(5)), (9, Some(6)), (10, Some(7))];
        let wide = plotted(&values, 40);
        assert!(wide[31..].iter().all(Option::is_some), "{wide:?}");
    }

    #[test]
    fn the_scale_is_fixed() {
        assert_eq!(dot_of(100.0, 11), 0);
        assert_eq!(dot_of(1e-3, 11), 10);
        assert_eq!(dot_of(0.0, 11), 10);
        assert_eq!(dot_of(1e9, 11), 0);
        assert_eq!(dot_of(1.0, 11), 4);
    }
}
