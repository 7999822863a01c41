//! What happened: the newest lines, filtered, scrolled or following.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::{EventLine, Level, Snapshot};
use crate::ui::eventlog::{level_word, matching};
use crate::ui::fmt;
use crate::ui::pen::{Pen, fit, fit_middle};
use crate::ui::theme::{Role, Theme};

use super::panel::{self, Chrome};

/// What the panel shows.
pub(super) struct Events<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) filter: &'a str,
    /// The filter while it is being typed.
    pub(super) typing: Option<&'a str>,
    /// How many lines are below the view.
    pub(super) below: usize,
}

/// Draws the panel.
pub(super) fn render(
    buffer: &mut Buffer,
    area: Rect,
    chrome: &Chrome,
    what: &Events<'_>,
    theme: &Theme,
) {
    let note = match (what.filter.is_empty(), what.below) {
        (true, 0) => "follow".to_owned(),
        (true, below) => format!("{below} below, G follows"),
        (false, 0) => format!("/{} follow", what.filter),
        (false, below) => format!("/{}  {below} below", what.filter),
    };
    let mut pen = panel::open(buffer, area, chrome, &note, theme);
    let mut bottom = pen.height();
    if let Some(typed) = what.typing {
        bottom = bottom.saturating_sub(1);
        let x = pen.text(0, bottom, &format!("/{typed}"), Role::Strong);
        pen.text(x, bottom, " ", Role::Selected);
        pen.text(x + 3, bottom, "enter keep   esc clear", Role::Dim);
    }
    let lines: Vec<&EventLine> = matching(what.snapshot, what.filter).collect();
    let end = lines.len().saturating_sub(what.below);
    let start = end.saturating_sub(usize::from(bottom));
    for (y, line) in (0..bottom).zip(&lines[start..end]) {
        draw_line(&mut pen, y, line);
    }
    if lines.is_empty() && bottom > 0 {
        let text = if what.filter.is_empty() {
            "nothing has happened yet"
        } else {
            "no line matches"
        };
        pen.text(0, 0, text, Role::Dim);
    }
}

/// `12:41.2  WARN  node-3  no heartbeat for 1s`.
pub(super) fn draw_line(pen: &mut Pen<'_>, y: u16, line: &EventLine) {
    let ellipsis = pen.theme().glyphs.ellipsis;
    let role = match line.level {
        Level::Info => Role::Dim,
        Level::Warn => Role::Warn,
        Level::Error => Role::Bad,
    };
    let x = pen
        .text(0, y, &fmt::clock_tenths(line.at), Role::Dim)
        .saturating_add(1);
    pen.text(x, y, level_word(line.level), role);
    let x = x.saturating_add(6);
    let source = fit_middle(&line.source, 9, ellipsis);
    pen.text(x, y, &source, Role::Strong);
    let x = x.saturating_add(10);
    let room = pen.width().saturating_sub(x);
    let text_role = if line.level == Level::Error {
        Role::Bad
    } else {
        Role::Text
    };
    pen.text(x, y, &fit(&line.text, room, ellipsis), text_role);
}
