//! Lag of every node over the last five minutes, with fault marks.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cluster::Member;
use crate::snapshot::Snapshot;
use crate::ui::app::row_of;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::{Pen, pieces_width, width};
use crate::ui::standing::lag_text;
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::timeline::{self, Line, Timeline};

use super::panel::{self, Chrome};

/// The x axis never changes, so that two looks can be compared.
const SPAN: Duration = Duration::from_secs(300);

/// Draws the panel.
pub(super) fn render(
    buffer: &mut Buffer,
    area: Rect,
    chrome: &Chrome,
    snapshot: &Snapshot,
    theme: &Theme,
) {
    let mut pen = panel::open(buffer, area, chrome, "last 5m, log scale", theme);
    let height = pen.height();
    let mut lines: Vec<Line<'_>> = snapshot
        .lag
        .iter()
        .map(|series| Line {
            digit: digit(series.member),
            role: role(series.member),
            points: &series.points,
        })
        .collect();
    // The worst is drawn last, over the others.
    lines.sort_by_key(|line| line.points.back().and_then(|(_, lag)| *lag));
    let marks: Vec<(Duration, char)> = snapshot
        .marks
        .iter()
        .map(|mark| (mark.at, mark.letter))
        .collect();
    let legend_lines = u16::from(height >= 4);
    let chart = Rect::new(0, 0, pen.width(), height.saturating_sub(legend_lines));
    let what = Timeline {
        lines: &lines,
        marks: &marks,
        now: snapshot.at,
        span: SPAN,
    };
    timeline::draw(&mut pen.part(chart), &what);
    if legend_lines > 0 {
        legend(&mut pen, height - 1, snapshot);
    }
}

fn legend(pen: &mut Pen<'_>, y: u16, snapshot: &Snapshot) {
    let glyphs = pen.theme().glyphs;
    let letters = mark_letters(snapshot);
    let room = pen.width();
    let mut x = 0;
    for (shown, series) in snapshot.lag.iter().enumerate() {
        let part = legend_part(series.member, snapshot, glyphs);
        let wanted = pieces_width(&part);
        if x + wanted > room {
            pen.text(x, y, &format!("+{}", snapshot.lag.len() - shown), Role::Dim);
            return;
        }
        x = pen.pieces(x, y, &part).saturating_add(2);
    }
    // As many as fit; the kinds that break something come first.
    let mut shown = letters.as_slice();
    while let [rest @ .., _] = shown {
        let text = shown.join("  ");
        if x + width(&text) < room {
            pen.text_before(room, y, &text, Role::Mark);
            return;
        }
        shown = rest;
    }
}

fn legend_part(member: Member, snapshot: &Snapshot, glyphs: &Glyphs) -> Vec<(String, Role)> {
    let (lag, lag_role) = row_of(snapshot, member)
        .map_or(("?".to_owned(), Role::Unknown), |row| lag_text(row, glyphs));
    vec![
        (format!("{}{} ", glyphs.bus, digit(member)), role(member)),
        (lag, lag_role),
    ]
}

/// What the letters over the chart mean, for those that are there.
fn mark_letters(snapshot: &Snapshot) -> Vec<&'static str> {
    const MEANINGS: [(char, &str); 7] = [
        ('K', "K kill"),
        ('C', "C cut"),
        ('S', "S susp"),
        ('D', "D slow"),
        ('X', "X exit"),
        ('H', "H heal"),
        ('R', "R up"),
    ];
    let present = MEANINGS.iter().filter(|(letter, _)| {
        let mut marks = snapshot.marks.iter();
        marks.any(|mark| mark.letter == *letter && snapshot.at.saturating_sub(mark.at) < SPAN)
    });
    present.map(|(_, meaning)| *meaning).collect()
}

/// The mark that tells a node's line apart without colour.
fn digit(member: Member) -> char {
    match member {
        Member::Relay => 'r',
        Member::Node(number) => char::from_digit(u32::from(number), 36).unwrap_or('+'),
    }
}

fn role(member: Member) -> Role {
    match member {
        Member::Relay => Role::Text,
        Member::Node(number) => Role::Series(number.saturating_sub(1)),
    }
}
