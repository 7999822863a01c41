//! The picture: [`render`]. Pure: it reads the app and writes cells, and changes nothing.
//!
//! One file per panel; each draws `(buffer, area, what, theme)` and copes with any area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::snapshot::Phase;

use super::app::{App, running};
use super::overlay::Overlay;
use super::plan::{Class, LayoutPlan, Panel, Prefs, plan};
use super::theme::Theme;

mod command;
mod dialog;
mod events;
mod footer;
mod header;
mod help;
mod lag;
mod latency;
mod log;
mod nodes;
mod panel;
mod scenarios;
mod start;
mod strip;
mod tabs;
mod tiny;
mod topology;

/// Draws everything into the whole buffer.
pub fn render(buffer: &mut Buffer, app: &App, theme: &Theme) {
    let screen = buffer.area;
    let prefs = Prefs {
        focus: app.focus,
        zoom: app.zoom,
    };
    let plan = plan(screen.as_size(), prefs);
    if plan.class == Class::Xxs {
        tiny::render(buffer, screen, app, theme);
    } else {
        header::render(buffer, plan.header, app, theme);
        let body = plan.body(screen.as_size());
        match &app.newest.phase {
            Phase::Ready => panels(buffer, &plan, app, theme),
            Phase::Starting(_) | Phase::Unknown | Phase::Failed(_) => {
                let whole = plan.tabs.map_or(body, |tabs| tabs.union(body));
                start::render(buffer, whole, app, theme);
            }
        }
        if let Some(footer) = plan.footer {
            footer::render(buffer, footer, app, theme);
        }
    }
    match &app.overlay {
        Some(Overlay::Help(line)) => help::render(buffer, screen, *line, theme),
        Some(Overlay::Confirm(confirm)) => dialog::confirm(buffer, screen, confirm, theme),
        Some(Overlay::Degrade(form)) => dialog::degrade(buffer, screen, form, theme),
        Some(Overlay::Command(line)) => command::render(buffer, screen, line, &app.newest, theme),
        Some(Overlay::Log(reader)) => log::render(buffer, screen, reader, app, theme),
        Some(Overlay::Filter(_)) | None => {}
    }
}

fn panels(buffer: &mut Buffer, plan: &LayoutPlan, app: &App, theme: &Theme) {
    let snapshot = app.shown();
    if let Some(area) = plan.tabs {
        tabs::render(buffer, area, app.focus, running(snapshot).is_some(), theme);
    }
    // The frames cost a third of so small a screen.
    let framed = plan.class != Class::Xs;
    for (shown, area) in &plan.panels {
        let chrome = panel::Chrome {
            panel: *shown,
            focused: *shown == app.focus,
            framed,
        };
        one_panel(buffer, *area, &chrome, app, theme);
    }
    if let Some(area) = plan.strip {
        let shows = |panel| plan.shows(panel);
        let what = strip::Strip {
            snapshot,
            latency: !shows(Panel::Latency),
            events: !shows(Panel::Events),
            framed: plan.class == Class::S && area.height >= 4,
        };
        strip::render(buffer, area, &what, theme);
    }
}

fn one_panel(buffer: &mut Buffer, area: Rect, chrome: &panel::Chrome, app: &App, theme: &Theme) {
    let snapshot = app.shown();
    match chrome.panel {
        Panel::Nodes => {
            let what = nodes::Nodes {
                members: &snapshot.members,
                selected: app.member,
            };
            nodes::render(buffer, area, chrome, &what, theme);
        }
        Panel::Topology => {
            let what = topology::Topology {
                members: &snapshot.members,
                ops_per_s: snapshot.ops_per_s,
                selected: app.member,
            };
            topology::render(buffer, area, chrome, &what, theme);
        }
        Panel::Latency => latency::render(buffer, area, chrome, &snapshot.latency, theme),
        Panel::Lag => lag::render(buffer, area, chrome, snapshot, theme),
        Panel::Scenarios => {
            let what = scenarios::Scenarios {
                rows: &snapshot.scenarios,
                now: snapshot.at,
                selected: app.scenario.as_deref(),
            };
            scenarios::render(buffer, area, chrome, &what, theme);
        }
        Panel::Events => {
            let typing = match &app.overlay {
                Some(Overlay::Filter(line)) => Some(line.text.as_str()),
                _ => None,
            };
            let what = events::Events {
                snapshot,
                filter: &app.filter,
                typing,
                below: app.events_below,
            };
            events::render(buffer, area, chrome, &what, theme);
        }
    }
}
