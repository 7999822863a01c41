//! What becomes of one member's process: wishes in, actions out, one deadline. No IO.
//!
//! [`Lifecycle::handle`] is its only door. It owns the awkward questions, such as what happens to
//! a start that waits for health when somebody kills the member: every wish is settled exactly
//! once, there is never more than one process, and a signal is only sent to one that exists.
//! `W` stands for whoever made the wish and waits for it to be settled.

use std::time::{Duration, Instant};

use super::Life;

#[cfg(test)]
mod tests;

/// What can be asked of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Start,
    Stop,
    Kill,
    Suspend,
    Resume,
    Wipe,
}

/// Everything that can happen to a member.
#[derive(Debug)]
pub(super) enum Input<W> {
    /// Somebody wants something.
    Wish(Wish, W),
    /// `/health` was answered.
    Healthy,
    /// The process ended, described for people.
    Exited(String),
    /// There is no process because it could not be started.
    NotStarted(String),
    /// There is a process that nobody here has started; said aloud, unless it was there before.
    Found { aloud: bool },
    /// Somebody else froze the process.
    Frozen,
    /// Somebody else thawed the process.
    Thawed,
    /// The moment [`Lifecycle::deadline`] named has come.
    Deadline,
}

/// What must be done, in order.
#[derive(Debug)]
pub(super) enum Action<W> {
    /// Start a process, then watch for its health.
    Spawn,
    /// Watch for the health of the process there is.
    Watch,
    /// Send a signal to the process there is.
    Signal(Signal),
    /// Delete what the member has stored, then settle.
    Wipe(W),
    /// The wish is fulfilled, or cannot be.
    Settle(W, Result<(), Refusal>),
    /// Tell everybody.
    Announce { what: String, unexpected: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Term,
    Kill,
    Stop,
    Cont,
}

/// Why a wish could not be fulfilled, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) next_step: &'static str,
    /// Whether the wish makes no sense as things are; otherwise something is broken.
    pub(super) senseless: bool,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From start to the first answer on `/health`.
    pub(super) ready_within: Duration,
    /// From SIGTERM to SIGKILL.
    pub(super) grace: Duration,
}

/// From SIGKILL to the end of the process. Only a process stuck in the kernel takes longer.
const DEATH_WITHIN: Duration = Duration::from_secs(5);

const SEE_LOG: &str = "see its log for what it was doing";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No process.
    Down {
        dead: bool,
    },
    /// A process that is not yet answering.
    Starting {
        until: Instant,
    },
    Up,
    Suspended,
    /// A process that was told to end.
    Ending {
        how: Ending,
        /// What it was before, for those who look at it meanwhile.
        was: Life,
        /// `None` once nothing more can be done than wait.
        until: Option<Instant>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// SIGTERM was sent.
    Asked,
    /// SIGKILL was sent after SIGTERM had not helped.
    Forced,
    /// SIGKILL was wished for.
    Killed,
    /// SIGKILL was sent because it never became healthy.
    GivenUp,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Lifecycle<W> {
    limits: Limits,
    state: State,
    /// Waiting for `Up`. While ending: there is to be another start after it.
    starts: Vec<W>,
    /// Waiting for `Down`.
    ends: Vec<W>,
}

impl<W> Lifecycle<W> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Down { dead: false },
            starts: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// What there is to see from outside.
    pub(super) fn life(&self) -> Life {
        match self.state {
            State::Down { dead: true } => Life::Dead,
            State::Down { dead: false } => Life::Stopped,
            State::Starting { .. } => Life::Starting,
            State::Up => Life::Up,
            State::Suspended => Life::Suspended,
            State::Ending { was, .. } => was,
        }
    }

    /// Whether the end of the process would be a surprise now.
    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting { .. })
    }

    /// When to come back with [`Input::Deadline`] if nothing else happens first.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { until } => Some(until),
            State::Ending { until, .. } => until,
            State::Down { .. } | State::Up | State::Suspended => None,
        }
    }

    /// Takes one input at `now` and appends what must be done about it.
    pub(super) fn handle(&mut self, input: Input<W>, now: Instant, actions: &mut Vec<Action<W>>) {
        match input {
            Input::Wish(Wish::Start, who) => self.on_start(who, now, actions),
            Input::Wish(Wish::Stop, who) => self.on_stop(who, now, actions),
            Input::Wish(Wish::Kill, who) => self.on_kill(who, now, actions),
            Input::Wish(Wish::Suspend, who) => self.on_suspend(who, actions),
            Input::Wish(Wish::Resume, who) => self.on_resume(who, actions),
            Input::Wish(Wish::Wipe, who) => self.on_wipe(who, actions),
            Input::Healthy => self.on_healthy(actions),
            Input::Exited(how) => self.on_exited(&how, now, actions),
            Input::NotStarted(why) => self.on_not_started(&why, actions),
            Input::Found { aloud } => self.on_found(aloud, now, actions),
            Input::Frozen => self.on_frozen(actions),
            Input::Thawed => self.on_thawed(actions),
            Input::Deadline => self.on_deadline(now, actions),
        }
    }

    fn on_start(&mut self, who: W, now: Instant, actions: &mut Vec<Action<W>>) {
        match self.state {
            State::Up => actions.push(Action::Settle(who, Ok(()))),
            State::Starting { .. } | State::Ending { .. } => self.starts.push(who),
            State::Down { .. } => {
                self.starts.push(who);
                self.spawn(now, actions);
            }
            State::Suspended => {
                self.starts.push(who);
                actions.push(Action::Signal(Signal::Cont));
                actions.push(announce("resumed (SIGCONT)"));
                actions.push(Action::Watch);
                self.state = State::Starting {
                    until: now + self.limits.ready_within,
                };
            }
        }
    }

    fn on_stop(&mut self, who: W, now: Instant, actions: &mut Vec<Action<W>>) {
        self.give_up_starts("it was stopped before it answered", actions);
        match self.state {
            State::Down { .. } => actions.push(Action::Settle(who, Ok(()))),
            State::Ending { .. } => self.ends.push(who),
            State::Starting { .. } | State::Up | State::Suspended => {
                self.ends.push(who);
                actions.push(Action::Signal(Signal::Term));
                if self.state == State::Suspended {
                    // A frozen process cannot even end itself.
                    actions.push(Action::Signal(Signal::Cont));
                }
                self.state = State::Ending {
                    how: Ending::Asked,
                    was: self.life(),
                    until: Some(now + self.limits.grace),
                };
            }
        }
    }

    fn on_kill(&mut self, who: W, now: Instant, actions: &mut Vec<Action<W>>) {
        self.give_up_starts("it was killed before it answered", actions);
        match self.state {
            State::Down { .. } => actions.push(Action::Settle(who, Ok(()))),
            State::Ending {
                how: Ending::Forced | Ending::Killed | Ending::GivenUp,
                ..
            } => self.ends.push(who),
            State::Ending {
                how: Ending::Asked, ..
            }
            | State::Starting { .. }
            | State::Up
            | State::Suspended => {
                self.ends.push(who);
                self.sigkill(Ending::Killed, now, actions);
            }
        }
    }

    fn on_suspend(&mut self, who: W, actions: &mut Vec<Action<W>>) {
        let outcome = match self.state {
            State::Suspended => Ok(()),
            State::Up => {
                actions.push(Action::Signal(Signal::Stop));
                actions.push(announce("suspended (SIGSTOP)"));
                self.state = State::Suspended;
                Ok(())
            }
            State::Starting { .. } => refuse("it is still starting", "wait until it is up"),
            State::Ending { .. } => refuse("it is ending", "start it again first"),
            State::Down { .. } => refuse("it is not running", "start it first"),
        };
        actions.push(Action::Settle(who, outcome));
    }

    fn on_resume(&mut self, who: W, actions: &mut Vec<Action<W>>) {
        // Whatever was suspended and is dead by now needs no resuming: that is no mistake.
        if self.state == State::Suspended {
            actions.push(Action::Signal(Signal::Cont));
            actions.push(announce("resumed (SIGCONT)"));
            self.state = State::Up;
        }
        actions.push(Action::Settle(who, Ok(())));
    }

    fn on_wipe(&mut self, who: W, actions: &mut Vec<Action<W>>) {
        if let State::Down { .. } = self.state {
            actions.push(Action::Wipe(who));
        } else {
            let outcome = refuse("it is running", "stop or kill it first");
            actions.push(Action::Settle(who, outcome));
        }
    }

    fn on_healthy(&mut self, actions: &mut Vec<Action<W>>) {
        if !self.is_starting() {
            return;
        }
        self.state = State::Up;
        actions.push(announce("up"));
        let settled = self.starts.drain(..).map(|who| Action::Settle(who, Ok(())));
        actions.extend(settled);
    }

    fn on_exited(&mut self, how: &str, now: Instant, actions: &mut Vec<Action<W>>) {
        let dead = match self.state {
            State::Down { .. } => return,
            State::Starting { .. } | State::Up | State::Suspended => {
                actions.push(Action::Announce {
                    what: format!("exited: {how}"),
                    unexpected: true,
                });
                true
            }
            State::Ending { how: ending, .. } => {
                let (what, dead) = match ending {
                    Ending::Asked => (format!("stopped ({how})"), false),
                    Ending::Forced => ("stopped (SIGKILL after SIGTERM)".to_owned(), false),
                    Ending::Killed => ("killed (SIGKILL)".to_owned(), true),
                    Ending::GivenUp => ("killed: it never answered".to_owned(), true),
                };
                actions.push(Action::Announce {
                    what,
                    unexpected: ending == Ending::GivenUp,
                });
                dead
            }
        };
        let restart = matches!(self.state, State::Ending { .. }) && !self.starts.is_empty();
        self.state = State::Down { dead };
        let settled = self.ends.drain(..).map(|who| Action::Settle(who, Ok(())));
        actions.extend(settled);
        if restart {
            self.spawn(now, actions);
        } else {
            self.fail_starts(&format!("it exited: {how}"), actions);
        }
    }

    fn on_not_started(&mut self, why: &str, actions: &mut Vec<Action<W>>) {
        self.state = State::Down { dead: true };
        actions.push(Action::Announce {
            what: format!("could not be started: {why}"),
            unexpected: true,
        });
        self.fail_starts(why, actions);
        let settled = self.ends.drain(..).map(|who| Action::Settle(who, Ok(())));
        actions.extend(settled);
    }

    fn on_found(&mut self, aloud: bool, now: Instant, actions: &mut Vec<Action<W>>) {
        let State::Down { .. } = self.state else {
            return;
        };
        if aloud {
            actions.push(surprise("started from outside"));
        }
        actions.push(Action::Watch);
        self.state = State::Starting {
            until: now + self.limits.ready_within,
        };
    }

    fn on_frozen(&mut self, actions: &mut Vec<Action<W>>) {
        if let State::Starting { .. } | State::Up = self.state {
            self.give_up_starts("it was suspended from outside before it answered", actions);
            actions.push(surprise("suspended from outside"));
            self.state = State::Suspended;
        }
    }

    fn on_thawed(&mut self, actions: &mut Vec<Action<W>>) {
        if self.state == State::Suspended {
            actions.push(surprise("resumed from outside"));
            self.state = State::Up;
        }
    }

    fn on_deadline(&mut self, now: Instant, actions: &mut Vec<Action<W>>) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match self.state {
            State::Starting { .. } => {
                let within = self.limits.ready_within;
                let reason = format!("no answer on /health within {within:?}");
                self.fail_starts(&reason, actions);
                self.sigkill(Ending::GivenUp, now, actions);
            }
            State::Ending {
                how: Ending::Asked, ..
            } => self.sigkill(Ending::Forced, now, actions),
            State::Ending { how, was, .. } => {
                let until = None;
                self.state = State::Ending { how, was, until };
                let refused = self.ends.drain(..).map(|who| {
                    let outcome = fail("the kernel has not ended it yet");
                    Action::Settle(who, outcome)
                });
                actions.extend(refused);
            }
            State::Down { .. } | State::Up | State::Suspended => {}
        }
    }

    fn spawn(&mut self, now: Instant, actions: &mut Vec<Action<W>>) {
        actions.push(Action::Spawn);
        self.state = State::Starting {
            until: now + self.limits.ready_within,
        };
    }

    fn sigkill(&mut self, how: Ending, now: Instant, actions: &mut Vec<Action<W>>) {
        actions.push(Action::Signal(Signal::Kill));
        self.state = State::Ending {
            how,
            was: self.life(),
            until: Some(now + DEATH_WITHIN),
        };
    }

    fn fail_starts(&mut self, reason: &str, actions: &mut Vec<Action<W>>) {
        let starts = self.starts.drain(..);
        actions.extend(starts.map(|who| Action::Settle(who, fail(reason))));
    }

    /// Somebody else wished the opposite.
    fn give_up_starts(&mut self, reason: &str, actions: &mut Vec<Action<W>>) {
        let starts = self.starts.drain(..);
        actions.extend(starts.map(|who| Action::Settle(who, refuse(reason, SEE_LOG))));
    }
}

fn announce<W>(what: &str) -> Action<W> {
    Action::Announce {
        what: what.to_owned(),
        unexpected: false,
    }
}

/// Nobody here asked for it.
fn surprise<W>(what: &str) -> Action<W> {
    Action::Announce {
        what: what.to_owned(),
        unexpected: true,
    }
}

/// The wish makes no sense.
fn refuse(reason: &str, next_step: &'static str) -> Result<(), Refusal> {
    Err(Refusal {
        reason: reason.to_owned(),
        next_step,
        senseless: true,
    })
}

/// The wish makes sense and cannot be fulfilled.
fn fail(reason: &str) -> Result<(), Refusal> {
    Err(Refusal {
        reason: reason.to_owned(),
        next_step: SEE_LOG,
        senseless: false,
    })
}
