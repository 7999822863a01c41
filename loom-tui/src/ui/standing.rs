//! How a member and its link stand, in one word: derived from a [`MemberRow`], never stored.

use crate::cluster::{Flow, Life, Link, Member};
use crate::snapshot::{MemberRow, Snapshot};

use super::fmt;
use super::glyphs::Glyphs;
use super::theme::Role;

/// How a member stands. Ordered from healthy to worst, so that trouble can be sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Answering, connected, in step.
    Up,
    /// Answering and connected, but more than [`BEHIND_LAG_MS`] behind: it catches up, or waits
    /// for a node that is cut off.
    Behind,
    /// Started, not yet answering.
    Starting,
    /// Answering, without a fault of ours, and not connected to the relay.
    Offline,
    /// Running and not answering.
    Unknown,
    /// Frozen.
    Suspended,
    /// Its link is cut in at least one direction.
    Cut,
    /// Ended on request.
    Stopped,
    /// Killed, or ended by itself.
    Dead,
}

/// A connected node that is further behind than this is catching up.
const BEHIND_LAG_MS: u128 = 1_000;

impl Standing {
    /// How `row` stands.
    pub fn of(row: &MemberRow) -> Self {
        let link = &row.status.link;
        match row.status.life {
            Life::Dead => Self::Dead,
            Life::Stopped => Self::Stopped,
            Life::Suspended => Self::Suspended,
            Life::Starting => Self::Starting,
            Life::Up if link.up.cut || link.down.cut => Self::Cut,
            Life::Up => match row.connected {
                None => Self::Unknown,
                Some(false) => Self::Offline,
                Some(true) if row.lag.is_some_and(|lag| lag.as_millis() > BEHIND_LAG_MS) => {
                    Self::Behind
                }
                Some(true) => Self::Up,
            },
        }
    }

    /// In at most seven letters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Behind => "behind",
            Self::Starting => "start",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
            Self::Suspended => "susp",
            Self::Cut => "cut",
            Self::Stopped => "stopped",
            Self::Dead => "dead",
        }
    }

    /// Its mark.
    pub fn glyph(self, glyphs: &Glyphs) -> &'static str {
        match self {
            Self::Up => glyphs.up,
            Self::Behind | Self::Starting | Self::Offline => glyphs.busy,
            Self::Unknown => glyphs.unknown,
            Self::Suspended => glyphs.suspended,
            Self::Cut => glyphs.cut,
            Self::Stopped | Self::Dead => glyphs.down,
        }
    }

    /// Its colour.
    pub fn role(self) -> Role {
        match self {
            Self::Up => Role::Text,
            Self::Behind | Self::Starting => Role::Info,
            Self::Offline | Self::Suspended | Self::Stopped => Role::Warn,
            Self::Unknown => Role::Unknown,
            Self::Cut | Self::Dead => Role::Bad,
        }
    }
}

/// What passes over a member's link to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkStanding {
    /// Everything.
    Up,
    /// Everything, later or slower than it should.
    Slow,
    /// Nobody can say: one end is frozen or does not answer.
    Silent,
    /// Nothing: there is no process at this end, or none is connected.
    Absent,
    /// Nothing, in at least one direction.
    Cut,
}

impl LinkStanding {
    /// How `row`'s link stands.
    pub fn of(row: &MemberRow) -> Self {
        let link = &row.status.link;
        if link.up.cut || link.down.cut {
            return Self::Cut;
        }
        match row.status.life {
            Life::Dead | Life::Stopped | Life::Starting => Self::Absent,
            Life::Suspended => Self::Silent,
            Life::Up => match row.connected {
                None => Self::Silent,
                Some(false) => Self::Absent,
                Some(true) if !link.is_clear() => Self::Slow,
                Some(true) => Self::Up,
            },
        }
    }

    /// Its mark, as a vertical line.
    pub fn glyph(self, glyphs: &Glyphs) -> &'static str {
        match self {
            Self::Up => glyphs.link,
            Self::Slow => glyphs.link_slow,
            Self::Silent => glyphs.link_silent,
            Self::Absent => " ",
            Self::Cut => glyphs.cut,
        }
    }

    /// Its colour.
    pub fn role(self) -> Role {
        match self {
            Self::Up => Role::Text,
            Self::Slow => Role::Warn,
            Self::Silent => Role::Unknown,
            Self::Absent => Role::Dim,
            Self::Cut => Role::Bad,
        }
    }
}

/// The link in words: `up`, `catch-up 43%`, `cut 42s`, `cut ↑ 42s`, `+80ms ±10ms`, `silent`, `no link`.
pub fn link_text(row: &MemberRow, glyphs: &Glyphs) -> String {
    let link = &row.status.link;
    let mut text = match LinkStanding::of(row) {
        LinkStanding::Up => {
            let behind = row.catch_up.as_ref();
            return behind.map_or_else(
                || "up".to_owned(),
                |behind| format!("catch-up {}%", behind.percent),
            );
        }
        LinkStanding::Silent => "silent".to_owned(),
        LinkStanding::Absent => return "no link".to_owned(),
        LinkStanding::Slow => return degradation(link, glyphs),
        LinkStanding::Cut => match (link.up.cut, link.down.cut) {
            (true, false) => format!("cut {}", glyphs.outward),
            (false, true) => format!("cut {}", glyphs.inward),
            _ => "cut".to_owned(),
        },
    };
    if let Some(age) = row.fault_since {
        text.push(' ');
        text.push_str(&fmt::since(age));
    }
    text
}

/// What slows a link down, with the direction when only one is slowed: `+80ms ±10ms 50K/s`.
fn degradation(link: &Link, glyphs: &Glyphs) -> String {
    let (flow, side) = if link.up == link.down {
        (link.up, "")
    } else if link.down.is_clear() {
        (link.up, glyphs.outward)
    } else if link.up.is_clear() {
        (link.down, glyphs.inward)
    } else {
        return format!(
            "{} {}{}",
            flow_text(link.up, glyphs),
            glyphs.inward,
            flow_text(link.down, glyphs)
        );
    };
    format!("{side}{}", flow_text(flow, glyphs))
}

fn flow_text(flow: Flow, glyphs: &Glyphs) -> String {
    let mut parts = Vec::new();
    if !flow.latency.is_zero() {
        parts.push(format!("+{}", whole(flow.latency)));
    }
    if !flow.jitter.is_zero() {
        parts.push(format!("{}{}", glyphs.plus_minus, whole(flow.jitter)));
    }
    if let Some(bandwidth) = flow.bandwidth {
        parts.push(format!("{}/s", fmt::bytes(bandwidth)));
    }
    if flow.loss_permille > 0 {
        let percent = f64::from(flow.loss_permille) / 10.0;
        parts.push(format!("{percent}%lost"));
    }
    parts.join(" ")
}

/// Round milliseconds without a fraction: these were typed by a person.
fn whole(duration: std::time::Duration) -> String {
    match duration.as_millis() {
        ms @ 0..10_000 => format!("{ms}ms"),
        _ => fmt::age(duration),
    }
}

/// How many faults are active: links that are not clear, and processes that do not run.
pub fn active_faults(snapshot: &Snapshot) -> usize {
    let faults = snapshot.members.iter().map(|row| {
        let link = usize::from(!row.status.link.is_clear());
        let life = matches!(
            row.status.life,
            Life::Suspended | Life::Stopped | Life::Dead
        );
        link + usize::from(life) + usize::from(row.status.clock_ms != 0)
    });
    faults.sum()
}

/// The node that is furthest behind; among those that are about equally far, the one at fault.
pub fn worst(snapshot: &Snapshot) -> Option<&MemberRow> {
    let nodes = snapshot.members.iter().filter(|row| is_node(row));
    nodes.filter(|row| row.lag.is_some()).max_by_key(|row| {
        let seconds = row.lag.map(|lag| lag.as_secs());
        (seconds, Standing::of(row), row.lag)
    })
}

/// Whether a row is a node's, not the relay's.
pub fn is_node(row: &MemberRow) -> bool {
    row.status.member != Member::Relay
}

/// A member's lag as text and role: `4.2ms`, `42.0s ▲` while it grows, `≥12.0s` when the member
/// cannot be asked.
pub fn lag_text(row: &MemberRow, glyphs: &Glyphs) -> (String, Role) {
    let Some(lag) = row.lag else {
        return if is_node(row) {
            ("?".to_owned(), Role::Unknown)
        } else {
            ("-".to_owned(), Role::Dim)
        };
    };
    let text = fmt::age(lag);
    if row.connected.is_none() {
        return (format!("{}{text}", glyphs.at_least), Role::Unknown);
    }
    let role = match lag.as_millis() {
        0..=BEHIND_LAG_MS => Role::Text,
        1_001..10_000 => Role::Warn,
        _ => Role::Bad,
    };
    if row.lag_growing && role != Role::Text {
        (format!("{text} {}", glyphs.growing), role)
    } else {
        (text, role)
    }
}
