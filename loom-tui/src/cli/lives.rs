//! Starting, ending, freezing and wiping members.

use std::path::Path;

use clap::Args;

use super::{CliError, Exit, say};
use crate::cluster::{Member, RigError};
use crate::control::Client;
use crate::control::wire::Ask;

/// Members to do something to, one after the other.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  loom-tui kill node-2
  loom-tui restart relay
  loom-tui suspend n1 n3      node-1 and node-3")]
pub(super) struct Members {
    /// relay, node-1, node-2, … (n1 and 1 work too)
    #[arg(required = true, value_name = "MEMBER")]
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Kill,
    Restart,
    Suspend,
    Resume,
    Wipe,
}

impl Verb {
    fn done(self) -> &'static str {
        match self {
            Self::Start => "up",
            Self::Stop => "stopped",
            Self::Kill => "killed",
            Self::Restart => "restarted",
            Self::Suspend => "suspended",
            Self::Resume => "resumed",
            Self::Wipe => "wiped",
        }
    }

    async fn perform(self, client: &Client, member: Member) -> Result<(), RigError> {
        match self {
            Self::Start => client.ask(Ask::Start { member }).await,
            Self::Stop => client.ask(Ask::Stop { member }).await,
            Self::Kill => client.ask(Ask::Kill { member }).await,
            Self::Suspend => client.ask(Ask::Suspend { member }).await,
            Self::Resume => client.ask(Ask::Resume { member }).await,
            Self::Wipe => client.ask(Ask::Wipe { member }).await,
            Self::Restart => {
                client.ask::<()>(Ask::Stop { member }).await?;
                client.ask(Ask::Start { member }).await
            }
        }
    }
}

impl Members {
    pub(super) async fn each(self, control: &Path, verb: Verb) -> Result<Exit, CliError> {
        let client = Client::connect(control, false).await?;
        for member in self.members {
            verb.perform(&client, member).await?;
            say(&format!("{member} {}", verb.done()));
        }
        Ok(Exit::Ok)
    }
}
