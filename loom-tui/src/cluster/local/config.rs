//! What a local cluster is made of, and the command line of each of its processes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::cluster::Member;

/// Port of the relay if it is free; GUN's own default.
pub const RELAY_PORT: u16 = 8765;
/// Port of the first node if it is free; the others follow.
pub const BASE_PORT: u16 = 3001;
/// Members that a cluster can have: one port and three threads each.
pub const NODES_MAX: u8 = 32;

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Durability {
    /// A power cut: fsync before the answer.
    #[default]
    Sync,
    /// A killed process: the system has it before the answer.
    Os,
    /// Nothing: memory only.
    None,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "sync",
            Self::Os => "os",
            Self::None => "none",
        })
    }
}

/// How to make a local cluster.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// From 1 to [`NODES_MAX`].
    pub nodes: u8,
    /// Wished for; another is used if it is taken. 0 is any.
    pub relay_port: u16,
    /// Of the first node, wished for; the others follow. 0 is any for each.
    pub base_port: u16,
    /// Holds `logs/` and `data/`.
    pub folder: PathBuf,
    /// Whether to delete `folder` on shutdown.
    pub temporary: bool,
    /// For all nodes.
    pub durability: Durability,
    /// An executable with the subcommands `relay` and `node`: this one.
    pub program: PathBuf,
    /// From start to the first answer on `/health`. Generous: a busy machine is not a fault.
    pub ready_within: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Further arguments for some members, such as a planted fault.
    pub extra_args: BTreeMap<Member, Vec<String>>,
}

impl LocalConfig {
    /// Three nodes on the default ports, in `folder`, made of `program`.
    pub fn new(folder: PathBuf, program: PathBuf) -> Self {
        Self {
            nodes: 3,
            relay_port: RELAY_PORT,
            base_port: BASE_PORT,
            folder,
            temporary: false,
            durability: Durability::default(),
            program,
            ready_within: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            extra_args: BTreeMap::new(),
        }
    }

    /// All ports free ones, as tests need it.
    pub fn on_any_ports(mut self) -> Self {
        self.relay_port = 0;
        self.base_port = 0;
        self
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Member> {
        std::iter::once(Member::Relay).chain((1..=self.nodes).map(Member::Node))
    }

    /// The port to try first.
    pub(super) fn wanted_port(&self, member: Member) -> u16 {
        match member {
            Member::Relay => self.relay_port,
            Member::Node(_) if self.base_port == 0 => 0,
            Member::Node(number) => self.base_port.saturating_add(u16::from(number) - 1),
        }
    }

    pub(super) fn log_path(&self, member: Member) -> PathBuf {
        self.folder.join("logs").join(format!("{member}.log"))
    }

    pub(super) fn data_path(&self, member: Member) -> PathBuf {
        self.folder.join("data").join(member.to_string())
    }

    /// The command that runs `member` on `port`; a node dials `relay`.
    pub(super) fn command(&self, member: Member, port: u16, relay: Option<SocketAddr>) -> Command {
        let mut command = Command::new(&self.program);
        // What the user's shell holds for clusters of their own is not for this one.
        for name in ["GUN_PEERS", "PORT", "NODE_ID"] {
            command.env_remove(name);
        }
        command.arg(match member {
            Member::Relay => "relay",
            Member::Node(_) => "node",
        });
        command.arg("--die-with-parent");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--data-dir").arg(self.data_path(member));
        command.args(["--durability", &self.durability.to_string()]);
        if let Member::Node(_) = member {
            command.args(["--node-id", &member.to_string()]);
        }
        if let Some(relay) = relay {
            command.args(["--peers", &format!("ws://{relay}/gun")]);
        }
        command.args(self.extra_args.get(&member).into_iter().flatten());
        command
    }
}
