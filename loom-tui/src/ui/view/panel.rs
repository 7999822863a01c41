//! The frame around a panel: number, name, a note on the right, thick when focused.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::ui::glyphs::Frame;
use crate::ui::pen::{Pen, fit, width};
use crate::ui::plan::Panel;
use crate::ui::theme::{Role, Theme};

/// How a panel is framed.
pub(super) struct Chrome {
    pub(super) panel: Panel,
    pub(super) focused: bool,
    pub(super) framed: bool,
}

/// Draws the frame and returns a pen for what is inside it.
pub(super) fn open<'a>(
    buffer: &'a mut Buffer,
    area: Rect,
    chrome: &Chrome,
    note: &str,
    theme: &'a Theme,
) -> Pen<'a> {
    if !chrome.framed || area.height < 3 || area.width < 8 {
        return Pen::new(buffer, area, theme);
    }
    let title = format!("{} {}", chrome.panel.number(), chrome.panel.name());
    boxed(buffer, area, &title, note, chrome.focused, theme);
    Pen::new(buffer, inside(area), theme)
}

/// The cells within a frame, one column apart from it.
pub(super) fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x.saturating_add(2),
        y: area.y.saturating_add(1),
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    }
}

/// Draws a frame with a title on the left and a note on the right of its upper edge.
pub(super) fn boxed(
    buffer: &mut Buffer,
    area: Rect,
    title: &str,
    note: &str,
    focused: bool,
    theme: &Theme,
) {
    let glyphs = theme.glyphs;
    let (frame, role): (Frame, Role) = if focused {
        (glyphs.frame_focus, Role::Focus)
    } else {
        (glyphs.frame, Role::Border)
    };
    let mut pen = Pen::new(buffer, area, theme);
    let (right, bottom) = (
        pen.width().saturating_sub(1),
        pen.height().saturating_sub(1),
    );
    for y in [0, bottom] {
        pen.rule(1, right, y, frame.horizontal, role);
    }
    for y in 1..bottom {
        pen.text(0, y, frame.vertical, role);
        pen.text(right, y, frame.vertical, role);
    }
    pen.text(0, 0, frame.top_left, role);
    pen.text(right, 0, frame.top_right, role);
    pen.text(0, bottom, frame.bottom_left, role);
    pen.text(right, bottom, frame.bottom_right, role);

    let room = pen.width().saturating_sub(6);
    let title = format!(" {} ", fit(title, room, glyphs.ellipsis));
    let title_role = if focused { Role::Strong } else { Role::Text };
    let end = pen.text(2, 0, &title, title_role);
    let free = right.saturating_sub(1).saturating_sub(end);
    if !note.is_empty() && free > 8 {
        let note = format!(" {} ", fit(note, free.saturating_sub(4), glyphs.ellipsis));
        let start = right.saturating_sub(1).saturating_sub(width(&note));
        pen.text(start, 0, &note, Role::Dim);
    }
}
