//! A member's log over the whole screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::ui::app::App;
use crate::ui::log::LogReader;
use crate::ui::pen::{Pen, fit};
use crate::ui::theme::{Role, Theme};

use super::dialog;

/// Draws the reader in place of everything.
pub(super) fn render(
    buffer: &mut Buffer,
    screen: Rect,
    reader: &LogReader,
    app: &App,
    theme: &Theme,
) {
    let log = reader.shown(app.newest.log.as_ref());
    let lines = log.map(|log| reader.matching(log)).unwrap_or_default();
    let title = format!("Log of {}", reader.member);
    let all = log.map_or(0, |log| log.lines.len());
    let count = if reader.filter.text.is_empty() {
        format!("{all} lines")
    } else {
        format!("{} of {all} lines have {}", lines.len(), reader.filter.text)
    };
    let place = match (&reader.held, reader.below) {
        (None, _) => "follow".to_owned(),
        (Some(_), below) => format!("{below} below, G follows"),
    };
    let note = format!("{count}  {place}");
    let area = dialog::open(
        buffer,
        screen,
        screen.width,
        screen.height,
        &title,
        &note,
        theme,
    );
    let mut pen = Pen::new(buffer, area, theme);
    let rows = pen.height().saturating_sub(1);
    let end = lines.len().saturating_sub(reader.below);
    let start = end.saturating_sub(usize::from(rows));
    for (y, line) in (0..rows).zip(&lines[start..end]) {
        let visible: String = without_date(line).chars().skip(reader.right).collect();
        let visible = fit(&visible, pen.width(), theme.glyphs.ellipsis);
        pen.text(0, y, &visible, role(line));
    }
    if lines.is_empty() && rows > 0 {
        let text = match log {
            None => "asking for it",
            Some(log) if log.lines.is_empty() => "it has printed nothing yet",
            Some(_) => "no line has that",
        };
        pen.text(0, 0, text, Role::Dim);
    }
    if reader.typing {
        let x = pen.text(0, rows, &format!("/{}", reader.filter.text), Role::Strong);
        pen.text(x, rows, " ", Role::Selected);
        pen.text(x + 3, rows, "enter keep   esc clear", Role::Dim);
        return;
    }
    let mut hint = "esc closes   / filter   tab next member   y copy   ←→ sideways".to_owned();
    if let Some(file) = log.and_then(|log| log.file.as_ref()) {
        hint = format!("{hint}   older lines: {}", file.display());
    }
    let hint = fit(&hint, pen.width(), theme.glyphs.ellipsis);
    pen.text(0, rows, &hint, Role::Dim);
}

/// A line without the day in front of its time: a third of a small screen, and the same everywhere.
fn without_date(line: &str) -> &str {
    let date = line.get(..11).filter(|date| {
        date.bytes().enumerate().all(|(i, byte)| match i {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            _ => byte.is_ascii_digit(),
        })
    });
    date.map_or(line, |date| &line[date.len()..])
}

/// How loud a line is: by the level in front of its text, as every member prints it.
fn role(line: &str) -> Role {
    let mut words = line.split_ascii_whitespace().take(3);
    words
        .find_map(|word| match word {
            "ERROR" => Some(Role::Bad),
            "WARN" => Some(Role::Warn),
            "INFO" => Some(Role::Text),
            "DEBUG" | "TRACE" => Some(Role::Dim),
            _ => None,
        })
        .unwrap_or(Role::Text)
}
