//! The `loom-relay` program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loom_relay::RelayArgs;
use loom_relay::ask_health::{self, HealthArgs};

/// A GUN relay: keeps the graph, passes writes on, answers gets.
#[derive(Debug, Parser)]
#[command(name = "loom-relay", version, after_help = EXAMPLES,
          args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    relay: RelayArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a running relay whether it is well, as a container's health check does
    Health(HealthArgs),
}

const EXAMPLES: &str = "\
Examples:
  loom-relay                                     on 127.0.0.1:8765, in memory only
  loom-relay --bind 0.0.0.0 --data-dir ./graph   for everybody, kept on disk
  loom-relay --port 8766 --peers ws://127.0.0.1:8765/gun
                                                 a second relay linked to the first

Then point GUN at it: Gun(['http://127.0.0.1:8765/gun'])";

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Health(asked)) = cli.command {
        return health(&asked);
    }
    let outcome = loom_relay::runtime()
        .map_err(|error| format!("cannot start: {error}"))
        .and_then(|runtime| {
            runtime
                .block_on(loom_relay::run(cli.relay))
                .map_err(|error| error.to_string())
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("loom-relay: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn health(asked: &HealthArgs) -> ExitCode {
    match ask_health::ask(&asked.address(8765)) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(unhealthy) => {
            eprintln!("loom-relay: {unhealthy}");
            ExitCode::FAILURE
        }
    }
}
