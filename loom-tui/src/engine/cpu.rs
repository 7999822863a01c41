//! CPU use of a process on this machine, from `/proc`, where there is one.

use std::collections::BTreeMap;
use std::time::Duration;

/// Ticks per second in `/proc/<pid>/stat`: fixed at 100 for user space on every architecture Rust
/// supports under Linux.
const TICKS_PER_S: f64 = 100.0;

/// Remembers what processes had used, to tell what they use.
#[derive(Debug, Default)]
pub(super) struct CpuMeter {
    last: BTreeMap<u32, (Duration, u64)>,
}

impl CpuMeter {
    /// Percent of one core each process used since the last reading; nothing at the first, and
    /// where it cannot be read. Processes not named are forgotten.
    pub(super) fn read(&mut self, now: Duration, pids: &[u32]) -> BTreeMap<u32, f32> {
        let mut used = BTreeMap::new();
        let mut last = BTreeMap::new();
        for pid in pids {
            let Some(ticks) = ticks(*pid) else { continue };
            if let Some((then, before)) = self.last.get(pid)
                && now > *then
            {
                let seconds = ticks.saturating_sub(*before) as f64 / TICKS_PER_S;
                let percent = 100.0 * seconds / (now - *then).as_secs_f64();
                used.insert(*pid, percent as f32);
            }
            last.insert(*pid, (now, ticks));
        }
        self.last = last;
        used
    }
}

fn ticks(pid: u32) -> Option<u64> {
    // Not a file on a disk: reading it does not wait.
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
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
