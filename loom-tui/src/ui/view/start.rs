//! While there is no cluster yet: what is being started, or why it could not be.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cluster::Life;
use crate::snapshot::Phase;
use crate::ui::app::App;
use crate::ui::fmt;
use crate::ui::pen::{Pen, fit, width};
use crate::ui::standing::Standing;
use crate::ui::theme::{Role, Theme};

use super::events;

/// Draws the screen.
pub(super) fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: &Theme) {
    let area = Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(1),
    };
    let mut pen = Pen::new(buffer, area, theme);
    let glyphs = theme.glyphs;
    let snapshot = &*app.newest;
    let mut y = match &snapshot.phase {
        Phase::Failed(reason) => {
            let title = format!("{} The cluster could not be started", glyphs.cut);
            pen.text(0, 0, &title, Role::Bad);
            let mut y = 2;
            for line in wrap(reason, pen.width().saturating_sub(2)) {
                pen.text(2, y, &line, Role::Text);
                y += 1;
            }
            let local = snapshot
                .offers_local
                .then_some(("o", "start own processes instead"));
            let keys = [Some(("r", "try again")), local, Some(("q", "quit"))];
            let mut x = 2;
            for (key, what) in keys.into_iter().flatten() {
                x = pen.text(x, y + 1, key, Role::Key);
                x = pen.text(x, y + 1, &format!(" {what}   "), Role::Text);
            }
            y + 3
        }
        Phase::Starting(step) => {
            let title = format!("{} Starting the cluster", glyphs.busy);
            let x = pen.text(0, 0, &title, Role::Strong);
            pen.text(x + 3, 0, &fmt::clock(snapshot.at), Role::Dim);
            pen.text(
                2,
                1,
                &fit(step, pen.width().saturating_sub(2), glyphs.ellipsis),
                Role::Text,
            );
            3
        }
        Phase::Unknown | Phase::Ready => {
            pen.text(0, 0, "Waiting for the engine", Role::Dim);
            2
        }
    };
    for row in &snapshot.members {
        // Nobody has been asked yet how they are; that it answers is what counts here.
        let standing = match row.status.life {
            Life::Up => Standing::Up,
            _ => Standing::of(row),
        };
        let state = format!("{} {:<8}", standing.glyph(glyphs), standing.word());
        pen.text(2, y, &row.status.member.to_string(), Role::Text);
        let x = pen.text(12, y, &state, standing.role());
        pen.text(x + 2, y, &row.status.url, Role::Dim);
        y = y.saturating_add(1);
    }
    y = y.saturating_add(1);
    let free = usize::from(pen.height().saturating_sub(y));
    let skip = snapshot.events.len().saturating_sub(free);
    let mut log = pen.part(Rect::new(2, y, u16::MAX, u16::MAX));
    for (y, line) in (0..).zip(snapshot.events.iter().skip(skip)) {
        events::draw_line(&mut log, y, line);
    }
}

/// Breaks text into lines of at most `cells` cells, between words where possible.
pub(super) fn wrap(text: &str, cells: u16) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let wanted = width(&line).saturating_add(1).saturating_add(width(word));
            if !line.is_empty() && wanted > cells {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}
