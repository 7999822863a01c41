//! Named states at named sizes, letters and styles. `INSTA_UPDATE=always` writes them anew; look at
//! them before committing.

use loom_tui::client::wire::CatchUp;
use loom_tui::cluster::Member;
use loom_tui::snapshot::Snapshot;
use loom_tui::ui::app::App;
use loom_tui::ui::key::Key;
use loom_tui::ui::theme::{Background, ColorLevel, Theme};
use loom_tui::ui::update::{Msg, update};

use super::{dump, fixture};

const SIZES: [(u16, u16); 7] = [
    (200, 60),
    (120, 40),
    (120, 28),
    (100, 50),
    (80, 24),
    (60, 16),
    (40, 8),
];

fn color() -> Theme {
    Theme::new(ColorLevel::Ansi16, Background::Dark, false)
}

fn check(name: &str, app: &App, theme: &Theme) {
    let size = app.size;
    let name = format!("{name}_{}x{}", size.width, size.height);
    insta::assert_snapshot!(name, dump::styled(&dump::draw(app, theme)));
}

fn at_all_sizes(name: &str, snapshot: fn() -> Snapshot) {
    for (width, height) in SIZES {
        check(name, &fixture::app(snapshot(), width, height), &color());
    }
}

fn press(app: &mut App, keys: &[Key]) {
    for key in keys {
        update(app, Msg::Key(*key));
    }
}

#[test]
fn starting() {
    at_all_sizes("starting", fixture::starting);
}

#[test]
fn healthy() {
    at_all_sizes("healthy", fixture::healthy);
}

#[test]
fn a_node_that_catches_up_says_how_far_it_is_and_a_wrong_clock_is_shown() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let mut snapshot = fixture::healthy();
        snapshot.members[1].catch_up = Some(CatchUp {
            phase: "moving".to_owned(),
            percent: 43,
            items_in: 1_234,
            items_out: 5,
        });
        snapshot.members[1].status.clock_ms = -300_000;
        let app = fixture::app(snapshot, width, height);
        let shown = dump::letters(&dump::draw(&app, &color()));
        for words in ["catch-up 43%", "catching up: 43%", "clock 300s behind"] {
            assert!(
                shown.contains(words),
                "{words} at {width}x{height}:\n{shown}"
            );
        }
    }
}

#[test]
fn broken() {
    at_all_sizes("broken", fixture::broken);
}

#[test]
fn scenario_running() {
    at_all_sizes("scenario", fixture::scenario);
}

#[test]
fn failed() {
    at_all_sizes("failed", fixture::failed);
}

#[test]
fn without_colour_and_in_ascii() {
    let mono = Theme::new(ColorLevel::None, Background::Dark, false);
    let ascii = Theme::new(ColorLevel::None, Background::Dark, true);
    for (width, height) in [(120, 40), (80, 24)] {
        let app = fixture::app(fixture::broken(), width, height);
        check("broken_mono", &app, &mono);
        let frame = dump::draw(&app, &ascii);
        assert!(dump::letters(&frame).is_ascii());
        check("broken_ascii", &app, &ascii);
    }
}

#[test]
fn each_tab_of_a_small_terminal() {
    for (key, name) in [
        ('2', "topology"),
        ('3', "latency"),
        ('4', "lag"),
        ('5', "scenarios"),
        ('6', "events"),
    ] {
        let mut app = fixture::app(fixture::broken(), 80, 24);
        press(&mut app, &[Key::Char(key)]);
        check(&format!("tab_{name}"), &app, &color());
    }
}

#[test]
fn overlays() {
    use Key::Char;
    let overlays: [(&str, &[Key]); 5] = [
        ("help", &[Char('?')]),
        ("kill", &[Char('X')]),
        ("degrade", &[Char('d'), Char('8'), Char('0'), Key::Tab]),
        ("command", &[Char(':'), Char('s')]),
        ("filter", &[Char('/'), Char('n'), Char('o')]),
    ];
    for (name, keys) in overlays {
        let mut app = fixture::app(fixture::broken(), 80, 24);
        press(&mut app, &[Key::Up]);
        press(&mut app, &[Key::Down, Key::Down]);
        press(&mut app, keys);
        check(&format!("overlay_{name}"), &app, &color());
    }
    let mut app = fixture::app(fixture::broken(), 40, 8);
    press(&mut app, &[Char('X')]);
    check("overlay_kill", &app, &color());
}

#[test]
fn a_members_log() {
    use Key::Char;
    let views: [(&str, &[Key]); 3] = [
        ("follow", &[]),
        ("held", &[Key::Up, Key::Right]),
        ("filter", &[Char('/'), Char('w'), Char('a'), Char('r')]),
    ];
    for (name, keys) in views {
        for (width, height) in [(120, 40), (80, 24), (40, 8)] {
            let mut snapshot = fixture::broken();
            snapshot.log = Some(fixture::member_log(12));
            let mut app = fixture::app(snapshot, width, height);
            app.member = Some(Member::Node(2));
            press(&mut app, &[Char('L')]);
            press(&mut app, keys);
            check(&format!("log_{name}"), &app, &color());
        }
    }
}
