//! All keys, made from the key map.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::ui::keymap;
use crate::ui::pen::Pen;
use crate::ui::theme::{Role, Theme};

use super::dialog;

/// Draws the overlay, scrolled down by `line` lines or as far as there is text.
pub(super) fn render(buffer: &mut Buffer, screen: Rect, line: usize, theme: &Theme) {
    let text = keymap::as_text();
    let lines: Vec<&str> = text.lines().collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = dialog::open(buffer, screen, 72, height, "Keys", "? or esc closes", theme);
    let mut pen = Pen::new(buffer, area, theme);
    let rows = usize::from(pen.height());
    let first = line.min(lines.len().saturating_sub(rows));
    for (y, line) in (0..pen.height()).zip(lines.iter().skip(first)) {
        // Indented lines are bindings: keys, then what they do.
        match line.strip_prefix("  ") {
            Some(binding) => {
                let (keys, help) = binding
                    .split_at_checked(KEYS_BYTES)
                    .unwrap_or((binding, ""));
                pen.text(1, y, keys, Role::Key);
                pen.text(1 + KEYS_CELLS, y, help, Role::Text);
            }
            None => {
                pen.text(0, y, line, Role::Strong);
            }
        }
    }
    let below = lines.len().saturating_sub(first + rows);
    if below > 0 {
        let more = format!(" {below} more, down ");
        let (end, last) = (pen.width(), pen.height().saturating_sub(1));
        pen.text_before(end, last, &more, Role::Selected);
    }
}

/// The width of the key column in [`keymap::as_text`], which is ASCII.
const KEYS_BYTES: usize = 17;
const KEYS_CELLS: u16 = 17;
