//! Boxes over the panels: a question, and the form that degrades a link.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::ui::overlay::{Confirm, DegradeForm};
use crate::ui::pen::{Pen, width};
use crate::ui::theme::{Role, Theme};

use super::panel::{boxed, inside};

/// Clears a box in the middle of the screen, frames it where there is room, and returns its
/// inside.
pub(super) fn open(
    buffer: &mut Buffer,
    screen: Rect,
    cells: u16,
    lines: u16,
    title: &str,
    note: &str,
    theme: &Theme,
) -> Rect {
    let size = (cells.min(screen.width), lines.min(screen.height));
    let area = Rect {
        x: screen.x + (screen.width - size.0) / 2,
        y: screen.y + (screen.height - size.1) / 2,
        width: size.0,
        height: size.1,
    };
    Pen::new(buffer, area, theme).wipe();
    if size.0 < 20 || size.1 < 5 {
        return area;
    }
    boxed(buffer, area, title, note, true, theme);
    inside(area)
}

/// Draws a question with its two answers.
pub(super) fn confirm(buffer: &mut Buffer, screen: Rect, confirm: &Confirm, theme: &Theme) {
    let widest = confirm
        .detail
        .iter()
        .map(|line| width(line))
        .max()
        .unwrap_or(0);
    let details = u16::try_from(confirm.detail.len()).unwrap_or(u16::MAX);
    let cells = widest.saturating_add(8).max(48);
    let lines = details.saturating_add(6);
    let area = open(buffer, screen, cells, lines, &confirm.question, "", theme);
    let mut pen = Pen::new(buffer, area, theme);
    let answers = pen
        .height()
        .saturating_sub(if pen.height() > 3 { 2 } else { 1 });
    if pen.height() < lines.saturating_sub(2) {
        // Too small for everything: the question itself and the answers matter most.
        pen.text(0, 0, &confirm.question, Role::Strong);
    } else {
        for (y, line) in (1..answers).zip(&confirm.detail) {
            pen.text(1, y, line, Role::Text);
        }
    }
    let (yes, no) = if confirm.yes_focused {
        (Role::Selected, Role::Text)
    } else {
        (Role::Text, Role::Selected)
    };
    let x = pen.text(1, answers, "  Cancel  ", no).saturating_add(2);
    let x = pen.text(x, answers, &format!("  {} (y)  ", confirm.yes), yes);
    if x.saturating_add(14) <= pen.width() {
        pen.text(x.saturating_add(3), answers, "esc cancels", Role::Dim);
    }
}

/// Draws the form.
pub(super) fn degrade(buffer: &mut Buffer, screen: Rect, form: &DegradeForm, theme: &Theme) {
    let title = format!("Degrade the link of {}", form.member);
    let area = open(buffer, screen, 52, 9, &title, "both directions", theme);
    let mut pen = Pen::new(buffer, area, theme);
    let top = u16::from(pen.height() > 5);
    for (i, (label, unit)) in DegradeForm::LABELS.into_iter().enumerate() {
        let y = top + u16::try_from(i).unwrap_or(0);
        let active = i == form.active;
        let mark = if active { theme.glyphs.select } else { " " };
        pen.text(0, y, mark, Role::Strong);
        pen.text(2, y, label, Role::Text);
        let digits = &form.fields[i];
        let shown = if digits.is_empty() && !active {
            "-"
        } else {
            digits
        };
        let x = pen.text(13, y, shown, if active { Role::Strong } else { Role::Text });
        if active {
            pen.text(x, y, " ", Role::Selected);
        }
        pen.text(22, y, unit, Role::Dim);
    }
    let last = pen.height().saturating_sub(1);
    let hint = "enter applies   empty heals   tab next   esc cancels";
    let short = "enter apply  tab next  esc cancel";
    let hint = if width(hint) <= pen.width() {
        hint
    } else {
        short
    };
    pen.text(0, last, hint, Role::Dim);
}
