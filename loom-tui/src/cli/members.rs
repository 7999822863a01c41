//! Running one member in this process, as the local backend's children do.

use std::net::SocketAddr;

use clap::Args;
use loom_node::{NodeArgs, Plant};
use loom_relay::RelayArgs;

use super::Exit;
use crate::cluster::{die_with_parent, link_control};

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  loom-tui relay --port 8765 --data-dir ./graph")]
pub(super) struct RelayCommand {
    #[command(flatten)]
    relay: RelayArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  loom-tui node --node-id node-1 --port 3001 --peers ws://127.0.0.1:8765/gun")]
pub(super) struct NodeCommand {
    #[command(flatten)]
    node: NodeArgs,

    /// Be wrong on purpose, to prove that a tester finds it
    #[arg(long, value_enum, hide = true)]
    plant: Option<Plant>,

    /// Let the link to the relay be set from outside, at /link on this address
    #[arg(
        long,
        env = "LOOM_LINK_CONTROL",
        hide = true,
        value_name = "ADDRESS:PORT"
    )]
    link_control: Option<SocketAddr>,

    /// Begin with that link cut, for half a minute or until it is set
    #[arg(long, hide = true, requires = "link_control")]
    link_held: bool,
}

pub(super) async fn relay(command: RelayCommand) -> Exit {
    if command.relay.die_with_parent {
        die_with_parent();
    }
    ended(loom_relay::run(command.relay).await)
}

pub(super) async fn node(command: NodeCommand) -> Exit {
    let NodeCommand {
        node,
        plant,
        link_control,
        link_held,
    } = command;
    if node.die_with_parent {
        die_with_parent();
    }
    if plant.is_none() && link_control.is_none() {
        return ended(loom_node::run(node).await);
    }
    if let Err(error) = loom_relay::run::start_logging(&node.log) {
        return ended(Err(error));
    }
    let (address, die_with_parent) = (node.address(), node.die_with_parent);
    let mut config = match node.into_config() {
        Ok(config) => config,
        Err(error) => return ended(Err(error)),
    };
    config.plant = plant;
    if let Some(control) = link_control {
        match link_control::dial_through(&config.peers, control, link_held).await {
            Ok(instead) => config.peers = instead,
            Err(error) => return ended(Err(format!("--link-control {control}: {error}"))),
        }
    }
    ended(loom_node::run_config(address, config, die_with_parent).await)
}

/// As the programs loom-relay and loom-node end.
fn ended<E: std::fmt::Display>(outcome: Result<(), E>) -> Exit {
    match outcome {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("loom-tui: {error}");
            Exit::Failed
        }
    }
}
