//! Cutting, degrading and healing links.
//!
//! Faults compose: a cut leaves a latency as it was, and the other way round. `heal` ends all.

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::hosts::HostsArgs;
use super::quantity::{bandwidth, duration, permille};
use super::{CliError, Exit, leftover, say};
use crate::cluster::{Flow, Link, Member, MemberStatus, RigError};
use crate::control::wire::Ask;
use crate::control::{Client, ConnectError};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  loom-tui cut node-2                     both directions, until healed
  loom-tui cut node-1 node-3 --for 30s    heals by itself
  loom-tui cut node-2 --direction up      the relay no longer hears it; it still hears the relay")]
pub(super) struct CutArgs {
    /// Nodes to cut off from the relay
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<Member>,

    /// Which way nothing passes any more: up is from the node to the relay
    #[arg(long, value_enum, default_value_t)]
    direction: Way,

    /// Heal by itself after this time, such as 30s
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    lease: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  loom-tui degrade node-2 --latency 80ms --jitter 20ms
  loom-tui degrade node-1 --bandwidth 1mbit --for 2m
  loom-tui degrade node-3 --latency 300ms --loss 2% --direction down")]
pub(super) struct DegradeArgs {
    /// Nodes whose links to degrade
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<Member>,

    /// Added to everything that passes
    #[arg(long, value_parser = duration, value_name = "TIME")]
    latency: Option<Duration>,

    /// Uniform around the latency, at most ± this; order is kept
    #[arg(long, value_parser = duration, value_name = "TIME")]
    jitter: Option<Duration>,

    /// At most this per second: 1mbit and 500kbit are bits, 64kb and 1mb are bytes
    #[arg(long, value_parser = bandwidth, value_name = "RATE")]
    bandwidth: Option<u64>,

    /// This share is lost and sent again, as TCP does: 200 ms later or more, and the rest waits
    #[arg(long, value_parser = permille, value_name = "SHARE")]
    loss: Option<u16>,

    /// Which way: up is from the node to the relay
    #[arg(long, value_enum, default_value_t)]
    direction: Way,

    /// Heal by itself after this time, such as 2m
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    lease: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  loom-tui heal             every link and everything that is suspended
  loom-tui heal node-2      only this one

Containers are healed also when the process that broke them is gone.")]
pub(super) struct HealArgs {
    /// Members to heal; all of them if none is named
    #[arg(value_name = "MEMBER|all")]
    members: Vec<String>,

    /// Where no controller answers, heal only the containers of this cluster
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    hosts: HostsArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Way {
    #[default]
    Both,
    Up,
    Down,
}

impl Way {
    fn apply(self, link: &mut Link, change: impl Fn(&mut Flow)) {
        if self != Self::Down {
            change(&mut link.up);
        }
        if self != Self::Up {
            change(&mut link.down);
        }
    }
}

pub(super) async fn cut(args: CutArgs, control: &Path) -> Result<Exit, CliError> {
    let CutArgs {
        nodes,
        direction,
        lease,
    } = args;
    change(control, nodes, direction, lease, |flow| flow.cut = true).await
}

pub(super) async fn degrade(args: DegradeArgs, control: &Path) -> Result<Exit, CliError> {
    let DegradeArgs {
        nodes,
        latency,
        jitter,
        bandwidth,
        loss,
        direction,
        lease,
    } = args;
    if latency.is_none() && jitter.is_none() && bandwidth.is_none() && loss.is_none() {
        let sentence = "nothing to degrade: give --latency, --jitter, --bandwidth or --loss";
        return Err(CliError::Usage(sentence.to_owned()));
    }
    let degrade = |flow: &mut Flow| {
        flow.latency = latency.unwrap_or(flow.latency);
        flow.jitter = jitter.unwrap_or(flow.jitter);
        flow.bandwidth = bandwidth.or(flow.bandwidth);
        flow.loss_permille = loss.unwrap_or(flow.loss_permille);
    };
    change(control, nodes, direction, lease, degrade).await
}

async fn change(
    control: &Path,
    nodes: Vec<Member>,
    way: Way,
    lease: Option<Duration>,
    change: impl Fn(&mut Flow),
) -> Result<Exit, CliError> {
    let client = Client::connect(control, false).await?;
    let members: Vec<MemberStatus> = client.ask(Ask::Members).await?;
    for node in nodes {
        let status = members.iter().find(|status| status.member == node);
        // Of a node that is not there the backend says so itself.
        let mut link = status.map_or_else(Link::default, |status| status.link);
        way.apply(&mut link, &change);
        set_link(&client, node, link, lease).await?;
        let until = lease.map_or_else(String::new, |lease| format!(" for {lease:?}"));
        say(&format!("{node} link {link}{until}"));
    }
    Ok(Exit::Ok)
}

async fn set_link(
    client: &Client,
    node: Member,
    link: Link,
    lease: Option<Duration>,
) -> Result<(), RigError> {
    let lease_ms = lease.map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
    let ask = Ask::SetLink {
        node,
        link,
        lease_ms,
    };
    client.ask(ask).await
}

pub(super) async fn heal(args: HealArgs, control: &Path) -> Result<Exit, CliError> {
    let everything = args.members.iter().all(|member| member == "all");
    let members = args.members.iter().filter(|member| *member != "all");
    let members: Vec<Member> = members
        .map(|member| member.parse())
        .collect::<Result<_, _>>()
        .map_err(|error: crate::cluster::UnknownMember| CliError::Usage(error.to_string()))?;
    let client = match Client::connect(control, false).await {
        Ok(client) => client,
        Err(nobody @ ConnectError::Nobody(_)) => {
            let named = if everything { &[][..] } else { &members };
            let healed = leftover::heal(&args.hosts, named, args.name.as_deref()).await;
            return leftover::told(healed, &args.hosts, nobody);
        }
        Err(error) => return Err(error.into()),
    };
    if everything {
        client.ask::<()>(Ask::Heal).await?;
        say("everything healed");
        return Ok(Exit::Ok);
    }
    for member in members {
        client.ask::<()>(Ask::Resume { member }).await?;
        if let Member::Node(_) = member {
            set_link(&client, member, Link::default(), None).await?;
        }
        say(&format!("{member} healed"));
    }
    Ok(Exit::Ok)
}
