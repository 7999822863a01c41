//! Which key does what, where: one table, [`BINDINGS`].
//!
//! Footer hints, the help overlay, near-miss hints and the text of the `keys` command are all
//! made from it, so none of them can disagree with what a key does.

use std::fmt::Write as _;

use super::key::Key;

/// What a person can ask for with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Cut the selected node's link, or heal it when it is cut.
    ToggleCut,
    /// Suspend the selected member, or resume it.
    ToggleSuspend,
    /// Ask before killing the selected member.
    Kill,
    /// Restart or start the selected member.
    Restart,
    /// Open the form for latency, jitter and bandwidth.
    Degrade,
    /// End every fault.
    HealAll,
    /// Take back the newest fault made here.
    Undo,
    /// Run the selected scenario.
    RunScenario,
    /// Run all scenarios.
    RunAll,
    /// Cancel the running scenario.
    CancelRun,
    /// Start the cluster again after it failed to start.
    Retry,
    /// Move the selection or scroll, by lines.
    Move(i8),
    /// Move the selection or scroll, by pages.
    Page(i8),
    /// To the first line.
    First,
    /// To the last line; the event log follows again.
    Last,
    /// Focus the next panel.
    FocusNext,
    /// Focus the previous panel.
    FocusPrevious,
    /// Focus a panel by its number.
    FocusNumber(u8),
    /// Show only the focused panel, or all again.
    Zoom,
    /// Hold the view still, or let it go.
    Freeze,
    /// Type a filter for the event log.
    Filter,
    /// Type a command.
    Palette,
    /// Copy what is selected.
    Copy,
    /// Show all keys.
    Help,
    /// One step back; never quits.
    Back,
    /// Paint the whole screen again.
    Repaint,
    /// Stop the process until the shell brings it back.
    Suspend,
    /// Quit, after asking when a scenario is running.
    Quit,
    /// Quit at once.
    QuitNow,
}

/// Where a binding applies. Several contexts are active at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// A list or picture of members is on the screen, so a selection can be seen.
    Members,
    /// The scenario panel has the focus.
    Scenarios,
    /// The event panel has the focus.
    Events,
    /// The cluster could not be started.
    Failed,
    /// Always, except while typing or in a dialog.
    Anywhere,
}

/// One line of the table.
#[derive(Debug)]
pub struct Binding {
    /// Any of these keys.
    pub keys: &'static [Key],
    /// Where.
    pub context: Context,
    /// What it does.
    pub action: Action,
    /// Two or three words for the footer; empty when it is never shown there.
    pub hint: &'static str,
    /// What the help overlay says.
    pub help: &'static str,
    /// The footer drops the hints with the largest rank first.
    pub rank: u8,
}

impl Binding {
    /// The keys as they are written in help and footer, such as `tab` or `q`.
    pub fn keys_text(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        names.join(" ")
    }
}

const fn bind(
    keys: &'static [Key],
    context: Context,
    action: Action,
    hint: &'static str,
    rank: u8,
    help: &'static str,
) -> Binding {
    Binding {
        keys,
        context,
        action,
        hint,
        help,
        rank,
    }
}

use Context::{Anywhere, Events, Failed, Members, Scenarios};
use Key::{Char, Ctrl};

/// Lower case is reversible or only changes the view; upper case destroys or is global.
pub const BINDINGS: &[Binding] = &[
    bind(
        &[Char('p')],
        Members,
        Action::ToggleCut,
        "cut/heal",
        10,
        "cut the node's link to the relay, or heal it",
    ),
    bind(
        &[Char('s')],
        Members,
        Action::ToggleSuspend,
        "suspend",
        11,
        "suspend the process (SIGSTOP), or resume it",
    ),
    bind(
        &[Char('X')],
        Members,
        Action::Kill,
        "kill",
        12,
        "kill the process (SIGKILL); asks first",
    ),
    bind(
        &[Char('R')],
        Members,
        Action::Restart,
        "restart",
        13,
        "restart the process, or start it when it is down",
    ),
    bind(
        &[Char('d')],
        Members,
        Action::Degrade,
        "degrade",
        14,
        "degrade the link: latency, jitter, bandwidth",
    ),
    bind(
        &[Key::Enter],
        Scenarios,
        Action::RunScenario,
        "run",
        10,
        "run the selected scenario",
    ),
    bind(
        &[Char('a')],
        Scenarios,
        Action::RunAll,
        "run all",
        11,
        "run all scenarios, one after another",
    ),
    bind(
        &[Char('r')],
        Failed,
        Action::Retry,
        "retry",
        0,
        "start the cluster again",
    ),
    bind(
        &[Char('?')],
        Anywhere,
        Action::Help,
        "help",
        1,
        "show or hide these keys",
    ),
    bind(
        &[Char(':')],
        Anywhere,
        Action::Palette,
        "command",
        22,
        "type a command, such as cut 2 or run partition",
    ),
    bind(
        &[Char('H')],
        Anywhere,
        Action::HealAll,
        "heal all",
        3,
        "heal every link and resume every process",
    ),
    bind(
        &[Char('u')],
        Anywhere,
        Action::Undo,
        "undo",
        4,
        "take back the last fault made here",
    ),
    bind(
        &[Char('c')],
        Anywhere,
        Action::CancelRun,
        "cancel run",
        5,
        "cancel the running scenario",
    ),
    bind(
        &[Key::Up, Char('k'), Key::Left, Char('h')],
        Anywhere,
        Action::Move(-1),
        "",
        99,
        "select the previous line, or scroll",
    ),
    bind(
        &[Key::Down, Char('j'), Key::Right, Char('l')],
        Anywhere,
        Action::Move(1),
        "",
        99,
        "select the next line, or scroll",
    ),
    bind(
        &[Key::PageUp, Ctrl('b')],
        Anywhere,
        Action::Page(-1),
        "",
        99,
        "a page up",
    ),
    bind(
        &[Key::PageDown, Ctrl('f')],
        Anywhere,
        Action::Page(1),
        "",
        99,
        "a page down",
    ),
    bind(
        &[Key::Home, Char('g')],
        Anywhere,
        Action::First,
        "",
        99,
        "to the first line",
    ),
    bind(
        &[Key::End, Char('G')],
        Anywhere,
        Action::Last,
        "",
        99,
        "to the last line; the event log follows again",
    ),
    bind(
        &[Key::Tab],
        Anywhere,
        Action::FocusNext,
        "panel",
        20,
        "focus the next panel",
    ),
    bind(
        &[Key::BackTab],
        Anywhere,
        Action::FocusPrevious,
        "",
        99,
        "focus the previous panel",
    ),
    bind(
        &[Char('1')],
        Anywhere,
        Action::FocusNumber(1),
        "",
        99,
        "nodes",
    ),
    bind(
        &[Char('2')],
        Anywhere,
        Action::FocusNumber(2),
        "",
        99,
        "topology",
    ),
    bind(
        &[Char('3')],
        Anywhere,
        Action::FocusNumber(3),
        "",
        99,
        "latency",
    ),
    bind(
        &[Char('4')],
        Anywhere,
        Action::FocusNumber(4),
        "",
        99,
        "lag over time",
    ),
    bind(
        &[Char('5')],
        Anywhere,
        Action::FocusNumber(5),
        "",
        99,
        "scenarios",
    ),
    bind(
        &[Char('6')],
        Anywhere,
        Action::FocusNumber(6),
        "",
        99,
        "events",
    ),
    bind(
        &[Char('z')],
        Anywhere,
        Action::Zoom,
        "zoom",
        21,
        "show only the focused panel, or all again",
    ),
    bind(
        &[Char('F')],
        Anywhere,
        Action::Freeze,
        "freeze",
        23,
        "hold the view still; measuring goes on",
    ),
    bind(
        &[Char('/')],
        Anywhere,
        Action::Filter,
        "filter",
        24,
        "filter the event log",
    ),
    bind(
        &[Char('y')],
        Anywhere,
        Action::Copy,
        "copy",
        25,
        "copy the selected node's URL, scenario command or event line",
    ),
    bind(
        &[Key::Esc],
        Anywhere,
        Action::Back,
        "",
        99,
        "one step back; never quits",
    ),
    bind(
        &[Ctrl('l')],
        Anywhere,
        Action::Repaint,
        "",
        99,
        "paint the screen again",
    ),
    bind(
        &[Ctrl('z')],
        Anywhere,
        Action::Suspend,
        "",
        99,
        "back to the shell; fg returns",
    ),
    bind(&[Char('q')], Anywhere, Action::Quit, "quit", 2, "quit"),
    bind(
        &[Ctrl('c')],
        Anywhere,
        Action::QuitNow,
        "",
        99,
        "quit at once",
    ),
];

/// The binding a key has in any of these contexts.
pub fn find(key: Key, contexts: &[Context]) -> Option<&'static Binding> {
    BINDINGS
        .iter()
        .find(|binding| contexts.contains(&binding.context) && binding.keys.contains(&key))
}

/// A sentence for a key that does nothing while the same letter in the other case does.
pub fn near_miss(key: Key, contexts: &[Context]) -> Option<String> {
    let other = key.other_case()?;
    let binding = find(other, contexts)?;
    let case = match other {
        Char(letter) if letter.is_ascii_uppercase() => "capital",
        _ => "small",
    };
    Some(format!(
        "{key} does nothing; {case} {other}: {}",
        binding.help
    ))
}

/// The whole table as plain text, one binding a line, for the `keys` command and the manual.
pub fn as_text() -> String {
    let mut text = String::new();
    for (context, title) in [
        (Members, "Where members are shown"),
        (Scenarios, "Scenario panel"),
        (Failed, "When the cluster could not be started"),
        (Events, "Event panel"),
        (Anywhere, "Everywhere"),
    ] {
        let lines: Vec<&Binding> = BINDINGS.iter().filter(|b| b.context == context).collect();
        if lines.is_empty() {
            continue;
        }
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{title}");
        for binding in lines {
            let _ = writeln!(text, "  {:<16} {}", binding.keys_text(), binding.help);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_at_once() {
        // The panel contexts exclude each other; the others are active together with any of them.
        for panel in [Scenarios, Events] {
            let active = [Members, panel, Failed, Anywhere];
            let mut taken = std::collections::BTreeMap::new();
            for binding in BINDINGS.iter().filter(|b| active.contains(&b.context)) {
                for key in binding.keys {
                    let before = taken.insert(*key, binding.action);
                    assert_eq!(before, None, "{key} is bound twice");
                }
            }
        }
    }

    #[test]
    fn the_text_names_every_binding() {
        let text = as_text();
        for binding in BINDINGS {
            assert!(text.contains(binding.help), "{}", binding.help);
        }
    }

    #[test]
    fn a_near_miss_names_the_right_key() {
        let hint = near_miss(Char('x'), &[Members, Anywhere]).unwrap();
        assert_eq!(
            hint,
            "x does nothing; capital X: kill the process (SIGKILL); asks first"
        );
        assert_eq!(near_miss(Char('x'), &[Anywhere]), None);
        assert_eq!(near_miss(Char('w'), &[Members, Anywhere]), None);
    }
}
