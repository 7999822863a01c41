//! The relay's flags and environment, checked once and turned into a [`RelayConfig`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, OsStringValueParser, TypedValueParser};

use crate::driver::{DriverConfig, InvalidPeerUrl, PeerUrl};
use crate::store::Durability;
use crate::wire::FRAME_BYTES_MAX;

/// Flags of the relay; each has a twin in the environment.
#[derive(Clone, Debug, clap::Args)]
pub struct RelayArgs {
    /// Port to listen on; 0 takes a free one and says which
    #[arg(long, env = "PORT", default_value_t = 8765)]
    pub port: u16,

    /// Address to listen on; 0.0.0.0 is reachable from everywhere, and nothing here asks for a
    /// password
    #[arg(long, env = "BIND", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,

    /// Relays to link to, separated by commas, such as ws://other:8765/gun
    #[arg(long, env = "GUN_PEERS", value_delimiter = ',', value_name = "URLS")]
    pub peers: Vec<String>,

    /// Directory to keep the graph in; without it the graph is in memory only
    #[arg(long, env = "DATA_DIR", value_name = "DIR", value_parser = maybe_empty_path())]
    pub data_dir: Option<PathBuf>,

    /// What an acknowledged write survives; needs --data-dir [default: sync]
    #[arg(long, env = "DURABILITY", value_enum)]
    pub durability: Option<Durability>,

    /// How long a link may be silent before it counts as cut, such as 5s or 800ms
    #[arg(
        long,
        env = "PING_TIMEOUT",
        default_value = "5s",
        value_parser = duration,
        value_name = "TIME"
    )]
    pub ping_timeout: Duration,

    /// Frames above this many bytes are refused; from 1 MiB, which peers need to reconcile, to 16 MiB
    #[arg(
        long,
        env = "MAX_FRAME_BYTES",
        default_value_t = FRAME_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub max_frame_bytes: usize,

    /// Links open at once; further ones are answered with 503
    #[arg(
        long,
        env = "MAX_CONNECTIONS",
        default_value_t = 1024,
        value_name = "COUNT"
    )]
    pub max_connections: usize,

    /// A peer with this many bytes waiting to be sent is hung up on and resynchronises
    #[arg(long, env = "QUEUE_BYTES", default_value_t = 16 << 20, value_name = "BYTES")]
    pub queue_bytes: usize,

    /// Check signatures of user souls (SEA) and refuse what their owners did not sign; what a data
    /// directory holds from before is not checked again
    #[arg(long, env = "VERIFY_SEA", value_parser = FalseyValueParser::new())]
    pub verify_sea: bool,

    /// What to log to standard error: error, warn, info, debug, trace, or
    /// loom_relay::driver=debug,info
    #[arg(long, env = "LOOM_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// Exit when standard input ends, which the controller that started this process holds open
    #[arg(long, hide = true)]
    pub die_with_parent: bool,
}

/// A relay's settings, checked.
#[derive(Clone, Debug, Default)]
pub struct RelayConfig {
    /// Peers to keep links to.
    pub peers: Vec<PeerUrl>,
    /// Where the graph is kept; in memory only if absent.
    pub store: Option<StoreConfig>,
    /// Whether signatures of user souls are checked.
    pub verify_sea: bool,
    /// Limits and times of links.
    pub driver: DriverConfig,
}

/// Where and how a graph is kept.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Directory of its own.
    pub directory: PathBuf,
    /// What an acknowledged write survives.
    pub durability: Durability,
}

/// Which setting cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An entry of `--peers`.
    #[error("--peers: {0}")]
    Peer(#[from] InvalidPeerUrl),
    /// Durability was asked of memory.
    #[error(
        "--durability {0} needs --data-dir: without a directory the graph is in memory only, and \
         nothing survives the process"
    )]
    DurabilityWithoutDirectory(Durability),
    /// A number outside its range.
    #[error("{flag} {given}: must be {range}")]
    Range {
        /// The flag.
        flag: &'static str,
        /// What was given.
        given: String,
        /// What would do.
        range: &'static str,
    },
}

impl RelayArgs {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the flag.
    pub fn into_config(self) -> Result<RelayConfig, ConfigError> {
        let store = StoreConfig::check(self.data_dir, self.durability)?;
        if !(PING_TIMEOUT_MIN..=PING_TIMEOUT_MAX).contains(&self.ping_timeout) {
            return Err(ConfigError::Range {
                flag: "--ping-timeout",
                given: format!("{:?}", self.ping_timeout),
                range: "from 100ms to 3600s",
            });
        }
        Ok(RelayConfig {
            peers: check_peers(&self.peers)?,
            store,
            verify_sea: self.verify_sea,
            driver: DriverConfig {
                frame_bytes_max: check_count(
                    "--max-frame-bytes",
                    self.max_frame_bytes,
                    FRAME_BYTES_MIN..=FRAME_BYTES_MAX,
                    "from 1048576 to 16777216",
                )?,
                queue_bytes_max: check_count(
                    "--queue-bytes",
                    self.queue_bytes,
                    64 * 1024..=usize::MAX,
                    "65536 or more",
                )?,
                links_max: check_count(
                    "--max-connections",
                    self.max_connections,
                    1..=1_000_000,
                    "from 1 to 1000000",
                )?,
                // One peer's bound may be set above what all have by default.
                all_queues_bytes_max: self
                    .queue_bytes
                    .max(DriverConfig::default().all_queues_bytes_max),
                ..DriverConfig::with_ping_timeout(self.ping_timeout)
            },
        })
    }
}

impl StoreConfig {
    /// Puts the two flags together; `None` means in memory only.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when durability is asked of memory.
    pub fn check(
        directory: Option<PathBuf>,
        durability: Option<Durability>,
    ) -> Result<Option<Self>, ConfigError> {
        // An empty variable in a compose file means "not set".
        match (
            directory.filter(|it| !it.as_os_str().is_empty()),
            durability,
        ) {
            (Some(directory), durability) => Ok(Some(Self {
                directory,
                durability: durability.unwrap_or_default(),
            })),
            (None, None | Some(Durability::None)) => Ok(None),
            (None, Some(durability)) => Err(ConfigError::DurabilityWithoutDirectory(durability)),
        }
    }
}

/// Reads a list of peers; empty entries are left out.
///
/// # Errors
///
/// [`InvalidPeerUrl`], naming the entry.
pub fn check_peers(texts: &[String]) -> Result<Vec<PeerUrl>, InvalidPeerUrl> {
    texts
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
        .map(PeerUrl::parse)
        .collect()
}

/// Reads a time such as `5s`, `0.5s` or `800ms`; a bare number is seconds.
///
/// # Errors
///
/// A sentence saying how to write it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    number
        .trim()
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
        .ok_or_else(|| "write a time such as 5s or 800ms".to_owned())
}

/// An empty path, unlike clap's own: compose files pass variables on that are set to nothing.
pub fn maybe_empty_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

fn check_count(
    flag: &'static str,
    given: usize,
    allowed: std::ops::RangeInclusive<usize>,
    range: &'static str,
) -> Result<usize, ConfigError> {
    if allowed.contains(&given) {
        return Ok(given);
    }
    Err(ConfigError::Range {
        flag,
        given: given.to_string(),
        range,
    })
}

/// Peers ask and answer in frames of up to about 700 kB when they reconcile, and a vertex sent in
/// pieces takes 256 KiB for each.
const FRAME_BYTES_MIN: usize = 1 << 20;
/// Less is below what a busy machine keeps.
const PING_TIMEOUT_MIN: Duration = Duration::from_millis(100);
const PING_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        relay: RelayArgs,
    }

    fn config(flags: &[&str]) -> Result<RelayConfig, String> {
        let flags = ["relay"].iter().chain(flags);
        let cli = Cli::try_parse_from(flags).map_err(|error| error.to_string())?;
        cli.relay.into_config().map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_sound() {
        let config = config(&[]).unwrap();
        assert!(config.store.is_none());
        assert!(config.peers.is_empty());
        assert!(!config.verify_sea);
        assert_eq!(config.driver.ping_timeout, Duration::from_secs(5));
        assert_eq!(config.driver.frame_bytes_max, FRAME_BYTES_MAX);
        assert!(config.driver.ping_interval * 3 <= config.driver.ping_timeout);
    }

    #[test]
    fn flags_reach_the_configuration() {
        let config = config(&[
            "--peers",
            "ws://a:1/gun,, http://b:2 ",
            "--data-dir",
            "/somewhere",
            "--durability",
            "os",
            "--ping-timeout",
            "1500ms",
            "--max-frame-bytes",
            "2000000",
            "--max-connections",
            "7",
            "--queue-bytes",
            "100000",
            "--verify-sea",
        ])
        .unwrap();
        let peers: Vec<_> = config.peers.iter().map(PeerUrl::as_str).collect();
        assert_eq!(peers, ["ws://a:1/gun", "ws://b:2/gun"]);
        let store = config.store.unwrap();
        assert_eq!(store.directory, PathBuf::from("/somewhere"));
        assert_eq!(store.durability, Durability::Os);
        assert_eq!(config.driver.ping_timeout, Duration::from_millis(1500));
        assert_eq!(config.driver.frame_bytes_max, 2_000_000);
        assert_eq!(config.driver.links_max, 7);
        assert_eq!(config.driver.queue_bytes_max, 100_000);
        assert!(config.verify_sea);
    }

    #[test]
    fn what_cannot_work_is_refused_by_the_name_of_its_flag() {
        for (flags, named) in [
            (&["--peers", "wss://a/gun"][..], "--peers"),
            (&["--durability", "sync"], "--data-dir"),
            (&["--ping-timeout", "0s"], "--ping-timeout"),
            (&["--ping-timeout", "5m"], "--ping-timeout"),
            (&["--ping-timeout", "nans"], "--ping-timeout"),
            (&["--ping-timeout=-1s"], "--ping-timeout"),
            (&["--ping-timeout", "1e99s"], "--ping-timeout"),
            (
                &["--max-frame-bytes", "1048575"],
                "from 1048576 to 16777216",
            ),
            (
                &["--max-frame-bytes", "16777217"],
                "from 1048576 to 16777216",
            ),
            (&["--max-connections", "0"], "--max-connections"),
            (&["--queue-bytes", "1"], "--queue-bytes"),
            (&["--port", "70000"], "--port"),
            (&["--bind", "localhost:80"], "--bind"),
        ] {
            let error = config(flags).unwrap_err();
            assert!(error.contains(named), "{flags:?}: {error}");
        }
    }
}
