//! Processes of this machine by a name that another process can check: its number, and when it
//! began, so that a later one with the same number is told from it.

use std::fmt;
use std::str::FromStr;

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

/// As in `1234.5678`: number, and ticks of the clock between the machine's start and its own. The
/// second part is missing where the system has no `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessName {
    pid: Pid,
    began: Option<u64>,
}

impl ProcessName {
    /// This process.
    pub(crate) fn this() -> Self {
        let pid = getpid();
        let began = stat(pid).map(|stat| stat.began);
        Self { pid, began }
    }

    /// Whether it still runs. What has ended and nobody has asked how does not.
    pub(crate) fn lives(self) -> bool {
        // One of another user cannot be signalled; it lives all the same.
        let is_there = matches!(test_kill_process(self.pid), Ok(()) | Err(Errno::PERM));
        let another_began = |stat: &Stat| self.began.is_some_and(|began| began != stat.began);
        is_there && !stat(self.pid).is_some_and(|stat| stat.ended || another_began(&stat))
    }
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.pid.as_raw_nonzero())?;
        self.began.map_or(Ok(()), |began| write!(f, ".{began}"))
    }
}

/// The text names no process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoProcess;

impl FromStr for ProcessName {
    type Err = NoProcess;

    fn from_str(text: &str) -> Result<Self, NoProcess> {
        let (pid, began) = match text.split_once('.') {
            Some((pid, began)) => (pid, Some(began.parse().map_err(|_| NoProcess)?)),
            None => (text, None),
        };
        let pid = pid.parse().ok().filter(|pid| *pid > 0);
        let pid = pid.and_then(Pid::from_raw).ok_or(NoProcess)?;
        Ok(Self { pid, began })
    }
}

struct Stat {
    ended: bool,
    began: u64,
}

fn stat(pid: Pid) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

/// The state and the moment it began: fields 3 and 22. The name in field 2 may hold spaces and
/// parentheses.
fn parse(stat: &str) -> Option<Stat> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Stat {
        ended: matches!(state, "Z" | "X"),
        began: fields.nth(18)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(name: &str) -> bool {
        name.parse::<ProcessName>().is_ok_and(ProcessName::lives)
    }

    #[test]
    fn a_process_lives_under_its_own_name_and_no_other() {
        let this = ProcessName::this();
        assert_eq!(this.to_string().parse(), Ok(this));
        assert!(this.lives());
        // Somebody else's, unless the tests run as root.
        assert!(lives("1"));
        let pid = this.pid.as_raw_nonzero();
        // Whoever had the number before has ended.
        assert!(this.began.is_none() || !lives(&format!("{pid}.1")));
        for nobody in ["4194304", "", "x", "0", "-1", "1.x"] {
            assert!(!lives(nobody), "{nobody}");
        }
    }

    #[test]
    fn one_that_has_ended_and_is_asked_by_nobody_does_not_live() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let name = child.id().to_string();
        let ended = || !lives(&name);
        while !ended() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(ended());
    }

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let text = "7 (a) b (c)) Z 1 7 7 0 -1 4194560 10 0 0 0 250 31 0 0 20 0 1 0 815 1 1";
        let stat = parse(text).unwrap();
        assert!(stat.ended);
        assert_eq!(stat.began, 815);
        assert!(parse("7 (x").is_none());
    }
}
