//! A few lines for terminals with no room for a table. Keys work as everywhere.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::{Phase, ScenarioState};
use crate::ui::app::{App, row_of, running};
use crate::ui::fmt;
use crate::ui::pen::{Pen, Pieces, fit};
use crate::ui::standing::{Standing, active_faults, lag_text, worst};
use crate::ui::theme::{Role, Theme};

use super::header::p99;
use super::start::wrap;

/// Draws as many lines as there are, the most important first.
pub(super) fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    let mut pen = Pen::new(buffer, area, theme);
    let mut lines = vec![status(app, theme)];
    if let Some(notice) = &app.notice {
        lines.push(vec![(notice.text.clone(), notice.role)]);
    }
    let snapshot = app.shown();
    match &snapshot.phase {
        Phase::Failed(why) => {
            let keys = match snapshot.offers_local {
                true => "r tries again, o starts own processes",
                false => "r tries again",
            };
            lines.push(vec![(keys.to_owned(), Role::Strong)]);
            let reason = wrap(why, pen.width()).into_iter();
            lines.extend(reason.map(|line| vec![(line, Role::Text)]));
        }
        Phase::Starting(step) => lines.push(vec![(step.clone(), Role::Text)]),
        Phase::Ready | Phase::Unknown => {}
    }
    if let Some(row) = worst(snapshot) {
        let (lag, role) = lag_text(row, theme.glyphs);
        let label = format!("worst {} ", row.status.member);
        lines.push(vec![(label, Role::Text), (lag, role)]);
    }
    if let Some(row) = app.member.and_then(|member| row_of(snapshot, member)) {
        let standing = Standing::of(row);
        let state = format!("{} {}", standing.glyph(theme.glyphs), standing.word());
        let name = format!("{} {} ", theme.glyphs.select, row.status.member);
        lines.push(vec![(name, Role::Strong), (state, standing.role())]);
    }
    if snapshot.phase == Phase::Ready {
        lines.push(p99(&snapshot.latency, theme.glyphs));
    }
    if let Some(row) = running(snapshot)
        && let ScenarioState::Running { step, .. } = &row.state
    {
        lines.push(vec![(format!("{}: {step}", row.name), Role::Info)]);
    }
    lines.push(vec![("? keys  H heal all  q quit".to_owned(), Role::Dim)]);
    for (y, line) in (0..pen.height()).zip(&lines) {
        let mut x = 0;
        for (text, role) in line {
            let room = pen.width().saturating_sub(x);
            x = pen.text(x, y, &fit(text, room, theme.glyphs.ellipsis), *role);
        }
    }
}

fn status(app: &App, theme: &Theme) -> Pieces {
    let snapshot = app.shown();
    let glyphs = theme.glyphs;
    let mut pieces = vec![("LOOM ".to_owned(), Role::Strong)];
    let (text, role) = match &snapshot.phase {
        Phase::Ready => (
            format!("{} {}", glyphs.up, fmt::clock(snapshot.at)),
            Role::Text,
        ),
        Phase::Starting(_) => (format!("{} starting", glyphs.busy), Role::Info),
        Phase::Failed(_) => (format!("{} failed", glyphs.cut), Role::Bad),
        Phase::Unknown => ("waiting".to_owned(), Role::Dim),
    };
    pieces.push((text, role));
    match active_faults(snapshot) {
        0 => {}
        1 => pieces.push(("  1 fault".to_owned(), Role::Warn)),
        n => pieces.push((format!("  {n} faults"), Role::Warn)),
    }
    if app.is_stale() {
        pieces.push((format!("  NO NEWS {}s", app.quiet_s), Role::Bad));
    } else if app.frozen.is_some() {
        pieces.push(("  FROZEN".to_owned(), Role::Warn));
    }
    pieces
}
