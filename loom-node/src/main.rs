//! The `loom-node` program.

use std::process::ExitCode;

use clap::Parser;
use loom_node::NodeArgs;

/// A LoomDB node: typed nodes and edges over REST, synchronised through a GUN relay.
#[derive(Debug, Parser)]
#[command(name = "loom-node", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
}

const EXAMPLES: &str = "\
Examples:
  loom-node --peers ws://127.0.0.1:8765/gun     on 127.0.0.1:3000, in memory only
  NODE_ID=node-2 PORT=3002 GUN_PEERS=http://relay:8765/gun loom-node --data-dir ./node-2
                                                named, kept on disk, with LoomDB's variables

Then: curl -X POST localhost:3000/nodes -H 'Content-Type: application/json' -d '{\"type\":\"task\"}'";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = loom_relay::runtime()
        .map_err(|error| format!("cannot start: {error}"))
        .and_then(|runtime| {
            runtime
                .block_on(loom_node::run(cli.node))
                .map_err(|error| error.to_string())
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("loom-node: {sentence}");
            ExitCode::FAILURE
        }
    }
}
