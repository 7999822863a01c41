//! The first line: run clock, worst lag, p99 against its threshold, active faults, view mode.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::{LatencyWindow, Phase, ScenarioState, Snapshot, THRESHOLD_P99};
use crate::ui::app::{App, running};
use crate::ui::fmt;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::{Pen, Pieces, pieces_width};
use crate::ui::standing::{active_faults, lag_text, worst};
use crate::ui::theme::{Role, Theme};

/// Draws the line, dropping what matters least until the rest fits.
pub(super) fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    let mut pen = Pen::new(buffer, area, theme);
    let mode = mode(app);
    let room = pen.width().saturating_sub(pieces_width(&mode) + 2);
    let gap = if pen.width() < 100 { 2 } else { 3 };
    let mut parts = parts(app, theme.glyphs);
    while line_width(&parts, gap) > room && parts.len() > 1 {
        let Some(least) = parts.iter().map(|(rank, _)| *rank).max() else {
            break;
        };
        parts.retain(|(rank, _)| *rank != least);
    }
    let mut x = 1;
    for (_, pieces) in &parts {
        x = pen.pieces(x, 0, pieces).saturating_add(gap);
    }
    let start = pen.width().saturating_sub(pieces_width(&mode) + 1);
    pen.pieces(start, 0, &mode);
}

fn line_width(parts: &[(u8, Pieces)], gap: u16) -> u16 {
    parts.iter().fold(1, |sum, (_, pieces)| {
        pieces_width(pieces).saturating_add(gap).saturating_add(sum)
    })
}

/// The parts from left to right; the largest rank goes first when there is no room.
fn parts(app: &App, glyphs: &Glyphs) -> Vec<(u8, Pieces)> {
    let snapshot = app.shown();
    let mut parts = vec![
        (0, vec![("LOOM".to_owned(), Role::Strong)]),
        (2, phase(snapshot, glyphs)),
    ];
    if !snapshot.backend.is_empty() {
        parts.insert(1, (8, vec![(snapshot.backend.to_owned(), Role::Dim)]));
    }
    if snapshot.phase != Phase::Ready {
        return parts;
    }
    let ops = format!("{} op/s", fmt::rate(snapshot.ops_per_s));
    parts.push((7, vec![(ops, Role::Text)]));
    if let Some(row) = worst(snapshot) {
        let (lag, role) = lag_text(row, glyphs);
        let label = match role {
            // While nobody is behind it does not matter who is last.
            Role::Text => "worst lag ".to_owned(),
            _ => format!("worst {} ", row.status.member),
        };
        parts.push((1, vec![(label, Role::Text), (lag, role)]));
    }
    parts.push((4, p99(&snapshot.latency, glyphs)));
    parts.push((3, faults(snapshot)));
    if let Some(pieces) = scenario(snapshot, glyphs) {
        parts.push((5, pieces));
    }
    parts
}

fn phase(snapshot: &Snapshot, glyphs: &Glyphs) -> Pieces {
    let clock = fmt::clock(snapshot.at);
    let (text, role) = match &snapshot.phase {
        Phase::Ready => (format!("{} {clock}", glyphs.up), Role::Text),
        Phase::Starting(_) => (format!("{} starting {clock}", glyphs.busy), Role::Info),
        Phase::Failed(_) => (format!("{} failed", glyphs.cut), Role::Bad),
        Phase::Unknown => (format!("{} waiting", glyphs.unknown), Role::Dim),
    };
    vec![(text, role)]
}

/// `p99 31ms <2s`, `p99 3.1s >2s !`, `p99 ≥31ms ?` while an unseen write is older than that.
pub(super) fn p99(latency: &LatencyWindow, glyphs: &Glyphs) -> Pieces {
    let mut pieces = vec![("p99 ".to_owned(), Role::Text)];
    let (text, role) = p99_value(latency, glyphs);
    pieces.push((text, role));
    let goal = fmt::since(THRESHOLD_P99);
    match role {
        Role::Bad => pieces.push((format!(" >{goal} !"), Role::Bad)),
        Role::Text => pieces.push((format!(" <{goal}"), Role::Dim)),
        _ => {}
    }
    pieces
}

/// The 99th percentile, honestly: while a write that nobody has seen is older than it, the true
/// one can only be larger.
pub(super) fn p99_value(latency: &LatencyWindow, glyphs: &Glyphs) -> (String, Role) {
    match (latency.p99, latency.oldest_unseen) {
        (None, None) => ("-".to_owned(), Role::Dim),
        (None, Some(_)) => ("?".to_owned(), Role::Unknown),
        (Some(p99), oldest) => {
            let over = p99 > THRESHOLD_P99;
            let censored = oldest.is_some_and(|oldest| oldest > p99);
            let text = fmt::age(p99);
            match (over, censored) {
                (true, true) => (format!("{}{text}", glyphs.at_least), Role::Bad),
                (true, false) => (text, Role::Bad),
                (false, true) => (format!("{}{text} ?", glyphs.at_least), Role::Unknown),
                (false, false) => (text, Role::Text),
            }
        }
    }
}

fn faults(snapshot: &Snapshot) -> Pieces {
    match active_faults(snapshot) {
        0 => vec![("no faults".to_owned(), Role::Dim)],
        1 => vec![("1 fault".to_owned(), Role::Warn)],
        n => vec![(format!("{n} faults"), Role::Warn)],
    }
}

fn scenario(snapshot: &Snapshot, glyphs: &Glyphs) -> Option<Pieces> {
    let row = running(snapshot)?;
    let ScenarioState::Running { since, .. } = row.state else {
        return None;
    };
    let age = fmt::since(snapshot.at.saturating_sub(since));
    let text = format!("{} {} {age}", glyphs.select, row.name);
    Some(vec![(text, Role::Info)])
}

/// `LIVE`, `FROZEN 12s` or `NO NEWS 5s`.
fn mode(app: &App) -> Pieces {
    if app.is_stale() {
        return vec![(format!("NO NEWS {}s", app.quiet_s), Role::Bad)];
    }
    if let Some(frozen) = &app.frozen {
        let age: Duration = app.newest.at.saturating_sub(frozen.at);
        return vec![(format!("FROZEN {}", fmt::since(age)), Role::Warn)];
    }
    match app.newest.phase {
        Phase::Ready => vec![("LIVE".to_owned(), Role::Text)],
        Phase::Starting(_) | Phase::Failed(_) | Phase::Unknown => Pieces::new(),
    }
}
