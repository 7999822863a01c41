//! What a cluster of containers is made of, and the command line of each of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::names::{DEFAULT_NAME, Names};
use crate::cluster::Member;
use crate::cluster::local::{BASE_PORT, Durability, RELAY_PORT};

/// Where a node's link is set, inside its container.
pub(super) const LINK_CONTROL_PORT: u16 = 9000;

/// How to make a cluster of containers.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// What its containers, networks and volumes are called and labelled by.
    pub name: String,
    /// How many nodes.
    pub nodes: u8,
    /// On this machine; wished for, another is used if it is taken. 0 is any.
    pub relay_port: u16,
    /// Of the first node, wished for; the others follow. 0 is any for each.
    pub base_port: u16,
    /// Holds `logs/`.
    pub folder: PathBuf,
    /// Whether to delete `folder` on shutdown.
    pub temporary: bool,
    /// Whether what members have stored outlives the cluster.
    pub keep_volumes: bool,
    /// For all members.
    pub durability: Durability,
    /// The image members run in; made of this executable if absent.
    pub image: Option<String>,
    /// From start to the first answer on `/health`. Generous: a busy machine is not a fault.
    pub ready_within: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Further arguments for some members, such as a planted fault.
    pub extra_args: BTreeMap<Member, Vec<String>>,
}

impl DockerConfig {
    /// Three nodes under the default name and ports, with logs in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            name: DEFAULT_NAME.to_owned(),
            nodes: 3,
            relay_port: RELAY_PORT,
            base_port: BASE_PORT,
            folder,
            temporary: false,
            keep_volumes: true,
            durability: Durability::default(),
            image: None,
            ready_within: Duration::from_secs(60),
            grace: Duration::from_secs(5),
            extra_args: BTreeMap::new(),
        }
    }

    /// A cluster of its own beside all others: a random name, free ports, nothing kept.
    pub fn on_its_own(mut self) -> Self {
        self.name = format!("{DEFAULT_NAME}-{:08x}", rand::random::<u32>());
        self.relay_port = 0;
        self.base_port = 0;
        self.keep_volumes = false;
        self
    }

    pub(super) fn names(&self) -> Names {
        Names::new(&self.name)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Member> + use<> {
        std::iter::once(Member::Relay).chain((1..=self.nodes).map(Member::Node))
    }

    /// The port on this machine to try first.
    pub(super) fn wanted_port(&self, member: Member) -> u16 {
        match member {
            Member::Relay => self.relay_port,
            Member::Node(_) if self.base_port == 0 => 0,
            Member::Node(number) => self.base_port.saturating_add(u16::from(number) - 1),
        }
    }

    /// What a member's container is told to run; nodes dial `relay`, and those that no network can
    /// cut begin `held`.
    pub(super) fn command(&self, member: Member, relay: &str, held: bool) -> Vec<String> {
        let kind = match member {
            Member::Relay => "relay",
            Member::Node(_) => "node",
        };
        let mut command = vec![kind.to_owned()];
        let mut say = |flag: &str, value: String| {
            command.extend([flag.to_owned(), value]);
        };
        say("--port", port_inside(member).to_string());
        say("--durability", self.durability.to_string());
        if let Member::Node(_) = member {
            say("--node-id", member.to_string());
            say("--peers", format!("ws://{relay}/gun"));
            say("--link-control", format!("0.0.0.0:{LINK_CONTROL_PORT}"));
            command.push("--fault-api".to_owned());
            if held {
                command.push("--link-held".to_owned());
            }
        }
        command.extend(self.extra_args.get(&member).into_iter().flatten().cloned());
        command
    }
}

/// Where a member listens inside its container: as in docker-compose.yml.
pub(super) fn port_inside(member: Member) -> u16 {
    match member {
        Member::Relay => RELAY_PORT,
        Member::Node(number) => BASE_PORT + u16::from(number) - 1,
    }
}
