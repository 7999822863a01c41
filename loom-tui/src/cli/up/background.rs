//! A cluster that outlives the command that started it.
//!
//! `up --detach` starts itself again as `up --background` with a pipe as standard output, and
//! waits for one line of JSON there: what has been started, or why not. The one in the background
//! leaves the terminal's session, so that closing the terminal does not end it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{ClusterArgs, Started, addresses};
use crate::cli::{CliError, Exit, say};
use crate::cluster::ClusterBackend;
use crate::control::{Claim, state_folder};

pub(super) async fn start(args: &ClusterArgs, control: &Path) -> Result<Exit, CliError> {
    // Refused here already, where somebody reads it; taken again by the one in the background.
    drop(Claim::take(control, "up")?);
    let program = std::env::current_exe().map_err(CliError::io("find this executable"))?;
    let log = state_folder().join("controller.log");
    let doing = format!("write {}", log.display());
    std::fs::create_dir_all(state_folder()).map_err(CliError::io(doing.clone()))?;
    let errors = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(CliError::io(doing))?;
    let mut command = Command::new(program);
    command
        .arg("up")
        .arg("--background")
        .arg("--control")
        .arg(control);
    command.args(args.to_flags());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors);
    let mut child = command
        .spawn()
        .map_err(CliError::io("start a process in the background"))?;
    let output = child.stdout.take().expect("its standard output is piped");
    let mut line = String::new();
    let read = BufReader::new(output).read_line(&mut line).await;
    read.map_err(CliError::io("hear from the process in the background"))?;
    let started = serde_json::from_str(&line).unwrap_or_else(|_| {
        let log = log.display();
        Started::Err(format!(
            "the process in the background ended before it said anything; see {log}, or try \
             without --detach"
        ))
    });
    for line in addresses(&started.map_err(CliError::Background)?) {
        say(&line);
    }
    let pid = child.id().unwrap_or_default();
    say(&format!(
        "running in the background (pid {pid}): `loom-tui down` ends it"
    ));
    Ok(Exit::Ok)
}

/// Leaves the terminal's session. To be called before any child is started: they have to be in
/// ours, or nobody thaws the frozen ones if this process is killed.
pub(super) fn leave_terminal() {
    if let Err(error) = rustix::process::setsid() {
        eprintln!(
            "loom-tui: cannot leave the terminal's session, its end may end this too: {error}"
        );
    }
}

/// Says over standard output that everything is up.
pub(super) async fn report(cluster: &dyn ClusterBackend) {
    tell(&Ok(cluster.members().await));
}

/// Says over standard output why there is no cluster.
pub(super) fn report_failure(error: &CliError) {
    tell(&Err(error.to_string()));
}

fn tell(started: &Started) {
    // Strings and numbers only: it always has a JSON form.
    let line = serde_json::to_string(started).unwrap_or_default();
    let mut output = std::io::stdout();
    // Whoever started us reads one line and is gone; the cluster is up all the same.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
