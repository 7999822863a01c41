//! The command line at the bottom of the screen, with what could be meant above it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::Snapshot;
use crate::ui::command::{COMMANDS, completions};
use crate::ui::overlay::Line;
use crate::ui::pen::{Pen, fit};
use crate::ui::theme::{Role, Theme};

/// Draws the line in place of the footer and one line of help over it.
pub(super) fn render(
    buffer: &mut Buffer,
    screen: Rect,
    line: &Line,
    snapshot: &Snapshot,
    theme: &Theme,
) {
    let height = screen.height.min(2);
    let area = Rect {
        y: screen.bottom() - height,
        height,
        ..screen
    };
    let mut pen = Pen::new(buffer, area, theme);
    pen.wipe();
    let last = height.saturating_sub(1);
    let x = pen.text(1, last, ":", Role::Key);
    let x = pen.text(x, last, &line.text, Role::Strong);
    pen.text(x, last, " ", Role::Selected);
    if height < 2 {
        return;
    }
    let (text, role) = match &line.error {
        Some(error) => (error.clone(), Role::Bad),
        None => (help(&line.text, snapshot), Role::Dim),
    };
    pen.text(
        1,
        0,
        &fit(&text, area.width.saturating_sub(2), theme.glyphs.ellipsis),
        role,
    );
}

/// The commands that begin so, or the usage of the one that is being typed.
fn help(typed: &str, snapshot: &Snapshot) -> String {
    let verb = typed.split(' ').next().unwrap_or_default();
    let usage = COMMANDS.iter().find(|(word, ..)| *word == verb);
    let options = completions(typed, snapshot);
    let last_words: Vec<&str> = options
        .iter()
        .map(|option| option.rsplit(' ').next().unwrap_or(option))
        .collect();
    match usage {
        Some((word, args, help)) if !typed.contains(' ') || options.is_empty() => {
            format!("{word} {args}   {help}")
        }
        _ => last_words.join("  "),
    }
}
