//! The words that can be typed after `:` and what they ask for: [`parse`].

use crate::cluster::Member;
use crate::snapshot::{Request, Snapshot};

use super::keymap::Action;
use super::overlay::degrade;

/// What a typed command asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Something for the engine.
    Request(Request),
    /// Something a key does too.
    Action(Action),
    /// The log reader, on this member's log.
    Log(Member),
}

/// Every command: its word, what follows it, and what it does.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("cut", "NODE", "cut the node's link to the relay"),
    ("heal", "[NODE]", "heal the node's link, or everything"),
    (
        "degrade",
        "NODE MS [JITTER_MS [KIB_PER_S [LOSS_OF_1000]]]",
        "slow the node's link down; 0 heals it",
    ),
    ("kill", "MEMBER", "SIGKILL, without asking"),
    ("stop", "MEMBER", "SIGTERM, then SIGKILL"),
    ("restart", "MEMBER", "restart, or start"),
    ("suspend", "MEMBER", "SIGSTOP"),
    ("resume", "MEMBER", "SIGCONT"),
    ("log", "MEMBER", "read the member's log"),
    ("run", "SCENARIO | all", "run a scenario, or all"),
    ("cancel", "", "cancel the running scenario"),
    ("undo", "", "take back the last fault made here"),
    ("freeze", "", "hold the view still, or let it go"),
    ("zoom", "", "show only the focused panel, or all"),
    ("retry", "", "start the cluster again"),
    ("local", "", "start it as processes of this machine"),
    ("help", "", "show all keys"),
    ("quit", "", "leave"),
];

/// Reads a command. The error is a sentence that names the word and what to type instead.
pub fn parse(text: &str, snapshot: &Snapshot) -> Result<Command, String> {
    let mut words = text.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    let usage = || {
        let known = COMMANDS.iter().find(|(word, ..)| *word == verb);
        known.map_or_else(
            || format!("no command {verb:?}: tab completes, ? in the panels shows keys"),
            |(word, args, _)| format!("usage: {word} {args}").trim_end().to_owned(),
        )
    };
    let request = |request| Ok(Command::Request(request));
    let action = |action| Ok(Command::Action(action));
    match (verb, rest.as_slice()) {
        ("heal", []) => action(Action::HealAll),
        ("cut", [who]) => request(Request::Cut(node(who, snapshot)?)),
        ("heal", [who]) => request(Request::HealLink(node(who, snapshot)?)),
        ("degrade", [who, numbers @ ..]) if (1..=4).contains(&numbers.len()) => {
            let member = node(who, snapshot)?;
            let mut amounts = [0; 4];
            for (amount, word) in amounts.iter_mut().zip(numbers) {
                let parsed = word.parse::<u32>();
                *amount = parsed.map_err(|_| format!("{word:?} is no number; {}", usage()))?;
            }
            request(degrade(member, amounts.map(u64::from)))
        }
        ("kill", [who]) => request(Request::Kill(member(who, snapshot)?)),
        ("stop", [who]) => request(Request::Stop(member(who, snapshot)?)),
        ("restart" | "start", [who]) => request(Request::Restart(member(who, snapshot)?)),
        ("suspend", [who]) => request(Request::Suspend(member(who, snapshot)?)),
        ("resume", [who]) => request(Request::Resume(member(who, snapshot)?)),
        ("log" | "logs", [who]) => Ok(Command::Log(member(who, snapshot)?)),
        ("run", ["all"]) => action(Action::RunAll),
        ("run", [name]) => {
            let known = snapshot.scenarios.iter().any(|row| row.name == **name);
            if known {
                request(Request::Run((*name).to_owned()))
            } else {
                Err(format!("no scenario {name:?} in the list"))
            }
        }
        ("cancel", []) => action(Action::CancelRun),
        ("undo", []) => action(Action::Undo),
        ("freeze", []) => action(Action::Freeze),
        ("zoom", []) => action(Action::Zoom),
        ("retry", []) => action(Action::Retry),
        ("local", []) => action(Action::UseLocal),
        ("help", []) => action(Action::Help),
        ("quit" | "q", []) => action(Action::Quit),
        _ => Err(usage()),
    }
}

/// What the last word could become, in the order of the table; whole words.
pub fn completions(text: &str, snapshot: &Snapshot) -> Vec<String> {
    let (before, last) = match text.rfind(' ') {
        Some(space) => text.split_at(space + 1),
        None => ("", text),
    };
    let words: Vec<String> = match before.trim() {
        "" => COMMANDS
            .iter()
            .map(|(word, ..)| (*word).to_owned())
            .collect(),
        "run" => {
            let names = snapshot.scenarios.iter().map(|row| row.name.clone());
            names.chain(["all".to_owned()]).collect()
        }
        "cut" | "heal" | "degrade" => {
            let members = snapshot.members.iter().map(|row| row.status.member);
            let nodes = members.filter(|member| *member != Member::Relay);
            nodes.map(|member| member.to_string()).collect()
        }
        "kill" | "stop" | "restart" | "start" | "suspend" | "resume" | "log" => {
            let members = snapshot.members.iter();
            members.map(|row| row.status.member.to_string()).collect()
        }
        _ => Vec::new(),
    };
    let fitting = words.into_iter().filter(|word| word.starts_with(last));
    fitting.map(|word| format!("{before}{word}")).collect()
}

/// `text` completed as far as all its completions agree, with a space when there is only one.
pub fn complete(text: &str, snapshot: &Snapshot) -> String {
    let options = completions(text, snapshot);
    match options.as_slice() {
        [] => text.to_owned(),
        [only] => format!("{only} "),
        [first, others @ ..] => {
            let agree = |end: &usize| {
                let start = first.get(..*end);
                start.is_some() && others.iter().all(|option| option.get(..*end) == start)
            };
            let end = (text.len()..=first.len()).rev().find(agree);
            end.map_or(text, |end| &first[..end]).to_owned()
        }
    }
}

fn member(word: &str, snapshot: &Snapshot) -> Result<Member, String> {
    let member: Member = word.parse().map_err(|error| format!("{error}"))?;
    let known = snapshot
        .members
        .iter()
        .any(|row| row.status.member == member);
    if known {
        Ok(member)
    } else {
        Err(format!("this cluster has no {member}"))
    }
}

fn node(word: &str, snapshot: &Snapshot) -> Result<Member, String> {
    match member(word, snapshot)? {
        Member::Relay => Err("the relay has no link of its own: name a node".to_owned()),
        node @ Member::Node(_) => Ok(node),
    }
}
