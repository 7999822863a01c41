//! How a node is set up: from the command line and the environment, or by a program.
//!
//! [`NodeArgs`] is what people write, [`NodeConfig`] what [`crate::serve`] takes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use loom_relay::driver::{DriverConfig, InvalidPeerUrl, PeerUrl};
use loom_relay::store::Durability;

use crate::feed::Limits;
use crate::limits::ID_BYTES_MAX;
use crate::plant::Plant;

/// The command line of a node; every flag but the hidden ones has an environment variable.
#[derive(Args, Clone, Debug)]
pub struct NodeArgs {
    /// Name of this node: in `createdBy`, in /health, and in its canary [default: host name]
    #[arg(long, env = "NODE_ID", value_name = "NAME")]
    pub node_id: Option<String>,

    /// Port of the REST API; 0 takes a free one and says which
    #[arg(long, env = "PORT", default_value_t = 3000)]
    pub port: u16,

    /// Address to listen on; 0.0.0.0 or :: to be reached from other machines
    #[arg(
        long,
        env = "BIND",
        default_value = "127.0.0.1",
        value_name = "ADDRESS"
    )]
    pub bind: IpAddr,

    /// Relays to keep a link to, separated by commas, such as ws://localhost:8765/gun
    #[arg(long, env = "GUN_PEERS", value_delimiter = ',', value_name = "URLS")]
    pub peers: Vec<String>,

    /// Directory to keep the graph in; without one it lives in memory and ends with the process
    #[arg(long, env = "DATA_DIR", value_name = "PATH")]
    pub data_dir: Option<PathBuf>,

    /// What an acknowledged write survives: loss of power, of the process, or nothing
    #[arg(long, env = "DURABILITY", value_enum, default_value_t)]
    pub durability: Durability,

    /// Also write LoomDB's index souls, so that original nodes answer filtered queries
    #[arg(long, env = "LEGACY_INDEX")]
    pub legacy_index: bool,

    /// How long a link may be silent before it counts as cut, such as 5s or 800ms
    #[arg(long, env = "PING_TIMEOUT", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub ping_timeout: Duration,

    /// What to log, as in RUST_LOG: error, warn, info, debug, or loom_relay=debug,info
    #[arg(long, env = "LOOM_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// End when standard input does: for programs that start nodes and must not leave any behind
    #[arg(long, hide = true)]
    pub die_with_parent: bool,
}

/// A node, as a program starts one.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name.
    pub node_id: String,
    /// Links to keep.
    pub peers: Vec<PeerUrl>,
    /// Where the graph is kept; `None` is in memory.
    pub data_dir: Option<PathBuf>,
    /// What an acknowledged write survives; means nothing without `data_dir`.
    pub durability: Durability,
    /// Also write LoomDB's index souls.
    pub legacy_index: bool,
    /// How long a link may be silent.
    pub ping_timeout: Duration,
    /// How much the change feed remembers.
    pub feed: Limits,
    /// A fault to be found; see [`Plant`].
    pub plant: Option<Plant>,
}

/// Arguments that make no node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// A peer that cannot be dialled.
    #[error(transparent)]
    Peer(#[from] InvalidPeerUrl),
    /// A name that cannot be a field of GUN's graph.
    #[error(
        "node id {0:?}: must be 1 to {ID_BYTES_MAX} bytes long and not \"_\"; set --node-id or NODE_ID"
    )]
    NodeId(String),
    /// A ping timeout below what a busy machine keeps.
    #[error("ping timeout {0:?}: must be at least 100ms")]
    PingTimeout(Duration),
}

impl NodeArgs {
    /// Checks what was written.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] says what to change.
    pub fn into_config(self) -> Result<NodeConfig, InvalidConfig> {
        let peers = self.peers.iter().map(|url| url.trim());
        // GUN_PEERS= is a way of having none.
        let peers = peers.filter(|url| !url.is_empty()).map(PeerUrl::parse);
        let config = NodeConfig {
            peers: peers.collect::<Result<_, _>>()?,
            data_dir: self.data_dir,
            durability: self.durability,
            legacy_index: self.legacy_index,
            ping_timeout: self.ping_timeout,
            ..NodeConfig::new(self.node_id.unwrap_or_else(host_name))
        };
        if matches!(config.node_id.as_str(), "" | "_") || config.node_id.len() > ID_BYTES_MAX {
            return Err(InvalidConfig::NodeId(config.node_id));
        }
        if config.ping_timeout < Duration::from_millis(100) {
            return Err(InvalidConfig::PingTimeout(config.ping_timeout));
        }
        Ok(config)
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }
}

impl NodeConfig {
    /// A node in memory without peers.
    pub fn new(node_id: impl Into<String>) -> Self {
        Self {
            node_id: node_id.into(),
            peers: Vec::new(),
            data_dir: None,
            durability: Durability::default(),
            legacy_index: false,
            ping_timeout: Duration::from_secs(5),
            feed: Limits::default(),
            plant: None,
        }
    }

    /// What really holds: nothing survives without a store.
    pub(crate) fn effective_durability(&self) -> Durability {
        match self.data_dir {
            Some(_) => self.durability,
            None => Durability::None,
        }
    }

    pub(crate) fn driver(&self) -> DriverConfig {
        DriverConfig {
            ping_timeout: self.ping_timeout,
            // Three chances to be heard before the link is given up.
            ping_interval: self.ping_timeout.mul_f64(0.3),
            commands_max: COMMANDS_MAX,
            ..DriverConfig::default()
        }
    }
}

/// Requests that may wait for the replica; one more is answered 503. A thousand take about 20 ms.
const COMMANDS_MAX: usize = 1024;

fn host_name() -> String {
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_environment = || std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME"));
    let name = of_kernel.or_else(|| of_environment().ok());
    let name = name.map(|name| name.trim().to_owned());
    // The original's name for a node that was given none.
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Reads `5s`, `800ms` or a plain number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|character: char| character.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let seconds = match (number.parse::<f64>(), unit) {
        (Ok(number), "s") => number,
        (Ok(number), "ms") => number / 1000.0,
        _ => return Err("write a time such as 5s or 800ms".to_owned()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: NodeArgs,
    }

    fn config(args: &[&str]) -> Result<NodeConfig, InvalidConfig> {
        let args = ["loom-node"].iter().chain(args);
        Cli::try_parse_from(args).unwrap().args.into_config()
    }

    #[test]
    fn peers_are_a_list_and_an_empty_one_is_none() {
        let config = config(&["--node-id", "n", "--peers", "http://a:1,,ws://b:2/gun, "]).unwrap();
        let peers: Vec<_> = config.peers.iter().map(PeerUrl::as_str).collect();
        assert_eq!(peers, ["ws://a:1/gun", "ws://b:2/gun"]);
    }

    #[test]
    fn what_makes_no_node_is_refused_with_a_way_out() {
        for (args, words) in [
            (&["--peers", "wss://a"][..], "not supported"),
            (&["--node-id", "_"], "--node-id"),
            (&["--node-id", ""], "--node-id"),
            (&["--ping-timeout", "1ms"], "at least 100ms"),
        ] {
            let why = config(args).unwrap_err().to_string();
            assert!(why.contains(words), "{args:?}: {why}");
        }
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("800ms"), Ok(Duration::from_millis(800)));
        for junk in ["", "s", "5m", "-1s", "nan", "5 s"] {
            assert!(duration(junk).is_err(), "{junk}");
        }
    }

    #[test]
    fn a_node_without_a_name_has_the_hosts() {
        assert!(!host_name().is_empty());
    }
}
