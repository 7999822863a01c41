//! What `u` takes back: the opposite of each fault a person made, newest last.

use std::collections::VecDeque;

use crate::cluster::{Life, Link, Member};
use crate::snapshot::Request;

/// A fault that can be taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct Undoable {
    /// What was done, such as `cut node-2`.
    pub what: String,
    /// What takes it back.
    pub opposite: Request,
}

/// The newest faults made here. Full: the oldest is forgotten.
#[derive(Clone, Debug, Default)]
pub struct UndoStack {
    entries: VecDeque<Undoable>,
}

/// How many faults can be taken back.
const ENTRIES_MAX: usize = 32;

impl UndoStack {
    /// Remembers how to take `request` back, given how its member stood before.
    pub fn note(&mut self, request: &Request, life: Life, link: Link) {
        if *request == Request::HealAll {
            // Taking back "heal all" would break the cluster again without saying how.
            self.entries.clear();
            return;
        }
        let Some(opposite) = opposite(request, life, link) else {
            return;
        };
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Undoable {
            what: describe(request),
            opposite,
        });
    }

    /// The fault that would be taken back next.
    pub fn newest(&self) -> Option<&Undoable> {
        self.entries.back()
    }

    /// Takes the newest entry off.
    pub fn pop(&mut self) -> Option<Undoable> {
        self.entries.pop_back()
    }
}

fn opposite(request: &Request, life: Life, link: Link) -> Option<Request> {
    let relink = |member: Member| {
        if link.is_clear() {
            Request::HealLink(member)
        } else {
            Request::SetLink(member, link)
        }
    };
    match request {
        Request::Cut(member) | Request::HealLink(member) | Request::SetLink(member, _) => {
            Some(relink(*member))
        }
        Request::Suspend(member) => Some(Request::Resume(*member)),
        Request::Resume(member) => Some(Request::Suspend(*member)),
        Request::Kill(member) | Request::Stop(member)
            if matches!(life, Life::Up | Life::Starting | Life::Suspended) =>
        {
            Some(Request::Restart(*member))
        }
        Request::Kill(_)
        | Request::Stop(_)
        | Request::Restart(_)
        | Request::HealAll
        | Request::Run(_)
        | Request::CancelRun
        | Request::Retry
        | Request::UseLocal
        | Request::Follow(_) => None,
    }
}

/// A request as a short phrase: `cut node-2`, `heal all`, `run partition`.
pub fn describe(request: &Request) -> String {
    match request {
        Request::Cut(member) => format!("cut {member}"),
        Request::HealLink(member) => format!("heal {member}"),
        Request::HealAll => "heal all".to_owned(),
        Request::Kill(member) => format!("kill {member}"),
        Request::Stop(member) => format!("stop {member}"),
        Request::Restart(member) => format!("restart {member}"),
        Request::Suspend(member) => format!("suspend {member}"),
        Request::Resume(member) => format!("resume {member}"),
        Request::SetLink(member, _) => format!("degrade {member}"),
        Request::Run(name) => format!("run {name}"),
        Request::CancelRun => "cancel run".to_owned(),
        Request::Retry => "retry".to_owned(),
        Request::UseLocal => "use local processes".to_owned(),
        Request::Follow(Some(member)) => format!("follow the log of {member}"),
        Request::Follow(None) => "follow no log".to_owned(),
    }
}
