//! The program: reads the command line, runs it, and ends with the code it says.

use std::process::ExitCode;

fn main() -> ExitCode {
    loom_tui::cli::main()
}
