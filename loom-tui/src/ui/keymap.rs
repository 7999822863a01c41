//! Which key does what, where; the table itself is [`BINDINGS`].
//!
//! Footer hints, the help overlay, near-miss hints and the text of the `keys` command are all
//! made from it, so none of them can disagree with what a key does.

use std::fmt::Write as _;

use super::key::Key;

mod bindings;

pub use bindings::BINDINGS;

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
    /// Read the selected member's log.
    Log,
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
    /// Start it as processes of this machine instead.
    UseLocal,
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
        Key::Char(letter) if letter.is_ascii_uppercase() => "capital",
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
        (Context::Members, "Where members are shown"),
        (Context::Scenarios, "Scenario panel"),
        (Context::Failed, "When the cluster could not be started"),
        (Context::Anywhere, "Everywhere"),
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
    use super::Context::{Anywhere, Members};
    use super::*;
    use crate::ui::key::Key::Char;

    #[test]
    fn no_key_means_two_things_at_once() {
        // Any contexts may be active together.
        let mut taken = std::collections::BTreeMap::new();
        for binding in BINDINGS {
            for key in binding.keys {
                let before = taken.insert(*key, binding.action);
                assert_eq!(before, None, "{key} is bound twice");
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
