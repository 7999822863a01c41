//! The command line: every thing the dashboard does has a command here.
//!
//! [`main`] is its one door. Exit codes are those of Jepsen and Maelstrom: see [`Exit`].

mod cluster;
mod dashboard;
mod doctor;
mod faults;
mod folder;
mod hosts;
mod image;
mod leftover;
mod lives;
mod log;
mod members;
mod platform;
pub(crate) mod quantity;
mod signals;
mod status;
mod up;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loom_relay::ask_health::HealthArgs;
use tokio::runtime::{Builder, Runtime};

use crate::cluster::RigError;
use crate::control::{ClaimError, ConnectError, default_path};
use crate::scenario::cli as scenario;
use crate::selftest::{SelftestArgs, selftest};

pub use cluster::ClusterArgs;
pub use folder::cluster_folder;
pub use platform::{Backend, Platform};
pub use signals::cancelled_when_asked_to_end;

/// Start a small cluster of an eventually consistent graph database, break it on purpose, and see
/// what happens.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    /// Socket of the process that runs the cluster
    #[arg(long, global = true, env = "LOOM_CONTROL", value_name = "PATH")]
    control: Option<PathBuf>,

    /// Instead of the dashboard, run every scenario and exit with the verdict, as without a terminal
    #[arg(long)]
    headless: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  loom-tui                    the dashboard, on a relay and three nodes of its own
  loom-tui run --all          every scenario on clusters of its own, and a verdict
  loom-tui up --detach        start a relay and three nodes, and leave them running
  loom-tui status             what is up, where, and what is wrong with it
  loom-tui cut node-2         cut one node off; `loom-tui heal` mends everything
  loom-tui down               end the cluster

Exit codes: 0 done or passed, 1 failed, 2 unknown, 254 bad arguments, 255 the rig broke.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster and watch, break and heal it in the terminal; also without any command
    Dashboard(dashboard::DashboardArgs),
    /// Print what every key of the dashboard does
    #[command(after_help = "\
Example:
  loom-tui keys | less")]
    Keys,
    /// Play scenarios without a terminal; ends in a verdict and an exit code
    Run(scenario::RunArgs),
    /// Plant bugs in clusters of its own, and show that each checker finds its own
    Selftest(SelftestArgs),
    /// List the built-in scenarios and their parameters
    Scenarios(scenario::ScenariosArgs),
    /// Start a cluster of real processes or containers
    Up(up::UpArgs),
    /// End the cluster that is running
    Down(up::DownArgs),
    /// What is up, where, and what is wrong with it
    Status(status::StatusArgs),
    /// Start members; returns when they answer
    Start(lives::Members),
    /// Ask members to end (SIGTERM), and insist after a grace period
    Stop(lives::Members),
    /// End members as a power cut would (SIGKILL)
    Kill(lives::Members),
    /// Stop members and start them again
    Restart(lives::Members),
    /// Freeze members (SIGSTOP); their connections stay open and silent
    Suspend(lives::Members),
    /// Thaw suspended members (SIGCONT)
    Resume(lives::Members),
    /// Delete what stopped or dead members have stored
    Wipe(lives::Members),
    /// Cut nodes off from the relay, silently: no connection is closed
    Cut(faults::CutArgs),
    /// Make nodes' links slow or narrow
    Degrade(faults::DegradeArgs),
    /// End faults: clear links and resume what is suspended
    Heal(faults::HealArgs),
    /// Show what a member prints
    Logs(log::LogArgs),
    /// Check what a cluster needs from this machine, and say what mends it
    Doctor(doctor::DoctorArgs),
    /// Make the Docker image that members run in
    Image(image::ImageCommand),
    /// Ask one member whether it answers, as a container's health check does
    #[command(after_help = "\
Example:
  loom-tui health 127.0.0.1:3001")]
    Health(HealthArgs),
    /// Delete everything in a folder, as a volume is emptied from inside
    #[command(hide = true)]
    WipeData {
        /// Which folder
        folder: PathBuf,
    },
    /// Run one relay in the foreground
    #[command(hide = true)]
    Relay(members::RelayCommand),
    /// Run one node in the foreground
    #[command(hide = true)]
    Node(Box<members::NodeCommand>),
}

impl Command {
    /// Members are made for one thread; what drives and watches them is not.
    fn runtime(&self) -> io::Result<Runtime> {
        match self {
            Self::Relay(_) | Self::Node(_) => loom_relay::runtime(),
            _ => Builder::new_multi_thread().enable_all().build(),
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or every scenario passed.
    Ok,
    /// A scenario failed.
    Failed,
    /// A scenario measured too little to say.
    Unknown,
    /// The command line makes no sense.
    Usage,
    /// The rig or the tool broke: no cluster, no port, no permission.
    Rig,
    /// A signal asked it to end; the code is 128 and the signal's number.
    Signalled(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Unknown => 2,
            Exit::Usage => 254,
            Exit::Rig => 255,
            Exit::Signalled(code) => code,
        })
    }
}

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Nobody to ask.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Somebody else runs a cluster.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The backend could not.
    #[error("{0}")]
    Rig(#[from] RigError),
    /// Arguments that are right one by one and make no sense together.
    #[error("{0}")]
    Usage(String),
    /// What a process in the background said.
    #[error("{0}")]
    Background(String),
    /// The system refuses.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system says.
        error: io::Error,
    },
}

impl CliError {
    /// With what to exit.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Connect(_)
            | Self::Claim(_)
            | Self::Rig(_)
            | Self::Background(_)
            | Self::Io { .. } => Exit::Rig,
        }
    }

    /// Makes a system's error one of ours.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Io { doing, error }
    }
}

/// Runs the command line this process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes. Nothing to do when even printing fails.
            let _ = error.print();
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            return exit.into();
        }
    };
    let command = match (cli.command, cli.headless) {
        (None, headless) => by_default(headless, dashboard::has_terminal()),
        (Some(command), false) => command,
        (Some(_), true) => {
            eprintln!(
                "loom-tui: --headless stands alone: every command with a name needs no terminal"
            );
            return Exit::Usage.into();
        }
    };
    let control = cli.control.unwrap_or_else(default_path);
    let runtime = match command.runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("loom-tui: cannot start: {error}");
            return Exit::Rig.into();
        }
    };
    let ended = runtime.block_on(dispatch(command, control));
    // What is still running in the background has nothing more to say.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("loom-tui: {error}");
            error.exit().into()
        }
    }
}

/// What no command at all means: the dashboard, or every scenario where nobody could see it.
fn by_default(headless: bool, seen: bool) -> Command {
    if !headless && !seen {
        eprintln!("loom-tui: no terminal for the dashboard: this is `loom-tui run --all`");
    }
    let words: &[&str] = match headless || !seen {
        true => &["loom-tui", "run", "--all"],
        false => &["loom-tui", "dashboard"],
    };
    let command = Cli::try_parse_from(words).ok().and_then(|cli| cli.command);
    command.expect("both are whole commands; a test parses them")
}

async fn dispatch(command: Command, control: PathBuf) -> Result<Exit, CliError> {
    match command {
        Command::Dashboard(args) => dashboard::dashboard(args, &control).await,
        Command::Keys => {
            say(crate::ui::keymap::as_text().trim_end());
            Ok(Exit::Ok)
        }
        Command::Run(args) => scenario::run(args, &control).await,
        Command::Selftest(args) => selftest(args).await,
        Command::Scenarios(args) => scenario::scenarios(args),
        Command::Up(args) => up::up(args, &control).await,
        Command::Down(args) => up::down(args, &control).await,
        Command::Status(args) => status::status(args, &control).await,
        Command::Start(members) => members.each(&control, lives::Verb::Start).await,
        Command::Stop(members) => members.each(&control, lives::Verb::Stop).await,
        Command::Kill(members) => members.each(&control, lives::Verb::Kill).await,
        Command::Restart(members) => members.each(&control, lives::Verb::Restart).await,
        Command::Suspend(members) => members.each(&control, lives::Verb::Suspend).await,
        Command::Resume(members) => members.each(&control, lives::Verb::Resume).await,
        Command::Wipe(members) => members.each(&control, lives::Verb::Wipe).await,
        Command::Cut(args) => faults::cut(args, &control).await,
        Command::Degrade(args) => faults::degrade(args, &control).await,
        Command::Heal(args) => faults::heal(args, &control).await,
        Command::Logs(args) => log::logs(args, &control).await,
        Command::Doctor(args) => doctor::doctor(args, &control).await,
        Command::Image(command) => image::image(command).await,
        Command::Health(asked) => Ok(image::health(&asked)),
        Command::WipeData { folder } => image::wipe_data(&folder),
        Command::Relay(command) => Ok(members::relay(command).await),
        Command::Node(command) => Ok(members::node(*command).await),
    }
}

/// Prints a line; a reader that has gone (as `| head` does) is no error worth a word.
pub(crate) fn say(line: &str) {
    use io::Write as _;
    let _ = writeln!(io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_the_dashboard_where_somebody_sees_it() {
        assert!(matches!(by_default(true, false), Command::Run(_)));
        assert!(matches!(by_default(true, true), Command::Run(_)));
        assert!(matches!(by_default(false, false), Command::Run(_)));
        assert!(matches!(by_default(false, true), Command::Dashboard(_)));
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let hidden = command.is_hide_set() || command.get_name() == "help";
            let help = command.get_after_help().map(ToString::to_string);
            let shows = help.is_some_and(|help| help.contains("loom-tui "));
            assert!(hidden || shows, "`{}` has no example", command.get_name());
        }
    }
}
