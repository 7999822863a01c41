//! Which panel goes where at which size: [`plan`], and nowhere else. All breakpoints are here.

use ratatui::layout::{Rect, Size};

/// A part of the dashboard that can have the focus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Panel {
    /// The table of members.
    #[default]
    Nodes,
    /// The relay and the links to it.
    Topology,
    /// The latency histogram.
    Latency,
    /// Lag over time.
    Lag,
    /// The catalogue of scenarios.
    Scenarios,
    /// What happened.
    Events,
}

impl Panel {
    /// In the order of their numbers, from 1.
    pub const ALL: [Self; 6] = [
        Self::Nodes,
        Self::Topology,
        Self::Latency,
        Self::Lag,
        Self::Scenarios,
        Self::Events,
    ];

    /// The panel with this number, from 1.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Its number, from 1.
    pub fn number(self) -> usize {
        1 + Self::ALL.iter().take_while(|panel| **panel != self).count()
    }

    /// The panel `by` steps further, round and round.
    pub fn step(self, by: i8) -> Self {
        let count = i16::try_from(Self::ALL.len()).unwrap_or(i16::MAX);
        let here = i16::try_from(self.number()).unwrap_or(1) - 1;
        let there = (here + i16::from(by)).rem_euclid(count);
        Self::ALL[usize::try_from(there).unwrap_or(0)]
    }

    /// What its tab is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodes => "Nodes",
            Self::Topology => "Topology",
            Self::Latency => "Latency",
            Self::Lag => "Lag",
            Self::Scenarios => "Scenarios",
            Self::Events => "Events",
        }
    }
}

/// The shape of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// All six panels with room to spare.
    Xl,
    /// All six panels.
    L,
    /// Members on the left, charts on the right.
    WideShort,
    /// One column.
    TallNarrow,
    /// Tabs; the first shows a digest.
    S,
    /// A table and a few lines, or one panel.
    Xs,
    /// A few lines.
    Xxs,
}

impl Class {
    /// The class of a terminal of this size.
    pub fn of(size: Size) -> Self {
        match (size.width, size.height) {
            (160.., 50..) => Self::Xl,
            (110.., 34..) => Self::L,
            (110.., 16..) => Self::WideShort,
            (50.., 40..) => Self::TallNarrow,
            (80.., 20..) => Self::S,
            (50.., 10..) => Self::Xs,
            _ => Self::Xxs,
        }
    }
}

/// What the person at the terminal wants to see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefs {
    /// The panel with the focus.
    pub focus: Panel,
    /// Whether it is to be shown alone.
    pub zoom: bool,
}

/// Where everything goes. Areas never overlap and never leave the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutPlan {
    /// The shape this is.
    pub class: Class,
    /// The status line or, at [`Class::Xxs`], all there is.
    pub header: Rect,
    /// The tab line, where not all panels are shown at once.
    pub tabs: Option<Rect>,
    /// The panels that are shown.
    pub panels: Vec<(Panel, Rect)>,
    /// Lines for what has no panel now: latency, the running scenario, the newest events.
    pub strip: Option<Rect>,
    /// Key hints.
    pub footer: Option<Rect>,
}

impl LayoutPlan {
    /// Whether `panel` is on the screen.
    pub fn shows(&self, panel: Panel) -> bool {
        self.panels.iter().any(|(shown, _)| *shown == panel)
    }

    /// Whether the selected member can be seen, so that keys may act on it.
    pub fn shows_members(&self) -> bool {
        self.class == Class::Xxs || self.shows(Panel::Nodes) || self.shows(Panel::Topology)
    }

    /// The area between header or tabs and footer.
    pub fn body(&self, size: Size) -> Rect {
        let top = self.tabs.unwrap_or(self.header).bottom();
        let bottom = self.footer.map_or(size.height, |footer| footer.y);
        Rect::new(0, top, size.width, bottom.saturating_sub(top))
    }
}

/// Decides where everything goes.
pub fn plan(size: Size, prefs: Prefs) -> LayoutPlan {
    let screen = Rect::new(0, 0, size.width, size.height);
    let class = Class::of(size);
    let mut plan = LayoutPlan {
        class,
        header: screen,
        tabs: None,
        panels: Vec::new(),
        strip: None,
        footer: None,
    };
    if class == Class::Xxs {
        return plan;
    }
    let (header, rest) = top(screen, 1);
    let (rest, footer) = bottom(rest, 1);
    plan.header = header;
    plan.footer = Some(footer);
    let tabbed = matches!(class, Class::S | Class::Xs);
    let mut body = rest;
    if class == Class::S {
        let (tabs, below) = top(rest, 1);
        plan.tabs = Some(tabs);
        body = below;
    }
    if prefs.zoom || (tabbed && prefs.focus != Panel::Nodes) {
        plan.panels.push((prefs.focus, body));
        return plan;
    }
    match class {
        Class::Xl | Class::L => grid(&mut plan, body),
        Class::WideShort => side_by_side(&mut plan, body, prefs.focus),
        Class::TallNarrow => column(&mut plan, body, prefs.focus),
        Class::S => digest(&mut plan, body),
        Class::Xs => {
            let lines = (body.height / 3).clamp(3, 5);
            let (table, strip) = bottom(body, lines);
            plan.panels.push((Panel::Nodes, table));
            plan.strip = Some(strip);
        }
        Class::Xxs => {}
    }
    plan
}

/// Three rows of two.
fn grid(plan: &mut LayoutPlan, body: Rect) {
    let (first, rest) = top(body, share(body.height, 32).clamp(11, 18));
    let (middle, last) = bottom(rest, share(body.height, 30).clamp(9, 20));
    let rows = [
        (first, Panel::Nodes, Panel::Topology),
        (middle, Panel::Latency, Panel::Lag),
        (last, Panel::Scenarios, Panel::Events),
    ];
    for (row, left, right) in rows {
        let (a, b) = halves(row);
        plan.panels.extend([(left, a), (right, b)]);
    }
}

/// Members and one more panel on the left, the charts on the right, one line below.
fn side_by_side(plan: &mut LayoutPlan, body: Rect, focus: Panel) {
    let (body, strip) = bottom(body, 1);
    plan.strip = Some(strip);
    let (left, right) = halves(body);
    if body.height >= 22 {
        let (upper, lower) = top(left, share(body.height, 52));
        let members = if focus == Panel::Topology {
            focus
        } else {
            Panel::Nodes
        };
        let other = if focus == Panel::Events {
            focus
        } else {
            Panel::Scenarios
        };
        plan.panels.extend([(members, upper), (other, lower)]);
    } else {
        let shown = match focus {
            Panel::Topology | Panel::Scenarios | Panel::Events => focus,
            Panel::Nodes | Panel::Latency | Panel::Lag => Panel::Nodes,
        };
        plan.panels.push((shown, left));
    }
    let (lag, latency) = top(right, share(body.height, 50));
    plan.panels
        .extend([(Panel::Lag, lag), (Panel::Latency, latency)]);
}

/// Everything below each other; the picture of the links takes the table's place on demand.
fn column(plan: &mut LayoutPlan, body: Rect, focus: Panel) {
    let members = if focus == Panel::Topology {
        focus
    } else {
        Panel::Nodes
    };
    let shares = [
        (members, 27),
        (Panel::Lag, 21),
        (Panel::Latency, 21),
        (Panel::Scenarios, 16),
    ];
    let mut rest = body;
    for (panel, percent) in shares {
        let (area, below) = top(rest, share(body.height, percent));
        plan.panels.push((panel, area));
        rest = below;
    }
    plan.panels.push((Panel::Events, rest));
}

/// Members over two small charts over a few lines.
fn digest(plan: &mut LayoutPlan, body: Rect) {
    let (rest, strip) = bottom(body, (body.height / 4).clamp(3, 8));
    let (members, charts) = bottom(rest, body.height / 3);
    let (latency, lag) = halves(charts);
    plan.panels.extend([
        (Panel::Nodes, members),
        (Panel::Latency, latency),
        (Panel::Lag, lag),
    ]);
    plan.strip = Some(strip);
}

fn share(total: u16, percent: u16) -> u16 {
    u16::try_from(u32::from(total) * u32::from(percent) / 100).unwrap_or(total)
}

fn top(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let upper = Rect { height, ..area };
    let lower = Rect {
        y: area.y + height,
        height: area.height - height,
        ..area
    };
    (upper, lower)
}

fn bottom(area: Rect, height: u16) -> (Rect, Rect) {
    top(area, area.height.saturating_sub(height))
}

fn halves(area: Rect) -> (Rect, Rect) {
    let width = area.width / 2;
    let left = Rect { width, ..area };
    let right = Rect {
        x: area.x + width,
        width: area.width - width,
        ..area
    };
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(width: u16, height: u16) -> Class {
        Class::of(Size::new(width, height))
    }

    #[test]
    fn every_boundary_falls_on_the_right_side() {
        for (width, height, expected) in [
            (160, 50, Class::Xl),
            (159, 50, Class::L),
            (160, 49, Class::L),
            (110, 34, Class::L),
            (109, 34, Class::S),
            (110, 33, Class::WideShort),
            (110, 16, Class::WideShort),
            (110, 15, Class::Xs),
            (109, 16, Class::Xs),
            (109, 40, Class::TallNarrow),
            (109, 39, Class::S),
            (50, 40, Class::TallNarrow),
            (49, 40, Class::Xxs),
            (79, 39, Class::Xs),
            (80, 20, Class::S),
            (79, 20, Class::Xs),
            (80, 19, Class::Xs),
            (50, 10, Class::Xs),
            (49, 10, Class::Xxs),
            (50, 9, Class::Xxs),
            (0, 0, Class::Xxs),
            (u16::MAX, u16::MAX, Class::Xl),
        ] {
            assert_eq!(class(width, height), expected, "{width}x{height}");
        }
    }

    #[test]
    fn areas_stay_on_the_screen_and_apart_at_every_size() {
        let sizes = (0..=240).flat_map(|w| (0..=80).map(move |h| Size::new(w, h)));
        for size in sizes {
            for focus in Panel::ALL {
                for zoom in [false, true] {
                    let plan = plan(size, Prefs { focus, zoom });
                    let mut areas = vec![plan.header];
                    areas.extend(plan.tabs);
                    areas.extend(plan.strip);
                    areas.extend(plan.footer);
                    areas.extend(plan.panels.iter().map(|(_, area)| *area));
                    let covered: u32 = areas.iter().map(|area| area.area()).sum();
                    let screen = Rect::new(0, 0, size.width, size.height);
                    assert_eq!(covered, screen.area(), "{size}: all cells used once");
                    for (i, area) in areas.iter().enumerate() {
                        assert_eq!(area.intersection(screen), *area, "{size}");
                        let later = &areas[i + 1..];
                        assert!(
                            later.iter().all(|b| !b.intersects(*area)),
                            "{size} {areas:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_focused_panel_is_always_on_the_screen() {
        for (width, height) in [
            (200, 60),
            (120, 40),
            (120, 20),
            (120, 30),
            (60, 60),
            (80, 24),
            (60, 16),
        ] {
            for focus in Panel::ALL {
                for zoom in [false, true] {
                    let plan = plan(Size::new(width, height), Prefs { focus, zoom });
                    assert!(plan.shows(focus), "{focus:?} at {width}x{height}");
                }
            }
        }
    }

    #[test]
    fn panels_step_round_and_have_numbers() {
        assert_eq!(Panel::Events.step(1), Panel::Nodes);
        assert_eq!(Panel::Nodes.step(-1), Panel::Events);
        for panel in Panel::ALL {
            assert_eq!(
                Panel::numbered(u8::try_from(panel.number()).unwrap()),
                Some(panel)
            );
        }
        assert_eq!(Panel::numbered(0), None);
        assert_eq!(Panel::numbered(7), None);
    }
}
