//! The program on a bench: started in a folder of its own, watched until it ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to run in. Its path is short: sockets live in it.
#[derive(Debug)]
pub(crate) struct Bench {
    folder: TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a script and returns its name.
    pub(crate) fn script(&self, source: &str) -> &'static str {
        std::fs::write(self.path().join("my.rhai"), source).unwrap();
        "my.rhai"
    }

    /// The program with these arguments, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loom-tui"));
        command
            .args(args)
            .current_dir(self.path())
            .env("LOOM_CONTROL", self.path().join("control.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Starts it.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// The newest run's folder.
    pub(crate) fn latest(&self) -> PathBuf {
        std::fs::canonicalize(self.path().join("runs/latest")).unwrap()
    }

    /// The newest run's report.
    pub(crate) fn report(&self) -> Value {
        let text = std::fs::read_to_string(self.latest().join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The verdict of one checker in a report.
pub(crate) fn verdict<'r>(report: &'r Value, checker: &str) -> &'r str {
    let findings = report["findings"].as_array().unwrap();
    let finding = findings
        .iter()
        .find(|finding| finding["checker"] == checker);
    finding.unwrap()["verdict"].as_str().unwrap()
}
