//! How a node is set up: from the command line and the environment, or by a program.
//!
//! [`NodeArgs`] is what people write, [`NodeConfig`] what [`crate::serve`] takes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use loom_relay::config::{ConfigError, StoreConfig, check_peers, duration, maybe_empty_path};
use loom_relay::driver::{DriverConfig, PeerUrl, Skew};
use loom_relay::store::Durability;

use crate::feed::Limits;
use crate::limits::{COMMANDS_MAX, ID_BYTES_MAX, OFFSET_MS_MAX};
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

    /// Address to listen on; 0.0.0.0 is reachable from everywhere, and nothing here asks for a
    /// password
    #[arg(long, env = "BIND", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,

    /// Relays to keep a link to, separated by commas, such as ws://localhost:8765/gun
    #[arg(long, env = "GUN_PEERS", value_delimiter = ',', value_name = "URLS")]
    pub peers: Vec<String>,

    /// Directory to keep the graph in; without it the graph is in memory only
    #[arg(long, env = "DATA_DIR", value_name = "DIR", value_parser = maybe_empty_path())]
    pub data_dir: Option<PathBuf>,

    /// What an acknowledged write survives; needs --data-dir [default: sync]
    #[arg(long, env = "DURABILITY", value_enum)]
    pub durability: Option<Durability>,

    /// Also write LoomDB's index souls, so that original nodes answer filtered queries
    #[arg(long, env = "LEGACY_INDEX", value_parser = FalseyValueParser::new())]
    pub legacy_index: bool,

    /// Check signatures of user souls (SEA) and refuse what their owners did not sign; what a data
    /// directory holds from before is not checked again
    #[arg(long, env = "VERIFY_SEA", value_parser = FalseyValueParser::new())]
    pub verify_sea: bool,

    /// How long a link may be silent before it counts as cut, such as 5s or 800ms
    #[arg(long, env = "PING_TIMEOUT", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub ping_timeout: Duration,

    /// What to log to standard error: error, warn, info, debug, trace, or
    /// loom_node::replica=debug,info
    #[arg(long, env = "LOOM_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// Let whoever can reach the API set this node's clock wrong, with POST /faults/clock: for tests
    #[arg(long, env = "FAULT_API", value_parser = FalseyValueParser::new())]
    pub fault_api: bool,

    /// By how many milliseconds its clock is ahead when it starts, for --fault-api
    #[arg(long, hide = true, default_value_t = 0, allow_hyphen_values = true, value_name = "MS",
          value_parser = clap::value_parser!(i64).range(-OFFSET_MS_MAX..=OFFSET_MS_MAX))]
    pub clock_offset_ms: i64,

    /// Exit when standard input ends, which the controller that started this process holds open
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
    /// Where the graph is kept; in memory only if absent.
    pub store: Option<StoreConfig>,
    /// Limits and times of links.
    pub driver: DriverConfig,
    /// Also write LoomDB's index souls.
    pub legacy_index: bool,
    /// Whether signatures of user souls are checked.
    pub verify_sea: bool,
    /// Whether its clock can be set wrong through the API.
    pub fault_api: bool,
    /// How much the change feed remembers.
    pub feed: Limits,
    /// A fault to be found; see [`Plant`].
    pub plant: Option<Plant>,
}

/// Arguments that make no node.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// Something a relay has as well.
    #[error(transparent)]
    Shared(#[from] ConfigError),
    /// A name that cannot be a field of GUN's graph.
    #[error(
        "--node-id {0:?}: must be 1 to {ID_BYTES_MAX} bytes long and not \"_\", where GUN keeps \
         its metadata; set --node-id or NODE_ID"
    )]
    NodeId(String),
}

impl NodeArgs {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    /// Checks what was written.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the flag and says what would do.
    pub fn into_config(self) -> Result<NodeConfig, InvalidConfig> {
        let node_id = match self.node_id {
            // An empty variable in a compose file means "not set".
            Some(name) if !name.is_empty() => name,
            _ => host_name(),
        };
        if node_id == "_" || node_id.len() > ID_BYTES_MAX {
            return Err(InvalidConfig::NodeId(node_id));
        }
        if !(PING_TIMEOUT_MIN..=PING_TIMEOUT_MAX).contains(&self.ping_timeout) {
            return Err(ConfigError::Range {
                flag: "--ping-timeout",
                given: format!("{:?}", self.ping_timeout),
                range: "from 100ms to 3600s",
            }
            .into());
        }
        let skew = Skew::default();
        if self.fault_api {
            skew.set(self.clock_offset_ms);
        }
        Ok(NodeConfig {
            peers: check_peers(&self.peers).map_err(ConfigError::from)?,
            store: StoreConfig::check(self.data_dir, self.durability)?,
            driver: DriverConfig {
                commands_max: COMMANDS_MAX,
                skew,
                ..DriverConfig::with_ping_timeout(self.ping_timeout)
            },
            fault_api: self.fault_api,
            legacy_index: self.legacy_index,
            verify_sea: self.verify_sea,
            ..NodeConfig::new(node_id)
        })
    }
}

impl NodeConfig {
    /// A node in memory without peers.
    pub fn new(node_id: impl Into<String>) -> Self {
        Self {
            node_id: node_id.into(),
            peers: Vec::new(),
            store: None,
            driver: DriverConfig {
                commands_max: COMMANDS_MAX,
                ..DriverConfig::default()
            },
            legacy_index: false,
            verify_sea: false,
            fault_api: false,
            feed: Limits::default(),
            plant: None,
        }
    }

    /// What an acknowledged write survives; without a store nothing does.
    pub fn durability(&self) -> Durability {
        (self.store.as_ref()).map_or(Durability::None, |store| store.durability)
    }
}

/// Less is below what a busy machine keeps.
const PING_TIMEOUT_MIN: Duration = Duration::from_millis(100);
const PING_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

fn host_name() -> String {
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_environment = || std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME"));
    let name = of_kernel.or_else(|| of_environment().ok());
    let name = name.map(|name| name.trim().to_owned());
    // The original's name for a node that was given none.
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
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
            (&["--ping-timeout", "1ms"], "100ms"),
            (&["--durability", "sync"], "--data-dir"),
        ] {
            let why = config(args).unwrap_err().to_string();
            assert!(why.contains(words), "{args:?}: {why}");
        }
    }

    #[test]
    fn a_node_without_a_name_has_the_hosts() {
        assert!(!host_name().is_empty());
        assert_eq!(config(&["--node-id", ""]).unwrap().node_id, host_name());
    }
}
