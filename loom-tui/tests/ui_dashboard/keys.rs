//! What keys ask for. Every test is a script of messages and the commands that come out.

use std::sync::Arc;

use loom_tui::cluster::{Life, Link, Member};
use loom_tui::snapshot::{Request, Snapshot};
use loom_tui::ui::app::App;
use loom_tui::ui::key::Key::{self, Char, Ctrl};
use loom_tui::ui::overlay::Overlay;
use loom_tui::ui::plan::Panel;
use loom_tui::ui::update::{Cmd, Msg, Urgency, update};

use super::fixture::{self, ms};

const NODE_1: Member = Member::Node(1);
const NODE_2: Member = Member::Node(2);

/// Presses keys and returns the requests they led to.
fn press(app: &mut App, keys: &[Key]) -> Vec<Request> {
    let requests = keys.iter().flat_map(|key| update(app, Msg::Key(*key)));
    requests
        .filter_map(|cmd| match cmd {
            Cmd::Request(request) => Some(request),
            _ => None,
        })
        .collect()
}

fn type_line(app: &mut App, text: &str) -> Vec<Request> {
    let mut keys: Vec<Key> = text.chars().map(Char).collect();
    keys.push(Key::Enter);
    press(app, &keys)
}

fn healthy() -> App {
    fixture::app(fixture::healthy(), 120, 40)
}

fn show(app: &mut App, change: impl FnOnce(&mut Snapshot)) {
    let mut snapshot = (*app.newest).clone();
    snapshot.at += ms(250);
    change(&mut snapshot);
    update(app, Msg::Snapshot(Arc::new(snapshot)));
}

fn notice(app: &App) -> &str {
    app.notice.as_ref().map_or("", |notice| &notice.text)
}

#[test]
fn p_cuts_and_heals_the_selected_node_even_before_the_data_shows_it() {
    let mut app = healthy();
    assert_eq!(app.member, Some(NODE_1));
    let twice = press(&mut app, &[Char('p'), Char('p')]);
    assert_eq!(twice, [Request::Cut(NODE_1), Request::HealLink(NODE_1)]);
    show(&mut app, |snapshot| {
        snapshot.members[2].status.link = Link::cut();
    });
    let moved = press(&mut app, &[Key::Down, Char('p')]);
    assert_eq!(moved, [Request::HealLink(NODE_2)]);
}

#[test]
fn an_intent_that_never_came_true_is_forgotten() {
    let mut app = healthy();
    assert_eq!(press(&mut app, &[Char('p')]), [Request::Cut(NODE_1)]);
    show(&mut app, |snapshot| snapshot.at += ms(5_000));
    assert_eq!(press(&mut app, &[Char('p')]), [Request::Cut(NODE_1)]);
}

#[test]
fn s_suspends_and_resumes_and_names_a_dead_member() {
    let mut app = healthy();
    let twice = press(&mut app, &[Char('s'), Char('s')]);
    assert_eq!(twice, [Request::Suspend(NODE_1), Request::Resume(NODE_1)]);
    show(&mut app, |snapshot| {
        snapshot.members[1].status.life = Life::Dead;
    });
    assert_eq!(press(&mut app, &[Char('s')]), []);
    assert_eq!(notice(&app), "node-1 is not running: R starts it");
    assert_eq!(press(&mut app, &[Char('R')]), [Request::Restart(NODE_1)]);
}

#[test]
fn kill_asks_and_the_safe_answer_has_the_focus() {
    let mut app = healthy();
    for safe in [Key::Enter, Key::Esc, Char('n')] {
        assert_eq!(press(&mut app, &[Char('X'), safe]), [], "{safe}");
        assert_eq!(app.overlay, None);
    }
    // Any other key neither kills nor closes, and is not taken as a fault key.
    assert_eq!(press(&mut app, &[Char('X'), Char('p'), Char('X')]), []);
    assert!(app.overlay.is_some());
    assert_eq!(
        press(&mut app, &[Key::Tab, Key::Enter]),
        [Request::Kill(NODE_1)]
    );
    let by_letter = press(&mut app, &[Char('X'), Char('y')]);
    assert_eq!(by_letter, [Request::Kill(NODE_1)]);
}

#[test]
fn undo_takes_faults_back_newest_first() {
    let mut app = healthy();
    press(&mut app, &[Char('p'), Key::Down, Char('s')]);
    assert_eq!(press(&mut app, &[Char('u')]), [Request::Resume(NODE_2)]);
    assert_eq!(press(&mut app, &[Char('u')]), [Request::HealLink(NODE_1)]);
    assert_eq!(press(&mut app, &[Char('u')]), []);
    assert_eq!(notice(&app), "nothing to undo");
}

#[test]
fn undoing_a_heal_restores_the_link_that_was_there() {
    let mut app = fixture::app(fixture::scenario(), 120, 40);
    let slow = app.newest.members[1].status.link;
    assert_eq!(press(&mut app, &[Char('p')]), [Request::Cut(NODE_1)]);
    assert_eq!(
        press(&mut app, &[Char('u')]),
        [Request::SetLink(NODE_1, slow)]
    );
}

#[test]
fn heal_all_is_never_asked_about_and_cannot_be_undone() {
    let mut app = healthy();
    press(&mut app, &[Char('p')]);
    assert_eq!(press(&mut app, &[Char('H'), Char('u')]), [Request::HealAll]);
}

#[test]
fn the_relay_has_no_link_to_cut() {
    let mut app = healthy();
    assert_eq!(press(&mut app, &[Key::Home, Char('p'), Char('d')]), []);
    assert_eq!(
        notice(&app),
        "the relay has no link of its own: select a node"
    );
    assert_eq!(
        press(&mut app, &[Char('s')]),
        [Request::Suspend(Member::Relay)]
    );
}

#[test]
fn the_selection_follows_the_member_and_not_the_row() {
    let mut app = healthy();
    press(&mut app, &[Key::Down]);
    show(&mut app, |snapshot| snapshot.members.swap(1, 2));
    assert_eq!(app.member, Some(NODE_2));
    show(&mut app, |snapshot| {
        snapshot.members.retain(|row| row.status.member != NODE_2);
    });
    assert!(app.member.is_some_and(|member| member != NODE_2));
}

#[test]
fn fault_keys_do_nothing_while_no_member_can_be_seen() {
    let mut app = fixture::app(fixture::healthy(), 80, 24);
    assert_eq!(press(&mut app, &[Char('5'), Char('p'), Char('X')]), []);
    assert_eq!(app.overlay, None);
    assert_eq!(
        press(&mut app, &[Char('1'), Char('p')]),
        [Request::Cut(NODE_1)]
    );
}

#[test]
fn typing_never_triggers_keys() {
    let mut app = healthy();
    assert_eq!(
        press(&mut app, &[Char('/'), Char('p'), Char('X'), Char('q')]),
        []
    );
    assert_eq!(app.filter, "pXq");
    press(&mut app, &[Key::Enter]);
    assert_eq!(update(&mut app, Msg::Paste("pspsX".to_owned())), []);
}

#[test]
fn esc_only_goes_back_one_step_and_never_quits() {
    let mut app = fixture::app(fixture::healthy(), 80, 24);
    press(&mut app, &[Char('6'), Char('z'), Char('F')]);
    app.filter = "up".to_owned();
    for _ in 0..10 {
        let cmds = update(&mut app, Msg::Key(Key::Esc));
        assert!(!cmds.contains(&Cmd::Quit));
    }
    assert_eq!(app.focus, Panel::Nodes);
    assert!(!app.zoom && app.filter.is_empty() && app.frozen.is_none());
}

#[test]
fn q_asks_only_while_a_scenario_runs_and_ctrl_c_never_asks() {
    let mut app = healthy();
    assert!(update(&mut app, Msg::Key(Char('q'))).contains(&Cmd::Quit));
    let mut app = fixture::app(fixture::scenario(), 120, 40);
    assert!(!update(&mut app, Msg::Key(Char('q'))).contains(&Cmd::Quit));
    assert!(matches!(app.overlay, Some(Overlay::Confirm(_))));
    assert!(update(&mut app, Msg::Key(Ctrl('c'))).contains(&Cmd::Quit));
}

#[test]
fn scenarios_run_by_name_and_not_twice() {
    let mut app = healthy();
    let first = press(&mut app, &[Char('5'), Key::Down, Key::Enter]);
    assert_eq!(first, [Request::Run("concurrent-updates".to_owned())]);
    assert_eq!(press(&mut app, &[Char('a')]).len(), 8);
    let mut app = fixture::app(fixture::scenario(), 120, 40);
    press(&mut app, &[Char('5')]);
    assert_eq!(press(&mut app, &[Char('a')]).len(), 5);
    app.scenario = Some("partition".to_owned());
    assert_eq!(press(&mut app, &[Key::Enter]), []);
    assert_eq!(notice(&app), "partition is already running or queued");
    assert_eq!(press(&mut app, &[Char('c')]), [Request::CancelRun]);
}

#[test]
fn the_form_degrades_and_an_empty_one_heals() {
    let mut app = healthy();
    let keys = [
        Char('d'),
        Char('8'),
        Char('0'),
        Key::Tab,
        Char('9'),
        Key::Enter,
    ];
    let requests = press(&mut app, &keys);
    let [Request::SetLink(NODE_1, link)] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    assert_eq!((link.up.latency, link.up.jitter), (ms(80), ms(9)));
    assert_eq!(
        press(&mut app, &[Char('d'), Key::Enter]),
        [Request::HealLink(NODE_1)]
    );
}

#[test]
fn typed_commands_ask_for_the_same_things() {
    let mut app = healthy();
    let slow = Request::SetLink(
        NODE_1,
        Link {
            up: loom_tui::cluster::Flow {
                latency: ms(80),
                bandwidth: Some(64 * 1024),
                ..Default::default()
            },
            down: loom_tui::cluster::Flow {
                latency: ms(80),
                bandwidth: Some(64 * 1024),
                ..Default::default()
            },
        },
    );
    for (text, request) in [
        (":cut 2", Request::Cut(NODE_2)),
        (":heal n2", Request::HealLink(NODE_2)),
        (":heal", Request::HealAll),
        (":kill relay", Request::Kill(Member::Relay)),
        (":stop 2", Request::Stop(NODE_2)),
        (":degrade 1 80 0 64", slow),
        (":run partition", Request::Run("partition".to_owned())),
    ] {
        assert_eq!(type_line(&mut app, text), [request], "{text}");
    }
    for (text, error) in [
        (":cut", "usage: cut NODE"),
        (
            ":cut relay",
            "the relay has no link of its own: name a node",
        ),
        (":cut 9", "this cluster has no node-9"),
        (":run nothing", "no scenario \"nothing\" in the list"),
        (
            ":degrade 1 fast",
            "\"fast\" is no number; usage: degrade NODE MS [JITTER_MS [KIB_PER_S [LOSS_OF_1000]]]",
        ),
    ] {
        assert_eq!(type_line(&mut app, text), [], "{text}");
        let Some(Overlay::Command(line)) = &app.overlay else {
            panic!("{text}: the line stays open");
        };
        assert_eq!(line.error.as_deref(), Some(error));
        press(&mut app, &[Key::Esc]);
    }
    press(&mut app, &[Char(':'), Char('s'), Char('u'), Key::Tab]);
    let Some(Overlay::Command(line)) = &app.overlay else {
        panic!("completing keeps the line open");
    };
    assert_eq!(line.text, "suspend ");
}

#[test]
fn freezing_holds_the_view_while_data_goes_on() {
    let mut app = healthy();
    press(&mut app, &[Char('F')]);
    show(&mut app, |snapshot| snapshot.ops_per_s = 7.0);
    assert_ne!(app.shown().ops_per_s, 7.0);
    assert_eq!(app.newest.ops_per_s, 7.0);
    press(&mut app, &[Char('F')]);
    assert_eq!(app.shown().ops_per_s, 7.0);
}

#[test]
fn a_scrolled_log_stays_in_place_and_follows_again_at_the_end() {
    let mut app = fixture::app(fixture::broken(), 120, 40);
    press(&mut app, &[Char('6'), Key::Up, Key::Up]);
    assert_eq!(app.events_below, 2);
    show(&mut app, |snapshot| {
        let mut line = snapshot.events[0].clone();
        line.at = snapshot.at;
        snapshot.events.push_back(line);
    });
    assert_eq!(app.events_below, 3);
    press(&mut app, &[Char('G')]);
    assert_eq!(app.events_below, 0);
}

#[test]
fn a_refused_request_is_told() {
    let mut app = healthy();
    update(
        &mut app,
        Msg::Refused(Request::Cut(NODE_2), "the engine is busy, try again"),
    );
    assert_eq!(
        notice(&app),
        "not done: cut node-2: the engine is busy, try again"
    );
}

#[test]
fn r_retries_only_after_a_failed_start() {
    let mut app = fixture::app(fixture::failed(), 120, 40);
    assert_eq!(press(&mut app, &[Char('r'), Char('p')]), [Request::Retry]);
    assert_eq!(press(&mut app, &[Char('o')]), []);
    let mut without_engine = fixture::failed();
    without_engine.offers_local = true;
    let mut app = fixture::app(without_engine, 120, 40);
    assert_eq!(press(&mut app, &[Char('o')]), [Request::UseLocal]);
    let mut app = healthy();
    assert_eq!(press(&mut app, &[Char('r')]), []);
    assert!(notice(&app).contains("capital R"), "{}", notice(&app));
}

#[test]
fn ticks_are_wanted_only_while_time_shows_and_draw_only_what_changed() {
    let mut app = App::new(ratatui::layout::Size::new(80, 24));
    assert!(!app.wants_tick());
    let mut app2 = healthy();
    assert!(app2.wants_tick());
    assert_eq!(update(&mut app2, Msg::Tick), []);
    assert_eq!(update(&mut app2, Msg::Tick), []);
    // Three seconds without news are worth saying.
    assert_eq!(update(&mut app2, Msg::Tick), [Cmd::Draw(Urgency::Data)]);
    assert!(app2.is_stale());
    show(&mut app2, |_| {});
    assert!(!app2.is_stale());
    press(&mut app, &[Char('u')]);
    assert!(app.wants_tick(), "a notice goes away by itself");
    for _ in 0..4 {
        update(&mut app, Msg::Tick);
    }
    assert_eq!(app.notice, None);
}

#[test]
fn the_log_of_the_selected_member_is_followed_until_it_is_closed() {
    let mut app = healthy();
    let opened = press(&mut app, &[Char('L')]);
    assert_eq!(opened, [Request::Follow(Some(NODE_1))]);
    // Keys of the panels do nothing while somebody reads.
    assert_eq!(press(&mut app, &[Char('p'), Char('X')]), []);
    let turned = press(&mut app, &[Key::Tab, Key::BackTab, Key::BackTab]);
    let followed = [NODE_2, NODE_1, Member::Relay].map(|member| Request::Follow(Some(member)));
    assert_eq!(turned, followed);
    assert_eq!(press(&mut app, &[Key::Esc]), [Request::Follow(None)]);
    assert_eq!(app.overlay, None);
    press(&mut app, &[Char(':')]);
    let typed = type_line(&mut app, "log node-2");
    assert_eq!(typed, [Request::Follow(Some(NODE_2))]);
}
