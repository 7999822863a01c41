//! A few lines for what has no panel at this size, the most important first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::{EventLine, Level, ScenarioRow, ScenarioState, Snapshot};
use crate::ui::app::running;
use crate::ui::fmt;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::{Pen, Pieces};
use crate::ui::theme::{Role, Theme};

use super::events;
use super::header::p99;
use super::panel::{boxed, inside};
use super::scenarios::state;

/// What the strip shows.
pub(super) struct Strip<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// Whether the percentiles are wanted here.
    pub(super) latency: bool,
    /// Whether events are wanted here.
    pub(super) events: bool,
    pub(super) framed: bool,
}

/// Draws as many lines as fit.
pub(super) fn render(buffer: &mut Buffer, area: Rect, what: &Strip<'_>, theme: &Theme) {
    let area = if what.framed {
        boxed(buffer, area, "Now", "5 scenarios  6 events", false, theme);
        inside(area)
    } else {
        Rect {
            x: area.x + 1,
            width: area.width.saturating_sub(2),
            ..area
        }
    };
    let mut pen = Pen::new(buffer, area, theme);
    let mut lines: Vec<Pieces> = Vec::new();
    if what.latency && pen.height() > 1 {
        lines.push(latency(what.snapshot, theme.glyphs));
    }
    if let Some(row) = running(what.snapshot) {
        lines.push(scenario(row, what.snapshot, theme.glyphs));
    } else if let Some(row) = last_done(what.snapshot)
        && pen.height() > 1
    {
        lines.push(scenario(row, what.snapshot, theme.glyphs));
    }
    let mut y = 0;
    for line in &lines {
        pen.pieces(0, y, line);
        y += 1;
    }
    if !what.events {
        return;
    }
    let free = usize::from(pen.height().saturating_sub(y));
    for line in newest(what.snapshot, free) {
        events::draw_line(&mut pen, y, line);
        y += 1;
    }
}

/// The newest lines, oldest first; when there is room for one only, the newest that is no mere
/// information, if it is recent.
fn newest(snapshot: &Snapshot, lines: usize) -> Vec<&EventLine> {
    if lines == 1 {
        let loud = snapshot
            .events
            .iter()
            .rev()
            .find(|line| line.level > Level::Info);
        let recent = loud.filter(|line| snapshot.at.saturating_sub(line.at).as_secs() < 60);
        return recent.or(snapshot.events.back()).into_iter().collect();
    }
    let skip = snapshot.events.len().saturating_sub(lines);
    snapshot.events.iter().skip(skip).collect()
}

fn latency(snapshot: &Snapshot, glyphs: &Glyphs) -> Pieces {
    let latency = &snapshot.latency;
    let mut pieces = vec![(
        format!(
            "p50 {}  p95 {}  ",
            fmt::age_or_unknown(latency.p50),
            fmt::age_or_unknown(latency.p95)
        ),
        Role::Text,
    )];
    pieces.extend(p99(latency, glyphs));
    if latency.unseen > 0 {
        let text = format!("  {} unseen", fmt::count(latency.unseen));
        pieces.push((text, Role::Unknown));
    }
    pieces
}

fn scenario(row: &ScenarioRow, snapshot: &Snapshot, glyphs: &Glyphs) -> Pieces {
    let (word, role) = state(&row.state, glyphs);
    let more = match &row.state {
        ScenarioState::Running { since, step, .. } => {
            format!(
                "  {}  {step}",
                fmt::since(snapshot.at.saturating_sub(*since))
            )
        }
        ScenarioState::Done { took, note, .. } => format!("  {}  {note}", fmt::age(*took)),
        ScenarioState::Never | ScenarioState::Queued => String::new(),
    };
    vec![
        (format!("{} ", row.name), Role::Strong),
        (word, role),
        (more, Role::Text),
    ]
}

/// Snapshots do not say when a run ended, so the last of the list stands for the newest.
fn last_done(snapshot: &Snapshot) -> Option<&ScenarioRow> {
    let mut rows = snapshot.scenarios.iter().rev();
    rows.find(|row| matches!(row.state, ScenarioState::Done { .. }))
}
