//! The links as a picture: the relay's line and what hangs on it, or a list where that is too big.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cluster::Member;
use crate::snapshot::MemberRow;
use crate::ui::fmt;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::Pen;
use crate::ui::standing::{LinkStanding, Standing, is_node, lag_text, link_text};
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::bus;

use super::panel::{self, Chrome};

/// What the panel shows.
pub(super) struct Topology<'a> {
    pub(super) members: &'a [MemberRow],
    pub(super) ops_per_s: f64,
    pub(super) selected: Option<Member>,
}

/// Draws the panel.
pub(super) fn render(
    buffer: &mut Buffer,
    area: Rect,
    chrome: &Chrome,
    what: &Topology<'_>,
    theme: &Theme,
) {
    let counts = counts(what.members);
    let mut pen = panel::open(buffer, area, chrome, &counts, theme);
    let nodes: Vec<&MemberRow> = what.members.iter().filter(|row| is_node(row)).collect();
    if nodes.is_empty() {
        pen.text(0, 0, "no nodes yet", Role::Dim);
        return;
    }
    let glyphs = theme.glyphs;
    let picture = bus::Bus {
        relay: relay_label(what, glyphs),
        relay_selected: what.selected == Some(Member::Relay),
        nodes: nodes
            .iter()
            .map(|row| tap(row, what.selected, glyphs))
            .collect(),
        focused: chrome.focused,
    };
    let height = pen.height();
    if bus::fits(pen.width(), height, nodes.len()) {
        bus::draw(&mut pen, &picture);
    } else if usize::from(height) >= nodes.len() {
        list(&mut pen, &nodes, what.selected);
    } else {
        pen.text(0, 0, &counts, Role::Text);
    }
}

/// `3 up`, or `1 cut  1 slow  1 up`.
fn counts(members: &[MemberRow]) -> String {
    let standings: Vec<LinkStanding> = members
        .iter()
        .filter(|row| is_node(row))
        .map(LinkStanding::of)
        .collect();
    let words = [
        (LinkStanding::Cut, "cut"),
        (LinkStanding::Slow, "slow"),
        (LinkStanding::Silent, "silent"),
        (LinkStanding::Absent, "without link"),
        (LinkStanding::Up, "linked"),
    ];
    let counted = words.iter().filter_map(|(standing, word)| {
        let n = standings.iter().filter(|found| *found == standing).count();
        (n > 0).then(|| format!("{n} {word}"))
    });
    counted.collect::<Vec<_>>().join("  ")
}

fn relay_label(what: &Topology<'_>, glyphs: &Glyphs) -> Vec<(String, Role)> {
    let relay = what.members.iter().find(|row| !is_node(row));
    let standing = relay.map_or(Standing::Unknown, Standing::of);
    let mut pieces = vec![(
        format!("{} relay {}", standing.glyph(glyphs), standing.word()),
        standing.role(),
    )];
    pieces.push((format!("   {} op/s", fmt::rate(what.ops_per_s)), Role::Dim));
    if let Some(rtt) = relay.and_then(|row| row.rtt) {
        pieces.push((format!("   rtt {}", fmt::age(rtt)), Role::Dim));
    }
    pieces
}

fn tap(row: &MemberRow, selected: Option<Member>, glyphs: &Glyphs) -> bus::Tap {
    let standing = Standing::of(row);
    let link = LinkStanding::of(row);
    let (lag, lag_role) = lag_text(row, glyphs);
    let link_label = match link {
        LinkStanding::Up => row.rtt.map(fmt::age).unwrap_or_default(),
        _ => link_text(row, glyphs),
    };
    bus::Tap {
        name: row.status.member.to_string(),
        glyph: standing.glyph(glyphs),
        word: standing.word(),
        role: standing.role(),
        link,
        link_label,
        lag: format!("lag {lag}"),
        lag_role,
        selected: selected == Some(row.status.member),
    }
}

/// One line per node, as they are numbered.
fn list(pen: &mut Pen<'_>, nodes: &[&MemberRow], selected: Option<Member>) {
    let glyphs = pen.theme().glyphs;
    for (y, row) in (0..).zip(nodes) {
        let standing = Standing::of(row);
        let link = LinkStanding::of(row);
        if selected == Some(row.status.member) {
            pen.text(0, y, glyphs.select, Role::Strong);
        }
        let name = format!("{} {:<8}", standing.glyph(glyphs), row.status.member);
        pen.text(2, y, &name, standing.role());
        pen.text(14, y, link.glyph(glyphs), link.role());
        pen.text(16, y, &link_text(row, glyphs), link.role());
        let (lag, role) = lag_text(row, glyphs);
        pen.text(34, y, &lag, role);
    }
}
