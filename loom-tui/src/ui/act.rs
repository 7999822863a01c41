//! What each [`Action`] of the key map and the command line does: [`act`].

use std::sync::Arc;

use crate::cluster::{Life, Member};
use crate::snapshot::{Request, ScenarioState};

use super::app::App;
use super::eventlog;
use super::keymap::Action;
use super::log::LogReader;
use super::overlay::{Confirm, Consequence, DegradeForm, Line, Overlay};
use super::plan::Panel;
use super::theme::Role;
use super::update::{Cmd, ask, notify};

/// Does what a key or a command asks for.
pub(super) fn act(app: &mut App, action: Action, cmds: &mut Vec<Cmd>) {
    match action {
        Action::ToggleCut
        | Action::ToggleSuspend
        | Action::Kill
        | Action::Restart
        | Action::Degrade
        | Action::Log => act_on_member(app, action, cmds),
        Action::HealAll => ask(app, Request::HealAll, cmds),
        Action::Undo => match app.undo.pop() {
            Some(entry) => {
                notify(app, format!("taking back: {}", entry.what), Role::Info);
                app.expect(&entry.opposite);
                cmds.push(Cmd::Request(entry.opposite));
            }
            None => notify(app, "nothing to undo", Role::Dim),
        },
        Action::RunScenario => {
            if let Some(name) = app.scenario.clone() {
                run(app, vec![name], cmds);
            }
        }
        Action::RunAll => {
            let names = app.newest.scenarios.iter().map(|row| row.name.clone());
            let names = names.collect();
            run(app, names, cmds);
        }
        Action::CancelRun => {
            if app.running().is_some() {
                ask(app, Request::CancelRun, cmds);
            } else {
                notify(app, "no scenario is running", Role::Dim);
            }
        }
        Action::Retry => ask(app, Request::Retry, cmds),
        Action::UseLocal if app.newest.offers_local => ask(app, Request::UseLocal, cmds),
        Action::UseLocal => notify(app, "it runs as local processes already", Role::Dim),
        Action::Move(by) => step(app, isize::from(by)),
        Action::Page(by) => step(app, isize::from(by).saturating_mul(10)),
        Action::First => step(app, isize::MIN),
        Action::Last => step(app, isize::MAX),
        Action::FocusNext => app.focus = app.focus.step(1),
        Action::FocusPrevious => app.focus = app.focus.step(-1),
        Action::FocusNumber(number) => app.focus = Panel::numbered(number).unwrap_or(app.focus),
        Action::Zoom => app.zoom = !app.zoom,
        Action::Freeze => {
            app.frozen = match app.frozen.take() {
                Some(_) => None,
                None => Some(Arc::clone(&app.newest)),
            };
        }
        Action::Filter => {
            app.focus = Panel::Events;
            app.overlay = Some(Overlay::Filter(Line::with(&app.filter)));
        }
        Action::Palette => app.overlay = Some(Overlay::Command(Line::default())),
        Action::Copy => match copied(app) {
            Some(text) => {
                notify(app, format!("copied: {text}"), Role::Dim);
                cmds.push(Cmd::Copy(text));
            }
            None => notify(app, "nothing to copy here", Role::Dim),
        },
        Action::Help => app.overlay = Some(Overlay::Help(0)),
        Action::Back => back(app),
        Action::Repaint => cmds.push(Cmd::Repaint),
        Action::Suspend => cmds.push(Cmd::Suspend),
        Action::Quit => match app.running() {
            Some(row) => {
                app.overlay = Some(Overlay::Confirm(Confirm {
                    question: "Quit while a scenario runs?".to_owned(),
                    detail: vec![
                        format!("{} is not finished: it ends without a verdict.", row.name),
                        "The cluster is stopped either way.".to_owned(),
                    ],
                    yes: "Quit",
                    yes_focused: false,
                    consequence: Consequence::Quit,
                }));
            }
            None => cmds.push(Cmd::Quit),
        },
        Action::QuitNow => cmds.push(Cmd::Quit),
    }
}

fn act_on_member(app: &mut App, action: Action, cmds: &mut Vec<Cmd>) {
    let Some(row) = app.selected() else {
        notify(app, "no member is selected", Role::Dim);
        return;
    };
    let (member, life) = (row.status.member, row.status.life);
    let running = !matches!(life, Life::Dead | Life::Stopped);
    let down = || format!("{member} is not running: R starts it");
    let no_link = "the relay has no link of its own: select a node";
    let request = match action {
        Action::ToggleCut | Action::Degrade if member == Member::Relay => Err(no_link.to_owned()),
        Action::ToggleCut if app.is_cut(row) => Ok(Request::HealLink(member)),
        Action::ToggleCut => Ok(Request::Cut(member)),
        Action::ToggleSuspend | Action::Kill if !running => Err(down()),
        Action::ToggleSuspend if app.is_suspended(row) => Ok(Request::Resume(member)),
        Action::ToggleSuspend => Ok(Request::Suspend(member)),
        Action::Restart => Ok(Request::Restart(member)),
        Action::Log => {
            open_log(app, member, cmds);
            return;
        }
        Action::Degrade => {
            let form = DegradeForm::new(member, row.status.link);
            app.overlay = Some(Overlay::Degrade(form));
            return;
        }
        _ => {
            app.overlay = Some(Overlay::Confirm(kill_question(member)));
            return;
        }
    };
    match request {
        Ok(request) => ask(app, request, cmds),
        Err(why) => notify(app, why, Role::Dim),
    }
}

/// Opens the reader on a member's log.
pub(super) fn open_log(app: &mut App, member: Member, cmds: &mut Vec<Cmd>) {
    app.overlay = Some(Overlay::Log(LogReader::new(member)));
    cmds.push(Cmd::Request(Request::Follow(Some(member))));
}

fn kill_question(member: Member) -> Confirm {
    let effect = match member {
        Member::Relay => "SIGKILL now: no node can reach another until it is restarted.",
        Member::Node(_) => "SIGKILL now, as a power cut would. R starts it again.",
    };
    Confirm {
        question: format!("Kill {member}?"),
        detail: vec![effect.to_owned()],
        yes: "Kill",
        yes_focused: false,
        consequence: Consequence::Request(Request::Kill(member)),
    }
}

/// Asks for runs of scenarios that are not already running or waiting.
fn run(app: &mut App, names: Vec<String>, cmds: &mut Vec<Cmd>) {
    let busy = |name: &String| {
        let mut rows = app.newest.scenarios.iter();
        rows.any(|row| {
            let waiting = matches!(
                row.state,
                ScenarioState::Queued | ScenarioState::Running { .. }
            );
            row.name == *name && waiting
        })
    };
    let (busy, idle): (Vec<String>, Vec<String>) = names.into_iter().partition(busy);
    if idle.is_empty()
        && let Some(name) = busy.first()
    {
        notify(
            app,
            format!("{name} is already running or queued"),
            Role::Dim,
        );
    }
    for name in idle {
        ask(app, Request::Run(name), cmds);
    }
}

fn step(app: &mut App, by: isize) {
    match app.focus {
        Panel::Nodes | Panel::Topology => {
            let ids: Vec<Member> = app
                .shown()
                .members
                .iter()
                .map(|r| r.status.member)
                .collect();
            app.member = stepped(&ids, app.member.as_ref(), by);
        }
        Panel::Scenarios => {
            let names: Vec<String> = app
                .shown()
                .scenarios
                .iter()
                .map(|r| r.name.clone())
                .collect();
            app.scenario = stepped(&names, app.scenario.as_ref(), by);
        }
        Panel::Events => {
            let most = eventlog::matching(app.shown(), &app.filter).count();
            let below = isize::try_from(app.events_below).unwrap_or(isize::MAX);
            let below = below.saturating_sub(by).max(0);
            app.events_below = usize::try_from(below)
                .unwrap_or(0)
                .min(most.saturating_sub(1));
        }
        Panel::Latency | Panel::Lag => {}
    }
}

/// The id `by` places after `from`, stopping at both ends.
fn stepped<T: Clone + PartialEq>(ids: &[T], from: Option<&T>, by: isize) -> Option<T> {
    let here = from.and_then(|from| ids.iter().position(|id| id == from));
    let last = ids.len().checked_sub(1)?;
    let there = match here {
        Some(here) => here.saturating_add_signed(by).min(last),
        None => 0,
    };
    ids.get(there).cloned()
}

fn copied(app: &App) -> Option<String> {
    match app.focus {
        Panel::Nodes | Panel::Topology | Panel::Latency | Panel::Lag => {
            Some(app.selected()?.status.url.clone())
        }
        Panel::Scenarios => Some(format!("loom-tui run {}", app.scenario.as_ref()?)),
        Panel::Events => {
            let lines: Vec<_> = eventlog::matching(app.shown(), &app.filter).collect();
            let at = lines
                .len()
                .checked_sub(app.events_below.saturating_add(1))?;
            Some(format!("{} {}", lines[at].source, lines[at].text))
        }
    }
}

fn back(app: &mut App) {
    if app.zoom {
        app.zoom = false;
    } else if !app.filter.is_empty() {
        app.filter.clear();
        app.events_below = 0;
    } else if app.frozen.is_some() {
        app.frozen = None;
    } else if app.events_below > 0 {
        app.events_below = 0;
    } else if !app.plan().shows_members() {
        app.focus = Panel::Nodes;
    }
}
