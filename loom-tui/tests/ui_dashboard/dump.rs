//! A frame as text with its styles: the letters, then one style letter per cell, then what the
//! style letters mean. The library's own test terminal drops colours, and a state that differs
//! only by colour would then never fail a test.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::Style;

use loom_tui::ui::app::App;
use loom_tui::ui::theme::Theme;
use loom_tui::ui::view::render;

/// Draws the app at its size.
pub(crate) fn draw(app: &App, theme: &Theme) -> Buffer {
    let Size { width, height } = app.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    render(&mut buffer, app, theme);
    buffer
}

/// Only the letters.
pub(crate) fn letters(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut skip = 0;
        let mut line = String::new();
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = ratatui::text::Span::raw(symbol).width().max(1);
            }
            skip -= 1;
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Letters, styles and legend.
pub(crate) fn styled(buffer: &Buffer) -> String {
    let mut legend: Vec<Style> = Vec::new();
    let mut grid = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        for x in 0..buffer.area.width {
            let style = buffer[(x, y)].style();
            let plain = Style::reset();
            let letter = if visible(style) == visible(plain) {
                '.'
            } else {
                let at = legend.iter().position(|known| *known == style);
                let at = at.unwrap_or_else(|| {
                    legend.push(style);
                    legend.len() - 1
                });
                char::from(b'a' + u8::try_from(at).expect("fewer styles than letters"))
            };
            line.push(letter);
        }
        let _ = writeln!(grid, "{}", line.trim_end_matches('.'));
    }
    let mut text = letters(buffer);
    let _ = write!(text, "-- styles\n{grid}-- legend\n");
    for (letter, style) in ('a'..).zip(&legend) {
        let (fg, bg, modifiers) = visible(*style);
        let _ = writeln!(text, "{letter} {fg} on {bg} {modifiers}");
    }
    text
}

fn visible(style: Style) -> (String, String, String) {
    let color = |color: Option<ratatui::style::Color>| {
        color.map_or("Reset".to_owned(), |color| format!("{color:?}"))
    };
    (
        color(style.fg),
        color(style.bg),
        format!("{:?}", style.add_modifier),
    )
}
