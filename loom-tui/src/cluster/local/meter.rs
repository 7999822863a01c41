//! What processes of this machine cost, from `/proc`, where there is one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cluster::{Member, Usage};

/// Ticks per second in `/proc/<pid>/stat`: fixed at 100 for user space on every architecture Rust
/// supports under Linux.
const TICKS_PER_S: f64 = 100.0;

/// Over less than this, ticks are too coarse: whoever asks sooner is told the last answer again.
const OVER: Duration = Duration::from_millis(500);

/// Remembers what processes had used, to tell what they use.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<BTreeMap<Member, Sample>>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    pid: u32,
    at: Instant,
    ticks: u64,
    percent: Option<u32>,
}

impl Meter {
    /// Of the process a member is now. Nothing of what cannot be read; no CPU use at the first
    /// question about a process.
    pub(super) fn read(&self, member: Member, pid: Option<u32>) -> Usage {
        // Files that are on no disk: reading them does not wait.
        Usage {
            cpu: pid.and_then(|pid| self.cpu(member, pid)),
            memory: pid.and_then(resident_bytes),
        }
    }

    fn cpu(&self, member: Member, pid: u32) -> Option<u32> {
        let ticks = parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let at = Instant::now();
        // Nothing in here can panic half way through a change.
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = samples.get(&member).filter(|last| last.pid == pid);
        let percent = match last {
            Some(last) if at - last.at < OVER => return last.percent,
            Some(last) => {
                let used = ticks.saturating_sub(last.ticks) as f64 / TICKS_PER_S;
                Some((100.0 * used / (at - last.at).as_secs_f64()).round() as u32)
            }
            None => None,
        };
        let sample = Sample {
            pid,
            at,
            ticks,
            percent,
        };
        samples.insert(member, sample);
        percent
    }
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// User and system time: fields 14 and 15. The name in field 2 may hold spaces and parentheses.
fn parse(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_hostile_process_name_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 10 0 0 0 250 31 0 0 20 0 1 0 5 1 1";
        assert_eq!(parse(stat), Some(281));
        assert_eq!(parse("7 (x"), None);
    }
}
