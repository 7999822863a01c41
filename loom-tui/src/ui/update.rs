//! What happens when something happens: [`update`]. No IO, no clock, no randomness.

use std::sync::Arc;

use ratatui::layout::Size;

use crate::cluster::{Life, Link};
use crate::snapshot::{Request, Snapshot};

use super::act::{act, open_log};
use super::app::{App, Notice, QUIET_AFTER_S, row_of};
use super::command::{self, Command};
use super::eventlog;
use super::key::Key;
use super::keymap::{self};
use super::log::{LogReader, Turn};
use super::overlay::{Confirm, Consequence, Overlay};
use super::theme::Role;
use super::undo::describe;

/// Something that happened to the dashboard.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The terminal has a new size.
    Resize(Size),
    /// There is new data.
    Snapshot(Arc<Snapshot>),
    /// About a second passed; sent only while [`App::wants_tick`].
    Tick,
    /// The engine did not take a request, and why.
    Refused(Request, &'static str),
    /// A background task panicked with these words.
    TaskBroke(String),
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cmd {
    /// Draw, this soon.
    Draw(Urgency),
    /// Ask the engine.
    Request(Request),
    /// Put text on the clipboard.
    Copy(String),
    /// Paint every cell again.
    Repaint,
    /// Give the terminal back to the shell until it returns.
    Suspend,
    /// Leave.
    Quit,
}

/// How soon a change must be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// With the next frame of data.
    Data,
    /// At once: a person is waiting.
    Now,
}

const NOTICE_S: u8 = 4;
const PAGE_LINES: usize = 10;

/// Takes one message and says what must be done, in order.
pub fn update(app: &mut App, msg: Msg) -> Vec<Cmd> {
    match msg {
        Msg::Key(key) => on_key(app, key),
        Msg::Paste(text) => on_paste(app, &text),
        Msg::Resize(size) => {
            app.size = size;
            vec![Cmd::Draw(Urgency::Now)]
        }
        Msg::Snapshot(snapshot) => on_snapshot(app, snapshot),
        Msg::Tick => on_tick(app),
        Msg::Refused(request, why) => {
            let text = format!("not done: {}: {why}", describe(&request));
            notify(app, text, Role::Bad);
            vec![Cmd::Draw(Urgency::Now)]
        }
        Msg::TaskBroke(what) => {
            notify(app, format!("a background task broke: {what}"), Role::Bad);
            app.broken_tasks.push(what);
            vec![Cmd::Draw(Urgency::Data)]
        }
    }
}

fn on_snapshot(app: &mut App, snapshot: Arc<Snapshot>) -> Vec<Cmd> {
    if app.events_below > 0 && app.frozen.is_none() {
        let arrived = eventlog::arrived(&app.newest, &snapshot, &app.filter);
        app.events_below = app.events_below.saturating_add(arrived);
    }
    app.newest = snapshot;
    app.quiet_s = 0;
    let newest = &app.newest;
    if app
        .member
        .is_none_or(|member| row_of(newest, member).is_none())
    {
        // A node is more interesting than the relay, which is first.
        let rows = &newest.members;
        app.member = rows.get(1).or(rows.first()).map(|row| row.status.member);
    }
    let known = |name: &String| newest.scenarios.iter().any(|row| row.name == *name);
    if !app.scenario.as_ref().is_some_and(known) {
        app.scenario = newest.scenarios.first().map(|row| row.name.clone());
    }
    vec![Cmd::Draw(Urgency::Data)]
}

fn on_tick(app: &mut App) -> Vec<Cmd> {
    app.quiet_s = app.quiet_s.saturating_add(1);
    let mut changed = app.quiet_s >= QUIET_AFTER_S;
    if let Some(notice) = &mut app.notice {
        notice.left_s = notice.left_s.saturating_sub(1);
        if notice.left_s == 0 {
            app.notice = None;
            changed = true;
        }
    }
    if changed {
        vec![Cmd::Draw(Urgency::Data)]
    } else {
        Vec::new()
    }
}

fn on_paste(app: &mut App, text: &str) -> Vec<Cmd> {
    // Pasted text is never read as keys: it would cut and kill.
    match &mut app.overlay {
        Some(Overlay::Command(line)) => line.insert(text),
        Some(Overlay::Filter(line)) => {
            line.insert(text);
            app.filter.clone_from(&line.text);
            app.events_below = 0;
        }
        Some(Overlay::Log(reader)) if reader.typing => reader.paste(text),
        _ => return Vec::new(),
    }
    vec![Cmd::Draw(Urgency::Now)]
}

fn on_key(app: &mut App, key: Key) -> Vec<Cmd> {
    let mut cmds = vec![Cmd::Draw(Urgency::Now)];
    app.notice = None;
    if key == Key::Ctrl('c') {
        return vec![Cmd::Quit];
    }
    if let Some(overlay) = app.overlay.take() {
        on_overlay_key(app, overlay, key, &mut cmds);
        return cmds;
    }
    let contexts = app.contexts();
    match keymap::find(key, &contexts) {
        Some(binding) => act(app, binding.action, &mut cmds),
        None => {
            if let Some(hint) = keymap::near_miss(key, &contexts) {
                notify(app, hint, Role::Dim);
            }
        }
    }
    cmds
}

/// Keys while something lies over the panels. The overlay stays open only if it is put back.
fn on_overlay_key(app: &mut App, overlay: Overlay, key: Key, cmds: &mut Vec<Cmd>) {
    match overlay {
        Overlay::Help(line) => {
            let line = match key {
                Key::Up | Key::Char('k') => line.saturating_sub(1),
                Key::Down | Key::Char('j') => line.saturating_add(1),
                Key::PageUp => line.saturating_sub(PAGE_LINES),
                Key::PageDown | Key::Char(' ') => line.saturating_add(PAGE_LINES),
                Key::Esc | Key::Char('?' | 'q') | Key::Enter => return,
                _ => line,
            };
            // The view stops at the last line; scrolling further down must not have to be undone.
            app.overlay = Some(Overlay::Help(line.min(keymap::BINDINGS.len())));
        }
        Overlay::Confirm(confirm) => on_confirm_key(app, confirm, key, cmds),
        Overlay::Degrade(mut form) => match key {
            Key::Esc => {}
            Key::Enter => ask(app, form.request(), cmds),
            _ => {
                form.edit(key);
                app.overlay = Some(Overlay::Degrade(form));
            }
        },
        Overlay::Command(mut line) => match key {
            Key::Esc => {}
            Key::Backspace if line.text.is_empty() => {}
            Key::Enter if line.text.trim().is_empty() => {}
            Key::Enter => match command::parse(&line.text, &app.newest) {
                Ok(Command::Request(request)) => ask(app, request, cmds),
                Ok(Command::Action(action)) => act(app, action, cmds),
                Ok(Command::Log(member)) => open_log(app, member, cmds),
                Err(error) => {
                    line.error = Some(error);
                    app.overlay = Some(Overlay::Command(line));
                }
            },
            Key::Tab => {
                line.text = command::complete(&line.text, &app.newest);
                app.overlay = Some(Overlay::Command(line));
            }
            _ => {
                line.edit(key);
                app.overlay = Some(Overlay::Command(line));
            }
        },
        Overlay::Log(reader) => on_log_key(app, reader, key, cmds),
        Overlay::Filter(mut line) => match key {
            Key::Enter => {}
            Key::Esc => {
                app.filter.clear();
                app.events_below = 0;
            }
            _ => {
                line.edit(key);
                app.filter.clone_from(&line.text);
                app.events_below = 0;
                app.overlay = Some(Overlay::Filter(line));
            }
        },
    }
}

fn on_log_key(app: &mut App, mut reader: LogReader, key: Key, cmds: &mut Vec<Cmd>) {
    match reader.key(key, app.newest.log.as_ref()) {
        Turn::Stay => {}
        Turn::Close => {
            cmds.push(Cmd::Request(Request::Follow(None)));
            return;
        }
        Turn::Member(by) => {
            let members: Vec<_> = (app.newest.members.iter())
                .map(|row| row.status.member)
                .collect();
            let here = members.iter().position(|member| *member == reader.member);
            let count = members.len().cast_signed();
            let there = here.map(|here| (here.cast_signed() + by).rem_euclid(count));
            if let Some(member) = there.and_then(|there| members.get(there.cast_unsigned())) {
                reader.turn_to(*member);
                app.member = Some(*member);
                cmds.push(Cmd::Request(Request::Follow(Some(*member))));
            }
        }
        Turn::Copy(line) => {
            notify(app, "copied the lowest line", Role::Dim);
            cmds.push(Cmd::Copy(line));
        }
    }
    app.overlay = Some(Overlay::Log(reader));
}

fn on_confirm_key(app: &mut App, mut confirm: Confirm, key: Key, cmds: &mut Vec<Cmd>) {
    let yes = match key {
        Key::Char('y' | 'Y') => true,
        Key::Enter => confirm.yes_focused,
        Key::Esc | Key::Char('n' | 'N' | 'q') => false,
        Key::Left | Key::Right | Key::Tab | Key::BackTab | Key::Char('h' | 'l') => {
            confirm.yes_focused = !confirm.yes_focused;
            app.overlay = Some(Overlay::Confirm(confirm));
            return;
        }
        _ => {
            app.overlay = Some(Overlay::Confirm(confirm));
            return;
        }
    };
    if yes {
        match confirm.consequence {
            Consequence::Request(request) => ask(app, request, cmds),
            Consequence::Quit => cmds.push(Cmd::Quit),
        }
    }
}

/// Sends a request and remembers how to take it back.
pub(super) fn ask(app: &mut App, request: Request, cmds: &mut Vec<Cmd>) {
    let row = request
        .member()
        .and_then(|member| row_of(&app.newest, member));
    let (life, mut link) = row.map_or((Life::Dead, Link::default()), |row| {
        (row.status.life, row.status.link)
    });
    // A link that was just asked to be cut or healed is not in the data yet.
    if let Some(row) = row {
        let cut = app.is_cut(row);
        if cut != (link.up.cut || link.down.cut) {
            link = if cut { Link::cut() } else { Link::default() };
        }
    }
    app.undo.note(&request, life, link);
    app.expect(&request);
    let kind = match &request {
        Request::Cut(_) => Some("cut"),
        Request::Kill(_) => Some("kill"),
        Request::Stop(_) => Some("stop"),
        Request::Suspend(_) => Some("suspend"),
        Request::SetLink(..) => Some("degrade"),
        Request::HealLink(_)
        | Request::HealAll
        | Request::Restart(_)
        | Request::Resume(_)
        | Request::Run(_)
        | Request::CancelRun
        | Request::Retry
        | Request::UseLocal
        | Request::Follow(_) => None,
    };
    if let Some(kind) = kind {
        *app.faults_made.entry(kind).or_default() += 1;
    }
    cmds.push(Cmd::Request(request));
}

pub(super) fn notify(app: &mut App, text: impl Into<String>, role: Role) {
    app.notice = Some(Notice {
        text: text.into(),
        role,
        left_s: NOTICE_S,
    });
}
