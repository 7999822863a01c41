//! Starting a cluster that others can ask, and ending it.

mod background;
mod story;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::hosts::HostsArgs;
use super::signals::{EndSignals, LEFT_BEHIND, asked_to_end};
use super::{CliError, ClusterArgs, Exit, leftover, say};
use crate::cluster::{ClusterBackend, MemberStatus};
use crate::control::wire::Ask;
use crate::control::{Claim, Client, ConnectError, Server};
use story::Story;

/// How long a controller that has ended its cluster may take to end itself.
const HUNG_UP_WITHIN: Duration = Duration::from_secs(5);

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  loom-tui up                          in the foreground; a line per event; Ctrl-C ends it
  loom-tui up --detach                 returns when everything answers; `loom-tui down` ends it
  loom-tui up --nodes 5 --data-dir ./cluster --durability os
  loom-tui up --backend docker         in containers; what docker-compose has started is used")]
pub(super) struct UpArgs {
    #[command(flatten)]
    cluster: ClusterArgs,

    /// Return when everything answers, and leave it running
    #[arg(long)]
    detach: bool,

    /// What --detach starts: the same in a session of its own
    #[arg(long, hide = true, conflicts_with = "detach")]
    background: bool,
}

pub(super) async fn up(args: UpArgs, control: &Path) -> Result<Exit, CliError> {
    if args.detach {
        return background::start(&args.cluster, control).await;
    }
    if args.background {
        background::leave_terminal();
        let ended = run(args, control).await;
        if let Err(error) = &ended {
            background::report_failure(error);
        }
        return ended;
    }
    run(args, control).await
}

async fn run(args: UpArgs, control: &Path) -> Result<Exit, CliError> {
    let mut signals = asked_to_end().map_err(CliError::io("listen for signals"))?;
    // Claimed first: whoever comes second must not start anything.
    let claim = Claim::take(control, "up")?;
    let cluster = tokio::select! {
        opened = args.cluster.open() => opened?,
        signal = signals.next() => {
            eprintln!("loom-tui: {signal} while the cluster was being opened; {LEFT_BEHIND}");
            return Ok(Exit::Signalled(signal.exit_code()));
        }
    };
    let story = (!args.background).then(|| Story::tell(&*cluster));
    let ran = serve(&cluster, claim, &mut signals, args.background).await;
    // A second signal does not wait for members that take their time. Processes end with this one;
    // containers do not.
    let ended = tokio::select! {
        ended = cluster.shutdown() => ended.map(|()| Exit::Ok),
        signal = signals.next() => {
            eprintln!("loom-tui: {signal} again: not waiting any longer; {LEFT_BEHIND}");
            Ok(Exit::Signalled(signal.exit_code()))
        }
    };
    if let Some(story) = story {
        story.end().await;
    }
    ran?;
    Ok(ended?)
}

/// Starts everything, and returns when it is to end.
async fn serve(
    cluster: &Arc<dyn ClusterBackend>,
    claim: Claim,
    signals: &mut EndSignals,
    background: bool,
) -> Result<(), CliError> {
    let server = Server::open(claim, "up", cluster.clone())?;
    tokio::select! {
        started = cluster.start_all() => started?,
        _ = signals.next() => return Ok(()),
        () = server.down() => {
            server.close().await;
            return Ok(());
        }
    }
    if background {
        background::report(&**cluster).await;
    }
    tokio::select! {
        _ = signals.next() => {}
        () = server.down() => {}
    }
    server.close().await;
    Ok(())
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  loom-tui down
  loom-tui down --volumes              also what its containers have stored

Containers that a controller which was killed has left behind are removed too.")]
pub(super) struct DownArgs {
    /// Also delete the volumes of containers: everything they have stored
    #[arg(long)]
    volumes: bool,

    /// Where no controller answers, remove only the containers of this cluster
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    hosts: HostsArgs,
}

pub(super) async fn down(args: DownArgs, control: &Path) -> Result<Exit, CliError> {
    let only = args.name.as_deref();
    let client = match Client::connect(control, false).await {
        Ok(client) => client,
        Err(nobody @ ConnectError::Nobody(_)) => {
            let removed = leftover::remove(&args.hosts, args.volumes, only).await;
            return leftover::told(removed, &args.hosts, nobody);
        }
        Err(error) => return Err(error.into()),
    };
    let volumes = args.volumes;
    client.ask::<()>(Ask::Down { volumes }).await?;
    // It lets go of the socket before it hangs up: afterwards another `up` finds it free. If it
    // hangs instead, the cluster is down all the same.
    let _ = tokio::time::timeout(HUNG_UP_WITHIN, client.hung_up()).await;
    say("the cluster is down");
    Ok(Exit::Ok)
}

/// Where everything answers, for people.
fn addresses(members: &[MemberStatus]) -> Vec<String> {
    let line = |status: &MemberStatus| format!("{:<8} {}", status.member, status.url);
    members.iter().map(line).collect()
}

/// What the one in the background says over the pipe: its members, or a sentence.
type Started = Result<Vec<MemberStatus>, String>;
