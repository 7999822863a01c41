//! The `loom-relay` program.

use std::process::ExitCode;

use clap::Parser;
use loom_relay::RelayArgs;

/// A GUN relay: keeps the graph, passes writes on, answers gets.
#[derive(Debug, Parser)]
#[command(name = "loom-relay", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    relay: RelayArgs,
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
