//! The `loom-node` program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loom_node::NodeArgs;
use loom_relay::ask_health::{self, HealthArgs};

/// A LoomDB node: typed nodes and edges over REST, synchronised through a GUN relay.
#[derive(Debug, Parser)]
#[command(name = "loom-node", version, after_help = EXAMPLES,
          args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a running node whether it is well, as a container's health check does
    Health(HealthArgs),
}

const EXAMPLES: &str = "\
Examples:
  loom-node --peers ws://127.0.0.1:8765/gun     on 127.0.0.1:3000, in memory only
  NODE_ID=node-2 PORT=3002 GUN_PEERS=http://relay:8765/gun loom-node --data-dir ./node-2
                                                named, kept on disk, with LoomDB's variables

Then: curl -X POST localhost:3000/nodes -H 'Content-Type: application/json' -d '{\"type\":\"task\"}'";

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Health(asked)) = cli.command {
        return health(&asked);
    }
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

fn health(asked: &HealthArgs) -> ExitCode {
    match ask_health::ask(&asked.address(3000)) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(unhealthy) => {
            eprintln!("loom-node: {unhealthy}");
            ExitCode::FAILURE
        }
    }
}
