//! Drawing into a rectangle that cannot be left: [`Pen`] clips everything, so no panel can panic
//! or spill, whatever the size.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::theme::{Role, Theme};

/// Draws text at cells counted from the top left of its area.
pub struct Pen<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    theme: &'a Theme,
}

impl std::fmt::Debug for Pen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pen")
            .field("area", &self.area)
            .finish_non_exhaustive()
    }
}

/// Pieces of one line, drawn one after another.
pub type Pieces = Vec<(String, Role)>;

impl<'a> Pen<'a> {
    /// A pen for as much of `area` as the buffer has.
    pub fn new(buffer: &'a mut Buffer, area: Rect, theme: &'a Theme) -> Self {
        let area = area.intersection(buffer.area);
        Self {
            buffer,
            area,
            theme,
        }
    }

    /// Cells per line.
    pub fn width(&self) -> u16 {
        self.area.width
    }

    /// Lines.
    pub fn height(&self) -> u16 {
        self.area.height
    }

    /// The colours and marks in use.
    pub fn theme(&self) -> &'a Theme {
        self.theme
    }

    /// A pen for a part of this one's area.
    pub fn part(&mut self, part: Rect) -> Pen<'_> {
        let moved = Rect {
            x: self.area.x.saturating_add(part.x),
            y: self.area.y.saturating_add(part.y),
            ..part
        };
        let area = moved.intersection(self.area);
        Pen {
            buffer: self.buffer,
            area,
            theme: self.theme,
        }
    }

    /// Draws `text` from cell `x` of line `y` and returns the cell after it.
    pub fn text(&mut self, x: u16, y: u16, text: &str, role: Role) -> u16 {
        self.styled(x, y, text, self.theme.style(role))
    }

    /// As [`Pen::text`], with a style that is no role's.
    pub fn styled(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        if y >= self.area.height || x >= self.area.width {
            return x.saturating_add(width(text));
        }
        let room = usize::from(self.area.width - x);
        let ascii;
        let text = if self.theme.glyphs.unicode || text.is_ascii() {
            text
        } else {
            // Events and reasons come from elsewhere.
            ascii = text.chars().map(in_ascii).collect::<String>();
            &ascii
        };
        // Cells may hold a frame already; its style must not shine through.
        let style = Style::reset().patch(style);
        let (end, _) = self
            .buffer
            .set_stringn(self.area.x + x, self.area.y + y, text, room, style);
        end.saturating_sub(self.area.x)
    }

    /// Draws `text` so that it ends before cell `end` of line `y`; returns where it began.
    pub fn text_before(&mut self, end: u16, y: u16, text: &str, role: Role) -> u16 {
        let x = end.saturating_sub(width(text));
        self.text(x, y, text, role);
        x
    }

    /// Draws pieces one after another and returns the cell after the last.
    pub fn pieces(&mut self, x: u16, y: u16, pieces: &[(String, Role)]) -> u16 {
        pieces
            .iter()
            .fold(x, |x, (text, role)| self.text(x, y, text, *role))
    }

    /// Repeats a one-cell mark from `x` to before `end`.
    pub fn rule(&mut self, x: u16, end: u16, y: u16, mark: &str, role: Role) {
        for x in x..end.min(self.area.width) {
            self.text(x, y, mark, role);
        }
    }

    /// Adds a role's style to cells that are already drawn.
    pub fn tint(&mut self, x: u16, y: u16, cells: u16, role: Role) {
        let style = self.theme.style(role);
        let line = Rect::new(
            self.area.x.saturating_add(x),
            self.area.y.saturating_add(y),
            cells,
            1,
        );
        self.buffer.set_style(line.intersection(self.area), style);
    }

    /// Empties the whole area.
    pub fn wipe(&mut self) {
        for position in self.area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
            }
        }
    }
}

/// How many cells `text` takes.
pub fn width(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}

/// How many cells pieces take together.
pub fn pieces_width(pieces: &[(String, Role)]) -> u16 {
    pieces
        .iter()
        .fold(0, |sum, (text, _)| width(text).saturating_add(sum))
}

/// `text` in at most `cells` cells, with `ellipsis` in place of the end that does not fit.
pub fn fit(text: &str, cells: u16, ellipsis: &str) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let room = cells.saturating_sub(width(ellipsis));
    let mut kept = start_of(text, room);
    if width(ellipsis) <= cells {
        kept.push_str(ellipsis);
    }
    kept
}

/// `text` in at most `cells` cells, with `ellipsis` in place of the middle: names differ at
/// their ends.
pub fn fit_middle(text: &str, cells: u16, ellipsis: &str) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let room = cells.saturating_sub(width(ellipsis));
    let tail_cells = room / 2;
    let reversed: String = text.chars().rev().collect();
    let tail: String = start_of(&reversed, tail_cells).chars().rev().collect();
    let head = start_of(text, room - width(&tail));
    fit(&format!("{head}{ellipsis}{tail}"), cells, "")
}

/// `text` filled up with spaces on the right to `cells` cells.
pub fn pad(text: &str, cells: u16) -> String {
    let gap = usize::from(cells.saturating_sub(width(text)));
    format!("{text}{}", " ".repeat(gap))
}

/// The nearest mark a terminal without UTF-8 can show.
fn in_ascii(letter: char) -> char {
    match letter {
        '\0'..='\x7f' => letter,
        '±' | '…' | '≈' => '~',
        '–' | '—' | '−' => '-',
        '→' | '≥' => '>',
        '←' | '≤' => '<',
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        _ => '?',
    }
}

fn start_of(text: &str, cells: u16) -> String {
    let mut kept = String::new();
    let mut used = 0u16;
    for letter in text.chars() {
        used = used.saturating_add(width(letter.encode_utf8(&mut [0; 4])));
        if used > cells {
            break;
        }
        kept.push(letter);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_cells_not_at_bytes() {
        assert_eq!(fit("partition", 9, "…"), "partition");
        assert_eq!(fit("partition", 6, "…"), "parti…");
        assert_eq!(fit("ノード", 5, "…"), "ノー…");
        assert_eq!(fit("ノード", 1, "…"), "…");
        assert_eq!(fit("abc", 0, "…"), "");
        assert_eq!(fit_middle("concurrent-updates-7", 11, "…"), "concu…tes-7");
        assert_eq!(fit_middle("abcdef", 1, "…"), "…");
        assert_eq!(pad("ab", 4), "ab  ");
    }

    #[test]
    fn nothing_is_drawn_outside_the_area() {
        let theme = Theme::new(
            super::super::theme::ColorLevel::None,
            super::super::theme::Background::Dark,
            true,
        );
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 4));
        let mut pen = Pen::new(&mut buffer, Rect::new(1, 1, 3, 1), &theme);
        pen.text(0, 0, "abcdef", Role::Text);
        pen.text(0, 1, "below", Role::Text);
        pen.text(u16::MAX, u16::MAX, "far", Role::Text);
        pen.part(Rect::new(2, 0, 90, 90))
            .text(0, 0, "ZZZ", Role::Text);
        pen.tint(0, 0, u16::MAX, Role::Selected);
        // Neither is anything a terminal without UTF-8 cannot show.
        Pen::new(&mut buffer, Rect::new(0, 3, 6, 1), &theme).text(0, 0, "5±1 é", Role::Text);
        let expected = ["      ", " abZ  ", "      ", "5~1 ? "];
        for (y, line) in expected.iter().enumerate() {
            let drawn: String = (0..6).map(|x| buffer[(x, y as u16)].symbol()).collect();
            assert_eq!(&drawn, line);
        }
    }
}
