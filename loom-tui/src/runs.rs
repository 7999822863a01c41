//! `runs/<time>-<name>/`: what is kept of a run, and `runs/latest`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::report::{self, Report};
use crate::scenario::Scenario;

/// Folders of one second and name; more are never made.
const SAME_NAME_MAX: u32 = 1_000;

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a run that begins `now` and points `latest` to it.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(runs: &Path, name: &str, now: SystemTime) -> io::Result<Self> {
        fs::create_dir_all(runs)?;
        let runs = std::path::absolute(runs)?;
        // Colons are a nuisance in paths.
        let stem = format!("{}-{}", report::utc(now).replace(':', "-"), safe(name));
        for number in 1..=SAME_NAME_MAX {
            let name = match number {
                1 => stem.clone(),
                more => format!("{stem}-{more}"),
            };
            let path = runs.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => {
                    point_latest(&runs, &name)?;
                    return Ok(Self { path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!(
            "there are {SAME_NAME_MAX} runs called {stem} already"
        )))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the history is written.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }

    /// Keeps the report, the latencies and the script.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn keep(&self, report: &Report, scenario: &Scenario, latencies: &[u8]) -> io::Result<()> {
        fs::write(self.path.join("latency.hlog"), latencies)?;
        let script = format!("{}.rhai", safe(&scenario.name));
        fs::write(self.path.join(script), scenario.source.as_bytes())?;
        fs::write(
            self.path.join("report.json"),
            report::json::print(report) + "\n",
        )
    }

    /// Deletes what the nodes stored: the report and the history say all there is to say.
    pub fn drop_data(&self) {
        // What cannot be deleted is left behind; it only takes up room.
        let _ = fs::remove_dir_all(self.path.join("data"));
    }
}

/// Replaces the link in one step: whoever follows it finds the old run or the new one.
fn point_latest(runs: &Path, name: &str) -> io::Result<()> {
    let staged = runs.join(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&staged);
    symlink(name, &staged)?;
    fs::rename(&staged, runs.join("latest"))
}

fn safe(name: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars()
        .map(|c| if keep(c) { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_the_newest_and_no_run_overwrites_another() {
        let runs = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH;
        let first = RunFolder::create(runs.path(), "a/b", now).unwrap();
        let second = RunFolder::create(runs.path(), "a/b", now).unwrap();
        assert!(first.path().ends_with("1970-01-01T00-00-00Z-a-b"));
        assert!(second.path().ends_with("1970-01-01T00-00-00Z-a-b-2"));
        let latest = fs::canonicalize(runs.path().join("latest")).unwrap();
        assert_eq!(latest, fs::canonicalize(second.path()).unwrap());
    }
}
