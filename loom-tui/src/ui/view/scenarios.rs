//! The catalogue: what is running, how earlier runs ended.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::{ScenarioRow, ScenarioState, Verdict};
use crate::ui::fmt;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::{Pen, fit, fit_middle, pad, width};
use crate::ui::summary::verdict_word;
use crate::ui::theme::{Role, Theme};

use super::panel::{self, Chrome};

/// What the panel shows.
pub(super) struct Scenarios<'a> {
    pub(super) rows: &'a [ScenarioRow],
    pub(super) now: Duration,
    pub(super) selected: Option<&'a str>,
}

const STATE_CELLS: u16 = 10;
const TOOK_CELLS: u16 = 7;

/// Draws the panel.
pub(super) fn render(
    buffer: &mut Buffer,
    area: Rect,
    chrome: &Chrome,
    what: &Scenarios<'_>,
    theme: &Theme,
) {
    let mut pen = panel::open(buffer, area, chrome, &tally(what.rows), theme);
    if what.rows.is_empty() {
        pen.text(0, 0, "no scenarios in the catalogue", Role::Dim);
        return;
    }
    let names = what
        .rows
        .iter()
        .map(|row| width(&row.name))
        .max()
        .unwrap_or(0);
    let name_cells = names
        .min(pen.width().saturating_sub(STATE_CELLS + 4))
        .min(28);
    let chosen = what
        .rows
        .iter()
        .position(|row| Some(row.name.as_str()) == what.selected);
    // The line about the selected one is worth a row only where all rows fit anyway.
    let rows = u16::try_from(what.rows.len()).unwrap_or(u16::MAX);
    let detail = u16::from(pen.height() > rows.min(4));
    let lines = pen.height().saturating_sub(detail);
    let first = chosen
        .unwrap_or(0)
        .saturating_sub(usize::from(lines.saturating_sub(1)));
    for (y, row) in (0..lines).zip(what.rows.iter().skip(first)) {
        let selected = Some(row.name.as_str()) == what.selected;
        line(
            &mut pen,
            y,
            row,
            name_cells,
            selected,
            chrome.focused,
            what.now,
        );
    }
    if detail > 0
        && let Some(row) = chosen.and_then(|at| what.rows.get(at))
    {
        // What is cut off in the row is readable here.
        let (text, role) = match &row.state {
            ScenarioState::Running { step, .. } if !step.is_empty() => (step, Role::Info),
            ScenarioState::Done { note, .. } if !note.is_empty() => (note, Role::Text),
            _ => (&row.about, Role::Dim),
        };
        let about = fit(text, pen.width(), theme.glyphs.ellipsis);
        let y = pen.height() - 1;
        pen.text(0, y, &about, role);
    }
}

fn line(
    pen: &mut Pen<'_>,
    y: u16,
    row: &ScenarioRow,
    name_cells: u16,
    selected: bool,
    focused: bool,
    now: Duration,
) {
    let glyphs = pen.theme().glyphs;
    if selected {
        pen.text(0, y, glyphs.select, Role::Strong);
    }
    let name = fit_middle(&row.name, name_cells, glyphs.ellipsis);
    let (name, role) = if selected && focused {
        (pad(&name, name_cells), Role::Selected)
    } else {
        (name, Role::Text)
    };
    pen.text(2, y, &name, role);
    let x = name_cells + 4;
    let (state, role) = state(&row.state, glyphs);
    pen.text(x, y, &state, role);
    let x = x + STATE_CELLS;
    if let Some(took) = took(&row.state, now) {
        pen.text_before(x + TOOK_CELLS, y, &took, Role::Text);
    }
    let x = x + TOOK_CELLS + 2;
    let (note, role) = match &row.state {
        ScenarioState::Running { step, .. } => (step.as_str(), Role::Info),
        ScenarioState::Done { verdict, note, .. } => match verdict {
            Verdict::Pass => (note.as_str(), Role::Dim),
            Verdict::Unknown | Verdict::Fail => (note.as_str(), Role::Text),
        },
        ScenarioState::Never | ScenarioState::Queued => ("", Role::Dim),
    };
    let room = pen.width().saturating_sub(x);
    pen.text(x, y, &fit(note, room, glyphs.ellipsis), role);
}

/// How a scenario stands, with mark and colour.
pub(super) fn state(state: &ScenarioState, glyphs: &Glyphs) -> (String, Role) {
    match state {
        ScenarioState::Never => ("-".to_owned(), Role::Dim),
        ScenarioState::Queued => (format!("{} queued", glyphs.busy), Role::Dim),
        ScenarioState::Running { steps, .. } => {
            (format!("{} step {steps}", glyphs.select), Role::Info)
        }
        ScenarioState::Done { verdict, .. } => {
            let (glyph, role) = match verdict {
                Verdict::Pass => (glyphs.up, Role::Text),
                Verdict::Unknown => (glyphs.unknown, Role::Unknown),
                Verdict::Fail => (glyphs.cut, Role::Bad),
            };
            (format!("{glyph} {}", verdict_word(*verdict)), role)
        }
    }
}

fn took(state: &ScenarioState, now: Duration) -> Option<String> {
    match state {
        ScenarioState::Running { since, .. } => Some(fmt::since(now.saturating_sub(*since))),
        ScenarioState::Done { took, .. } => Some(fmt::age(*took)),
        ScenarioState::Never | ScenarioState::Queued => None,
    }
}

/// `1 FAIL  1 running  2 queued  5 pass`: what matters most comes first.
fn tally(rows: &[ScenarioRow]) -> String {
    let count =
        |wanted: fn(&ScenarioState) -> bool| rows.iter().filter(|row| wanted(&row.state)).count();
    let done = |wanted: Verdict| {
        let ended = rows.iter().filter(
            |row| matches!(&row.state, ScenarioState::Done { verdict, .. } if *verdict == wanted),
        );
        ended.count()
    };
    let counts = [
        (done(Verdict::Fail), "FAIL"),
        (
            count(|s| matches!(s, ScenarioState::Running { .. })),
            "running",
        ),
        (count(|s| matches!(s, ScenarioState::Queued)), "queued"),
        (done(Verdict::Unknown), "unknown"),
        (done(Verdict::Pass), "pass"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    parts.join("  ")
}
