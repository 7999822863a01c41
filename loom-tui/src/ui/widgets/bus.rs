//! The relay as a line with nodes hanging on it: the state of every link shows without colour.

use crate::ui::pen::{Pen, Pieces, fit, pieces_width, width};
use crate::ui::standing::LinkStanding;
use crate::ui::theme::Role;

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Bus {
    /// The relay's label.
    pub relay: Pieces,
    /// Whether the relay is selected.
    pub relay_selected: bool,
    /// The nodes by number.
    pub nodes: Vec<Tap>,
    /// Whether the selection has the focus.
    pub focused: bool,
}

/// One node and its link.
#[derive(Clone, Debug)]
pub struct Tap {
    /// The node's name.
    pub name: String,
    /// The mark of its state.
    pub glyph: &'static str,
    /// The word for its state.
    pub word: &'static str,
    /// The colour of its state.
    pub role: Role,
    /// How its link stands.
    pub link: LinkStanding,
    /// What to say beside the link.
    pub link_label: String,
    /// How far it is behind.
    pub lag: String,
    /// The colour of that.
    pub lag_role: Role,
    /// Whether it is selected.
    pub selected: bool,
}

/// The least cells a node needs.
const SLOT_MIN: u16 = 16;
/// Label, line, three cells of link, name, lag.
const LINES_MIN: u16 = 7;

/// Whether the picture can be drawn in this much room, in one row or two.
pub fn fits(cells: u16, lines: u16, nodes: usize) -> bool {
    let per_row = usize::from(cells / SLOT_MIN);
    nodes <= per_row && lines >= LINES_MIN || nodes <= 2 * per_row && lines >= 2 * LINES_MIN - 1
}

/// Draws the picture into the whole pen. Call only where it [`fits`].
pub fn draw(pen: &mut Pen<'_>, bus: &Bus) {
    let per_row = usize::from((pen.width() / SLOT_MIN).max(1));
    if bus.nodes.len() <= per_row {
        // More than this only makes the lines longer.
        let lines = pen.height().min(12);
        let top = (pen.height() - lines) / 2;
        relay_label(pen, top, bus);
        row(pen, &bus.nodes, top + 1, top + lines - 1, bus.focused);
    } else {
        let half = bus.nodes.len().div_ceil(2);
        let middle = pen.height() / 2;
        row(
            pen,
            &bus.nodes[..half],
            middle.saturating_sub(1),
            0,
            bus.focused,
        );
        relay_label(pen, middle, bus);
        let last = pen.height().saturating_sub(1);
        row(pen, &bus.nodes[half..], middle + 1, last, bus.focused);
    }
}

fn relay_label(pen: &mut Pen<'_>, y: u16, bus: &Bus) {
    let glyphs = pen.theme().glyphs;
    if bus.relay_selected {
        pen.text(0, y, glyphs.select, Role::Strong);
    }
    let end = pen.pieces(2, y, &bus.relay);
    if bus.relay_selected && bus.focused {
        // The first piece is the name and the state.
        let cells = bus.relay.first().map_or(end, |(text, _)| width(text));
        pen.tint(2, y, cells.min(pieces_width(&bus.relay)), Role::Selected);
    }
}

/// Draws the relay's line at `line` and nodes between it and `far`, which may be above it.
fn row(pen: &mut Pen<'_>, nodes: &[Tap], line: u16, far: u16, focused: bool) {
    let glyphs = pen.theme().glyphs;
    let downwards = far > line;
    // From the line to the node: links, then name, then lag.
    let at = |step: u16| {
        if downwards {
            line.saturating_add(step)
        } else {
            line.saturating_sub(step)
        }
    };
    let reach = line.abs_diff(far);
    let count = u16::try_from(nodes.len()).unwrap_or(u16::MAX).max(1);
    let slot = (pen.width() / count).max(1);
    pen.rule(0, pen.width(), line, glyphs.bus, Role::Dim);
    let tap = if downwards {
        glyphs.tap_down
    } else {
        glyphs.tap_up
    };
    for (i, node) in (0..count).zip(nodes) {
        let x = i * slot + 2;
        let room = slot.saturating_sub(3);
        let link_cells = reach.saturating_sub(1);
        let middle = link_cells.div_ceil(2).max(1);
        match node.link {
            LinkStanding::Up | LinkStanding::Slow | LinkStanding::Silent => {
                pen.text(x, line, tap, node.link.role());
                for step in 1..link_cells {
                    pen.text(x, at(step), node.link.glyph(glyphs), node.link.role());
                }
            }
            LinkStanding::Cut => {
                // Two loose ends: a gap alone would look like nothing.
                pen.text(x, line, tap, Role::Dim);
                for step in (1..link_cells).filter(|step| step.abs_diff(middle) > 1) {
                    pen.text(x, at(step), glyphs.link, Role::Dim);
                }
                pen.text(x, at(middle), glyphs.cut, Role::Bad);
            }
            LinkStanding::Absent => {}
        }
        let label_role = match node.link {
            LinkStanding::Up => Role::Dim,
            other => other.role(),
        };
        let label = fit(&node.link_label, room.saturating_sub(2), glyphs.ellipsis);
        pen.text(x + 2, at(middle), &label, label_role);

        // Above the line the lag comes first, so that reading goes from name to lag in both.
        let (name_at, lag_at) = if downwards {
            (at(reach - 1), at(reach))
        } else {
            (at(reach), at(reach - 1))
        };
        if node.selected {
            pen.text(x.saturating_sub(2), name_at, glyphs.select, Role::Strong);
        }
        let end = pen.text(x, name_at, node.glyph, node.role);
        let name = fit(&node.name, room.saturating_sub(2), glyphs.ellipsis);
        let name_role = if node.selected && focused {
            Role::Selected
        } else {
            Role::Strong
        };
        let end = pen.text(end + 1, name_at, &name, name_role);
        if room.saturating_sub(end - x) > width(node.word) {
            pen.text(end + 1, name_at, node.word, node.role);
        }
        pen.text(x + 2, lag_at, &fit(&node.lag, room, ""), node.lag_role);
    }
}
