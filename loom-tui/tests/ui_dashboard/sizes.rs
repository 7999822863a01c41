//! No size and no data makes the dashboard panic or spill.

use loom_tui::cluster::Member;
use loom_tui::ui::key::Key;
use loom_tui::ui::overlay::Overlay;
use loom_tui::ui::plan::Panel;
use loom_tui::ui::theme::{Background, ColorLevel, Theme};
use loom_tui::ui::update::{Msg, update};
use ratatui::layout::Size;

use super::{dump, fixture};

/// Every size near a breakpoint and many between.
fn sizes() -> impl Iterator<Item = Size> {
    let widths = (0..=220u16).filter(|w| w % 13 == 0 || *w < 8 || near(*w, &[50, 80, 110, 160]));
    widths.flat_map(|width| {
        let heights =
            (0..=70u16).filter(|h| h % 9 == 0 || *h < 8 || near(*h, &[10, 16, 20, 34, 40, 50]));
        heights.map(move |height| Size::new(width, height))
    })
}

fn near(n: u16, breakpoints: &[u16]) -> bool {
    breakpoints.iter().any(|at| at.abs_diff(n) <= 1)
}

#[test]
fn nothing_panics_at_any_size() {
    let unicode = Theme::new(ColorLevel::True, Background::Dark, false);
    let ascii = Theme::new(ColorLevel::None, Background::Light, true);
    for (i, snapshot) in fixture::hostile().into_iter().enumerate() {
        let mut app = fixture::app(snapshot, 80, 24);
        for (j, size) in sizes().enumerate() {
            app.size = size;
            app.focus = Panel::ALL[j % 6];
            app.zoom = j % 4 == 0;
            app.events_below = j % 50;
            let theme = if (i + j) % 3 == 0 { &ascii } else { &unicode };
            dump::draw(&app, theme);
        }
    }
}

#[test]
fn overlays_do_not_panic_at_any_size() {
    let theme = Theme::new(ColorLevel::Ansi16, Background::Dark, false);
    let opened = [
        vec![Key::Char('?'), Key::PageDown],
        vec![Key::Char('X')],
        vec![Key::Char('d'), Key::Char('8')],
        vec![Key::Char(':'), Key::Char('c')],
        vec![Key::Char('/'), Key::Char('n')],
        vec![Key::Char('L'), Key::Up, Key::Right],
        vec![Key::Char('L'), Key::Char('/'), Key::Char('n')],
    ];
    for keys in opened {
        let mut snapshot = fixture::broken();
        snapshot.log = Some(fixture::member_log(25));
        let mut app = fixture::app(snapshot, 120, 40);
        app.member = Some(Member::Node(2));
        for key in keys {
            update(&mut app, Msg::Key(key));
        }
        assert!(app.overlay.is_some());
        for size in sizes() {
            app.size = size;
            dump::draw(&app, &theme);
        }
        if let Some(Overlay::Help(line)) = &mut app.overlay {
            *line = usize::MAX;
            dump::draw(&app, &theme);
        }
    }
}

#[test]
fn control_characters_from_outside_never_reach_the_terminal() {
    let theme = Theme::new(ColorLevel::True, Background::Dark, false);
    for snapshot in fixture::hostile() {
        for focus in Panel::ALL {
            let mut app = fixture::app(snapshot.clone(), 200, 60);
            app.focus = focus;
            if focus == Panel::Nodes {
                app.member = Some(Member::Node(2));
                update(&mut app, Msg::Key(Key::Char('L')));
            }
            let buffer = dump::draw(&app, &theme);
            for cell in buffer.content() {
                let clean = !cell.symbol().chars().any(char::is_control);
                assert!(clean, "{:?}", cell.symbol());
            }
        }
    }
}
