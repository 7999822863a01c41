//! The last line: what a key did, or which keys do something now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::Phase;
use crate::ui::app::App;
use crate::ui::keymap::{Action, BINDINGS, Binding, Context};
use crate::ui::overlay::Overlay;
use crate::ui::pen::{Pen, fit, width};
use crate::ui::theme::{Role, Theme};

/// Draws the line. Hints with the largest rank are dropped first.
pub(super) fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    let mut pen = Pen::new(buffer, area, theme);
    if let Some(notice) = &app.notice {
        let text = fit(
            &notice.text,
            pen.width().saturating_sub(2),
            theme.glyphs.ellipsis,
        );
        pen.text(1, 0, &text, notice.role);
        return;
    }
    if matches!(app.overlay, Some(Overlay::Filter(_))) {
        pen.text(
            1,
            0,
            "typing a filter: enter keeps it, esc clears it",
            Role::Dim,
        );
        return;
    }
    let mut hints = hints(app, pen.width() >= 100);
    let room = pen.width().saturating_sub(1);
    while line_width(&hints) > room && hints.len() > 1 {
        let least = hints.iter().map(|hint| hint.rank).max();
        hints.retain(|hint| Some(hint.rank) != least);
    }
    let mut x = 1;
    for hint in &hints {
        x = pen.text(x, 0, &hint.key, Role::Key).saturating_add(1);
        x = pen.text(x, 0, &hint.text, Role::Dim).saturating_add(2);
    }
}

struct Hint {
    key: String,
    text: String,
    rank: u8,
}

fn line_width(hints: &[Hint]) -> u16 {
    hints.iter().fold(0, |sum, hint| {
        width(&hint.key) + 1 + width(&hint.text) + 2 + sum
    })
}

/// What the keys of the active contexts do, those of the panel first.
fn hints(app: &App, wide: bool) -> Vec<Hint> {
    let contexts = app.contexts();
    let ready = app.newest.phase == Phase::Ready;
    let shown = |binding: &&Binding| {
        let useful = match binding.action {
            Action::Help | Action::Quit | Action::Retry => true,
            Action::UseLocal => app.newest.offers_local,
            _ if !ready => false,
            Action::CancelRun => app.running().is_some(),
            Action::Undo => app.undo.newest().is_some(),
            _ => true,
        };
        useful && !binding.hint.is_empty() && contexts.contains(&binding.context)
    };
    let mut bindings: Vec<&Binding> = BINDINGS.iter().filter(shown).collect();
    // A focused list's own keys come first; then members; then what is true everywhere.
    bindings.sort_by_key(|binding| match binding.context {
        Context::Failed | Context::Scenarios => 0,
        Context::Members => 1,
        Context::Anywhere => 2,
    });
    let hint = |binding: &&Binding| {
        let text = match (binding.action, app.undo.newest()) {
            (Action::Undo, Some(entry)) if wide => format!("undo {}", entry.what),
            _ => binding.hint.to_owned(),
        };
        Hint {
            key: binding.keys[0].to_string(),
            text,
            rank: binding.rank,
        }
    };
    bindings.iter().map(hint).collect()
}
