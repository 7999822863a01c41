//! The table of members and, below it, more about the selected one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cluster::{Member, clock_text};
use crate::snapshot::MemberRow;
use crate::ui::fmt;
use crate::ui::glyphs::Glyphs;
use crate::ui::pen::{Pen, Pieces, fit, fit_middle, pad, pieces_width, width};
use crate::ui::standing::{LinkStanding, Standing, is_node, lag_text, link_text};
use crate::ui::theme::{Role, Theme};
use crate::ui::widgets::spark;

use super::panel::{self, Chrome};

/// What the panel shows.
pub(super) struct Nodes<'a> {
    pub(super) members: &'a [MemberRow],
    pub(super) selected: Option<Member>,
}

/// Draws the panel.
pub(super) fn render(
    buffer: &mut Buffer,
    area: Rect,
    chrome: &Chrome,
    what: &Nodes<'_>,
    theme: &Theme,
) {
    let well = what
        .members
        .iter()
        .filter(|row| Standing::of(row) == Standing::Up);
    let note = match what.members.len() {
        0 => String::new(),
        all => format!("{} of {all} up", well.count()),
    };
    let mut pen = panel::open(buffer, area, chrome, &note, theme);
    if what.members.is_empty() {
        pen.text(0, 0, "no members yet", Role::Dim);
        return;
    }
    let columns = columns(pen.width());
    let order = order(
        what.members,
        usize::from(pen.height().saturating_sub(1)),
        what.selected,
    );
    head(&mut pen, &columns);
    for (y, row) in (1..).zip(&order) {
        let selected = what.selected == Some(row.status.member);
        line(
            &mut pen,
            y,
            row,
            &columns,
            selected && chrome.focused,
            selected,
        );
    }
    let used = u16::try_from(order.len())
        .unwrap_or(u16::MAX)
        .saturating_add(1);
    let hidden = what.members.len() - order.len();
    if hidden > 0 {
        let more = format!("{hidden} more");
        let (end, last) = (pen.width(), pen.height().saturating_sub(1));
        pen.text_before(end, last, &more, Role::Dim);
    }
    let chosen = order
        .iter()
        .find(|row| Some(row.status.member) == what.selected);
    if let Some(row) = chosen {
        inspector(&mut pen, used, row);
    }
}

/// By id while all fit: rows that hold still are easier to hit. Otherwise trouble first, and the
/// selected row always.
fn order(members: &[MemberRow], lines: usize, selected: Option<Member>) -> Vec<&MemberRow> {
    let mut rows: Vec<&MemberRow> = members.iter().collect();
    if rows.len() > lines {
        rows.sort_by_key(|row| {
            let first = Some(row.status.member) == selected;
            (
                !first,
                std::cmp::Reverse(Standing::of(row)),
                row.status.member,
            )
        });
        rows.truncate(lines);
        rows.sort_by_key(|row| (std::cmp::Reverse(Standing::of(row)), row.status.member));
    }
    rows
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    State,
    Lag,
    Behind,
    P99,
    Rtt,
    Records,
    Cpu,
    Memory,
    Starts,
    Link,
    Spark,
}

use Column::{Behind, Cpu, Lag, Link, Memory, Name, P99, Records, Rtt, Spark, Starts, State};

/// The order in which columns are given room.
const BY_NEED: [Column; 12] = [
    Name, State, Lag, Behind, P99, Spark, Link, Cpu, Memory, Rtt, Records, Starts,
];
/// The order in which they are drawn.
const BY_PLACE: [Column; 12] = [
    Name, State, Lag, Behind, P99, Rtt, Records, Cpu, Memory, Starts, Link, Spark,
];
/// The mark of the selected line and a space.
const MARK: u16 = 2;
/// One cell a second, and a minute is kept.
const SPARK_MAX: u16 = 60;
/// Cells that are left to it before less important columns are shown.
const SPARK_GOOD: u16 = 16;

impl Column {
    fn title(self) -> &'static str {
        match self {
            Name => "NAME",
            State => "STATE",
            Lag => "LAG",
            Behind => "BEHIND",
            P99 => "P99",
            Rtt => "RTT",
            Records => "RECORDS",
            Cpu => "CPU",
            Memory => "MEM",
            Starts => "RUN",
            Link => "LINK",
            Spark => "LAST 60s",
        }
    }

    fn cells(self) -> u16 {
        match self {
            Name => 7,
            State => 9,
            Lag => 9,
            Behind => 6,
            P99 | Rtt => 6,
            Records => 7,
            Cpu | Memory => 5,
            Starts => 3,
            Link => 14,
            Spark => 8,
        }
    }

    /// Before it. Numbers are flush right, so that most of them bring space of their own.
    fn gap(self) -> u16 {
        match self {
            Name => 0,
            Link | Spark => 2,
            _ => 1,
        }
    }

    fn is_number(self) -> bool {
        !matches!(self, Name | State | Link | Spark)
    }
}

/// The columns that fit, from left to right, with their widths.
fn columns(room: u16) -> Vec<(Column, u16)> {
    let mut chosen = Vec::new();
    let mut used = MARK;
    for column in BY_NEED {
        let with = used.saturating_add(column.gap() + column.cells());
        // A longer look back is worth more than these.
        let spare = match column {
            Rtt | Records | Starts => SPARK_GOOD,
            _ => 0,
        };
        if with.saturating_add(spare) <= room {
            chosen.push(column);
            used = with;
        }
    }
    let spare = room.saturating_sub(used);
    let placed = BY_PLACE
        .into_iter()
        .filter(|column| chosen.contains(column));
    placed
        .map(|column| match column {
            Spark => (column, column.cells().saturating_add(spare).min(SPARK_MAX)),
            _ => (column, column.cells()),
        })
        .collect()
}

fn head(pen: &mut Pen<'_>, columns: &[(Column, u16)]) {
    let mut x = MARK;
    for (column, cells) in columns {
        x = x.saturating_add(column.gap());
        let title = column.title();
        if column.is_number() {
            // Numbers of the lag column leave two cells for the mark of growth.
            let end = x + if *column == Lag { cells - 2 } else { *cells };
            pen.text_before(end, 0, title, Role::Dim);
        } else {
            pen.text(x, 0, &fit(title, *cells, ""), Role::Dim);
        }
        x = x.saturating_add(*cells);
    }
}

fn line(
    pen: &mut Pen<'_>,
    y: u16,
    row: &MemberRow,
    columns: &[(Column, u16)],
    active: bool,
    selected: bool,
) {
    let glyphs = pen.theme().glyphs;
    if selected {
        pen.text(0, y, glyphs.select, Role::Strong);
    }
    let mut x = MARK;
    for (column, cells) in columns {
        x = x.saturating_add(column.gap());
        match column {
            Spark => spark::draw(pen, x, y, *cells, &row.spark),
            Name => {
                let name = fit_middle(&row.status.member.to_string(), *cells, glyphs.ellipsis);
                let role = if active { Role::Selected } else { Role::Text };
                let name = if active { pad(&name, *cells) } else { name };
                pen.text(x, y, &name, role);
            }
            Lag => {
                let (text, role) = lag_text(row, glyphs);
                let (number, growth) = text.split_once(' ').unwrap_or((&text, ""));
                pen.text_before(x + cells - 2, y, number, role);
                pen.text(x + cells - 1, y, growth, role);
            }
            _ => {
                let (text, role) = cell(*column, row, glyphs);
                let text = fit(&text, *cells, glyphs.ellipsis);
                if column.is_number() {
                    pen.text_before(x + cells, y, &text, role);
                } else {
                    pen.text(x, y, &text, role);
                }
            }
        }
        x = x.saturating_add(*cells);
    }
}

fn cell(column: Column, row: &MemberRow, glyphs: &Glyphs) -> (String, Role) {
    let node = is_node(row);
    let known = |text: Option<String>| match text {
        Some(text) => (text, Role::Text),
        None => ("-".to_owned(), Role::Dim),
    };
    match column {
        State => {
            let standing = Standing::of(row);
            let text = format!("{} {}", standing.glyph(glyphs), standing.word());
            (text, standing.role())
        }
        Link if !node => known(None),
        Link => (link_text(row, glyphs), LinkStanding::of(row).role()),
        Behind if !node => known(None),
        Behind => (fmt::count(row.behind), Role::Text),
        P99 => known(row.p99.map(fmt::age)),
        Rtt => known(row.rtt.map(fmt::age)),
        Records => known(row.records.map(fmt::count)),
        Cpu => known(row.status.usage.cpu.map(|percent| format!("{percent}%"))),
        Memory => known(row.status.usage.memory.map(fmt::bytes)),
        Starts => known(Some(row.status.generation.to_string())),
        Name | Lag | Spark => (String::new(), Role::Text),
    }
}

/// Up to three lines about the selected member, at the bottom of the panel.
fn inspector(pen: &mut Pen<'_>, used: u16, row: &MemberRow) {
    let glyphs = pen.theme().glyphs;
    let status = &row.status;
    let mut facts = Vec::new();
    if is_node(row) {
        facts.push((
            format!("link {}", link_text(row, glyphs)),
            LinkStanding::of(row).role(),
        ));
    }
    if let Some(behind) = &row.catch_up {
        let (came, went) = (fmt::count(behind.items_in), fmt::count(behind.items_out));
        let what = format!("catching up: {}%, {came} in, {went} out", behind.percent);
        facts.push((what, Role::Warn));
    }
    if status.clock_ms != 0 {
        let clock = clock_text(status.clock_ms);
        facts.push((format!("clock {clock}"), Role::Warn));
    }
    if let Some(pid) = status.pid {
        facts.push((format!("pid {pid}"), Role::Dim));
    }
    facts.push((format!("started {}x", status.generation), Role::Dim));
    if let Some(rtt) = row.rtt {
        facts.push((format!("rtt {}", fmt::age(rtt)), Role::Dim));
    }
    if let Some(records) = row.records {
        facts.push((format!("{} records", fmt::count(records)), Role::Dim));
    }
    if let Some(memory) = status.usage.memory {
        facts.push((fmt::bytes(memory), Role::Dim));
    }
    facts.push((status.url.clone(), Role::Dim));
    if let Some(exit) = &status.last_exit {
        facts.push((format!("last exit: {exit}"), Role::Warn));
    }
    let free = pen.height().saturating_sub(used);
    let name = status.member.to_string();
    let indent = width(&name).saturating_add(2);
    let lines = wrap(facts, pen.width().saturating_sub(indent));
    let shown = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .min(free.min(4));
    let top = pen.height().saturating_sub(shown);
    if shown > 0 {
        pen.text(0, top, &name, Role::Strong);
    }
    for (y, line) in (top..pen.height()).zip(&lines) {
        pen.pieces(indent, y, line);
    }
}

/// Puts facts into lines of at most `room` cells.
fn wrap(facts: Pieces, room: u16) -> Vec<Pieces> {
    let mut lines: Vec<Pieces> = vec![Vec::new()];
    for (text, role) in facts {
        let line = lines.last_mut().expect("there is always a line");
        let gap = if line.is_empty() { 0 } else { 3 };
        if pieces_width(line)
            .saturating_add(gap)
            .saturating_add(width(&text))
            <= room
        {
            if gap > 0 {
                line.push(("   ".to_owned(), Role::Text));
            }
            line.push((text, role));
        } else if line.is_empty() {
            line.push((text, role));
        } else {
            lines.push(vec![(text, role)]);
        }
    }
    lines
}
