//! The program `loom-node`: arguments in, exit code out. Everything else is [`loom_node::run`].

use std::process::ExitCode;

use clap::Parser;
use loom_node::NodeArgs;

/// A LoomDB node: typed nodes and edges over REST, synchronised through a GUN relay.
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Examples:
  loom-node --peers ws://localhost:8765/gun
  NODE_ID=node-2 PORT=3002 GUN_PEERS=http://relay:8765/gun loom-node --data-dir ./node-2
  curl -X POST localhost:3000/nodes -H 'Content-Type: application/json' -d '{\"type\":\"task\"}'"
)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    match loom_node::run(Cli::parse().node).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loom-node: {error}");
            ExitCode::FAILURE
        }
    }
}
