//! What changed at a member between two looks at it, as letters on the lag chart.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cluster::{Life, MemberStatus};
use crate::snapshot::Mark;

/// Marks kept; the lag chart reaches back five minutes.
const MARKS_MAX: usize = 128;

/// The newest marks.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<Mark>);

impl Marks {
    /// Compares two looks at all members.
    pub(super) fn compare(&mut self, at: Duration, old: &[MemberStatus], new: &[MemberStatus]) {
        for now in new {
            let before = old.iter().find(|before| before.member == now.member);
            for letter in before
                .map(|before| letters(before, now))
                .unwrap_or_default()
            {
                self.0.push_back(Mark {
                    at,
                    member: Some(now.member),
                    letter,
                });
            }
        }
        while self.0.len() > MARKS_MAX {
            self.0.pop_front();
        }
    }

    pub(super) fn all(&self) -> &VecDeque<Mark> {
        &self.0
    }
}

/// What happened to one member, in the letters of [`Mark`].
fn letters(old: &MemberStatus, new: &MemberStatus) -> Vec<char> {
    let mut letters = Vec::new();
    let down = |life| matches!(life, Life::Dead | Life::Stopped);
    let restarted = old.generation > 0 && new.generation > old.generation;
    if !down(old.life) && (down(new.life) || restarted) {
        let killed = (new.last_exit.as_deref()).is_some_and(|exit| exit.contains("SIGKILL"));
        letters.push(if killed { 'K' } else { 'X' });
    }
    if new.life == Life::Suspended && old.life != Life::Suspended {
        letters.push('S');
    }
    // The very first start brings nothing back.
    let was_there = old.generation > 0;
    let back = was_there && new.life == Life::Up && (down(old.life) || old.life == Life::Suspended);
    if back || (restarted && !down(new.life) && !down(old.life)) {
        letters.push('R');
    }
    if new.link != old.link {
        let cut = |status: &MemberStatus| status.link.up.cut || status.link.down.cut;
        letters.push(if new.link.is_clear() {
            'H'
        } else if cut(new) && !cut(old) {
            'C'
        } else {
            'D'
        });
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Link, Member};

    fn node(life: Life, generation: u32, exit: Option<&str>, link: Link) -> MemberStatus {
        MemberStatus {
            life,
            generation,
            last_exit: exit.map(str::to_owned),
            link,
            ..MemberStatus::stopped(Member::Node(1), String::new())
        }
    }

    #[test]
    fn every_fault_and_its_end_has_a_letter() {
        let clear = Link::default();
        let unborn = node(Life::Stopped, 0, None, clear);
        let up = node(Life::Up, 1, None, clear);
        let killed = node(Life::Dead, 1, Some("signal 9 (SIGKILL)"), clear);
        let exited = node(Life::Dead, 1, Some("exit status 1"), clear);
        let frozen = node(Life::Suspended, 1, None, clear);
        let cut = node(Life::Up, 1, None, Link::cut());
        let mut slow = up.clone();
        slow.link.up.latency = Duration::from_millis(50);
        let again = node(Life::Up, 2, Some("signal 9 (SIGKILL)"), clear);
        for (old, new, expected) in [
            (&unborn, &up, ""),
            (&up, &up, ""),
            (&up, &killed, "K"),
            (&up, &exited, "X"),
            (&up, &frozen, "S"),
            (&frozen, &up, "R"),
            (&killed, &again, "R"),
            // Too fast to be seen dead.
            (&up, &again, "KR"),
            (&up, &cut, "C"),
            (&cut, &up, "H"),
            (&up, &slow, "D"),
            (&cut, &slow, "D"),
        ] {
            let found: String = letters(old, new).into_iter().collect();
            assert_eq!(found, expected, "{old:?} -> {new:?}");
        }
    }
}
