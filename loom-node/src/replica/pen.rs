//! Which writes of clients wait before they are stamped, and for what.
//!
//! A stamp may be issued once its lease is stored ([`Mesh::may_issue`]): the first write after a
//! pause waits for that, and with it those that come meanwhile, in order.
//!
//! [`Mesh::may_issue`]: loom_relay::mesh::Mesh::may_issue

use loom_relay::clock::Now;
use loom_relay::machine::Effect;

use super::{Command, Refused, Replica};

/// Most writes that wait to be stamped; one more is refused.
pub(super) const UNSTAMPED_MAX: usize = 1024;

impl Replica {
    /// Takes a command that writes, now or in its turn.
    pub(super) fn on_writing(&mut self, command: Command, now: Now, effects: &mut Vec<Effect>) {
        if let Some(why) = self.mesh.stalled() {
            refuse(command, &Refused::Stalled(why.clone()));
        } else if self.unstamped.is_empty() && self.may_stamp(&command, now, effects) {
            self.on_stamped(command, now, effects);
        } else if self.unstamped.len() < UNSTAMPED_MAX {
            self.unstamped.push_back(command);
        } else {
            refuse(command, &Refused::Busy);
        }
    }

    /// Carries out what waits and need not any more.
    pub(super) fn stamp_waiting(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(command) = self.unstamped.pop_front() {
            if !self.may_stamp(&command, now, effects) {
                self.unstamped.push_front(command);
                return;
            }
            self.on_stamped(command, now, effects);
        }
    }

    pub(super) fn refuse_unstamped(&mut self, why: &Refused) {
        let waiting = self.unstamped.drain(..);
        waiting.for_each(|command| refuse(command, why));
    }

    fn may_stamp(&mut self, command: &Command, now: Now, effects: &mut Vec<Effect>) -> bool {
        let news = effects.len();
        let may = self.mesh.may_issue(stamps_max(command), now, effects);
        self.absorb(now, news, effects);
        may
    }
}

/// How many stamps a command may need: a planted fault may make another write of each.
fn stamps_max(command: &Command) -> usize {
    match command {
        Command::WriteMany(wishes, _) => 2 * wishes.len(),
        _ => 2,
    }
}

/// Answers a command that writes; whoever asked may have hung up.
fn refuse(command: Command, why: &Refused) {
    match command {
        Command::Write(_, reply) => drop(reply.send(Err(why.clone()))),
        Command::WriteMany(wishes, reply) => {
            let refused = wishes.iter().map(|_| Err(why.clone()));
            drop(reply.send(refused.collect()));
        }
        Command::Canary(_, reply) => drop(reply.send(Err(why.clone()))),
        reading => unreachable!("{reading:?} stamps nothing"),
    }
}
