//! The line of tabs where only one panel, or a digest, is on the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::ui::pen::Pen;
use crate::ui::plan::Panel;
use crate::ui::theme::{Role, Theme};

/// Draws the line; a running scenario marks its tab.
pub(super) fn render(buffer: &mut Buffer, area: Rect, focus: Panel, running: bool, theme: &Theme) {
    let mut pen = Pen::new(buffer, area, theme);
    let mut x = 1;
    for panel in Panel::ALL {
        let name = match panel {
            Panel::Nodes => "Overview",
            other => other.name(),
        };
        let mark = match panel {
            Panel::Scenarios if running => format!(" {}", theme.glyphs.select),
            _ => String::new(),
        };
        let text = format!(" {} {name}{mark} ", panel.number());
        let role = if panel == focus {
            Role::Selected
        } else {
            Role::Dim
        };
        x = pen.text(x, 0, &text, role).saturating_add(1);
    }
}
