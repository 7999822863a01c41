//! What is up, where, and what is wrong with it.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::{CliError, Exit, say};
use crate::cluster::{Life, Member, MemberStatus, RigError, Traffic, clock_text};
use crate::control::Client;
use crate::control::wire::{Ask, Hello};

/// How often a watched status is looked at when nothing happens: memory and traffic have no events.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  loom-tui status
  loom-tui status --json | jq '.members[] | select(.life != \"up\")'
  loom-tui status --watch         again whenever something changes, until Ctrl-C")]
pub(super) struct StatusArgs {
    /// One JSON object, or one per line with --watch
    #[arg(long)]
    json: bool,

    /// Again whenever something changes
    #[arg(long)]
    watch: bool,
}

/// Everything there is to say, in the shape `--json` prints.
#[derive(Debug, PartialEq, Serialize)]
struct Status {
    controller: Hello,
    members: Vec<Row>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Row {
    #[serde(flatten)]
    status: MemberStatus,
    traffic: Option<Traffic>,
}

pub(super) async fn status(args: StatusArgs, control: &Path) -> Result<Exit, CliError> {
    let client = Client::connect(control, false).await?;
    let mut shown = look(&client).await?;
    show(&shown, args.json);
    if !args.watch {
        return Ok(Exit::Ok);
    }
    let mut events = client.events();
    client.ask::<()>(Ask::Events).await?;
    loop {
        // Whatever happened: there is only one thing to do about it, and missed events are no loss.
        match timeout(LOOK_EVERY, events.recv()).await {
            Ok(Err(RecvError::Closed)) => return Ok(Exit::Ok),
            Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => {}
        }
        let next = look(&client).await?;
        if next != shown {
            show(&next, args.json);
            shown = next;
        }
    }
}

async fn look(client: &Client) -> Result<Status, RigError> {
    let statuses: Vec<MemberStatus> = client.ask(Ask::Members).await?;
    let mut members = Vec::new();
    for status in statuses {
        let traffic = match status.member {
            Member::Relay => None,
            node @ Member::Node(_) => client.ask(Ask::Traffic { node }).await?,
        };
        members.push(Row { status, traffic });
    }
    Ok(Status {
        controller: client.hello().clone(),
        members,
    })
}

fn show(status: &Status, json: bool) {
    if json {
        // Strings and numbers only: it always has a JSON form.
        say(&serde_json::to_string(status).unwrap_or_default());
    } else {
        for line in table(status) {
            say(&line);
        }
    }
}

fn table(status: &Status) -> Vec<String> {
    let Hello { holder, kind, .. } = &status.controller;
    let mut lines = vec![
        format!(
            "{kind} cluster, run by `{}` (pid {})",
            holder.what, holder.pid
        ),
        "MEMBER    STATE      URL                       PID      STARTS  MEMORY    LINK".to_owned(),
    ];
    for Row { status, .. } in &status.members {
        let pid = status.pid.map_or("-".to_owned(), |pid| pid.to_string());
        let memory = status.usage.memory.map_or("-".to_owned(), megabytes);
        let link = match status.member {
            Member::Relay => "-".to_owned(),
            Member::Node(_) => status.link.to_string(),
        };
        let mut line = format!(
            "{:<9} {:<10} {:<25} {pid:<8} {:<7} {memory:<9} {link}",
            status.member,
            life(status.life),
            status.url,
            status.generation,
        );
        if status.clock_ms != 0 {
            line.push_str(&format!("  (clock {})", clock_text(status.clock_ms)));
        }
        if let (Life::Dead, Some(how)) = (status.life, &status.last_exit) {
            line.push_str(&format!("  (ended by {how})"));
        }
        lines.push(line);
    }
    lines
}

fn life(life: Life) -> &'static str {
    match life {
        Life::Starting => "starting",
        Life::Up => "up",
        Life::Suspended => "suspended",
        Life::Stopped => "stopped",
        Life::Dead => "dead",
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
