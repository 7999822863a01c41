//! Starting a cluster that others can ask, and ending it.

mod background;
mod story;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::folder::cluster_folder;
use super::signals::{EndSignals, asked_to_end};
use super::{CliError, Exit, say};
use crate::cluster::local::{
    BASE_PORT, Durability, LocalCluster, LocalConfig, NODES_MAX, RELAY_PORT,
};
use crate::cluster::{ClusterBackend, MemberStatus};
use crate::control::wire::Ask;
use crate::control::{Claim, Client, Server};
use story::Story;

/// How long a controller that has ended its cluster may take to end itself.
const HUNG_UP_WITHIN: Duration = Duration::from_secs(5);

/// What cluster to make; the same flags wherever one is made.
#[derive(Args, Clone, Debug)]
pub struct ClusterArgs {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_name = "COUNT",
          value_parser = clap::value_parser!(u8).range(1..=i64::from(NODES_MAX)))]
    nodes: u8,

    /// Port of the first node, the others follow; where one is taken another is used. 0 is any
    #[arg(long, default_value_t = BASE_PORT, value_name = "PORT")]
    base_port: u16,

    /// Port of the relay; if it is taken another is used. 0 is any
    #[arg(long, default_value_t = RELAY_PORT, value_name = "PORT")]
    relay_port: u16,

    /// Keep data and logs here; without it they are deleted when the cluster ends
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// What an acknowledged write survives: a power cut, a killed process, or nothing
    #[arg(long, value_enum, default_value_t)]
    durability: Durability,
}

impl ClusterArgs {
    /// The cluster they describe, made of this executable.
    ///
    /// # Errors
    /// When this executable cannot be found.
    pub fn into_config(self) -> Result<LocalConfig, CliError> {
        let program = std::env::current_exe().map_err(CliError::io("find this executable"))?;
        let temporary = self.data_dir.is_none();
        let folder = self.data_dir.unwrap_or_else(cluster_folder);
        // Members may be told of it from elsewhere.
        let folder = std::path::absolute(&folder).map_err(CliError::io("find the data folder"))?;
        Ok(LocalConfig {
            nodes: self.nodes,
            base_port: self.base_port,
            relay_port: self.relay_port,
            temporary,
            durability: self.durability,
            ..LocalConfig::new(folder, program)
        })
    }
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  loom-tui up                          in the foreground; a line per event; Ctrl-C ends it
  loom-tui up --detach                 returns when everything answers; `loom-tui down` ends it
  loom-tui up --nodes 5 --data-dir ./cluster --durability os")]
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
    let cluster = LocalCluster::open(args.cluster.into_config()?).await?;
    let backend: Arc<dyn ClusterBackend> = cluster.clone();
    let story = (!args.background).then(|| Story::tell(&*backend));
    let ran = serve(&cluster, claim, &mut signals, args.background).await;
    // A second signal does not wait for members that take their time: they are killed instead.
    let ended = tokio::select! {
        ended = cluster.shutdown() => ended,
        _ = signals.next() => Ok(()),
    };
    if let Some(story) = story {
        story.end().await;
    }
    ran?;
    ended?;
    Ok(Exit::Ok)
}

/// Starts everything, and returns when it is to end.
async fn serve(
    cluster: &Arc<LocalCluster>,
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
        background::report(cluster).await;
    }
    tokio::select! {
        _ = signals.next() => {}
        () = server.down() => {}
    }
    server.close().await;
    Ok(())
}

pub(super) async fn down(control: &Path) -> Result<Exit, CliError> {
    let client = Client::connect(control, false).await?;
    client.ask::<()>(Ask::Down).await?;
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
