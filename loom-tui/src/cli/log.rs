//! Showing what a member prints.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::{CliError, Exit, say};
use crate::cluster::{Member, RigError};
use crate::control::Client;
use crate::control::wire::Ask;

/// How often a followed file is looked at: there is no event for "it has grown" everywhere.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  loom-tui logs node-1            the last 50 lines
  loom-tui logs relay -n 500
  loom-tui logs node-2 -f         and then whatever comes, until Ctrl-C")]
pub(super) struct LogArgs {
    /// relay, node-1, node-2, …
    member: Member,

    /// How many of the newest lines; the last 2000 are in memory, the file has all
    #[arg(short = 'n', long, default_value_t = 50, value_name = "COUNT")]
    lines: usize,

    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
}

pub(super) async fn logs(args: LogArgs, control: &Path) -> Result<Exit, CliError> {
    let LogArgs {
        member,
        lines,
        follow,
    } = args;
    let client = Client::connect(control, false).await?;
    let logs = &client.hello().logs;
    let path = logs.get(&member).cloned();
    if path.is_none() && !logs.is_empty() {
        return Err(CliError::Rig(RigError {
            doing: format!("show the log of {member}"),
            reason: format!("this cluster has the relay and {} nodes", logs.len() - 1),
            next_step: "name one of them".to_owned(),
            refused: false,
        }));
    }
    // Where the file ends now: what follows is not in the tail, or is repeated once at most.
    let mut file = match &path {
        Some(path) if follow => {
            let doing = format!("open {}", path.display());
            let mut file = File::open(path)
                .await
                .map_err(CliError::io(doing.clone()))?;
            file.seek(SeekFrom::End(0))
                .await
                .map_err(CliError::io(doing))?;
            Some(file)
        }
        _ => None,
    };
    let tail: Vec<String> = client.ask(Ask::LogTail { member, lines }).await?;
    for line in tail {
        say(&line);
    }
    if !follow {
        return Ok(Exit::Ok);
    }
    let Some(file) = &mut file else {
        let sentence = format!("{member} has no log file on this machine to follow");
        return Err(CliError::Usage(sentence));
    };
    let mut new = String::new();
    loop {
        let read = file.read_to_string(&mut new).await;
        read.map_err(CliError::io(format!("follow the log of {member}")))?;
        while let Some(end) = new.find('\n') {
            say(&new[..end]);
            new.drain(..=end);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
