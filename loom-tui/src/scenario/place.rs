//! Where a run is played: on a fresh cluster, on the one a controller runs, or on one that is known
//! only by its URLs. [`PlaceArgs::choose`] decides, before anything is started.

use std::path::Path;

use clap::Args;
use loom_node::Plant;

use super::rig::{Fresh, PLANTED_IN, Rig};
use super::story::Listen;
use crate::cli::{Backend, CliError, Platform};
use crate::cluster::Member;
use crate::cluster::local::{Durability, NODES_MAX};
use crate::cluster::remote::{Url, Urls};
use crate::docker::Engine;

/// Nodes of a fresh cluster when nobody says.
const NODES: u8 = 3;
/// What a cluster of nothing but URLs is told to lack.
const NO_FAULTS: &str = "needs a cluster that can be broken: leave out the URLs, or --attach to \
                         one of loom-tui's own";

/// What the containers of docker-compose are told to lack where no engine answers.
const NO_ENGINE: &str = "needs the engine's socket: mount /var/run/docker.sock into this container";

/// The flags that say where.
#[derive(Args, Clone, Debug)]
pub(super) struct PlaceArgs {
    /// How many nodes a fresh cluster has [default: 3]
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["attach", "urls"],
          value_parser = clap::value_parser!(u8).range(1..=i64::from(NODES_MAX)))]
    nodes: Option<u8>,

    #[command(flatten)]
    platform: Platform,

    /// Use the cluster that is running, beside whatever else uses it
    #[arg(long, conflicts_with = "urls")]
    attach: bool,

    /// Use the cluster whose nodes answer at these URLs: what needs a fault is skipped. NODE_1_URL,
    /// NODE_2_URL, … do the same where nothing else is asked for
    #[arg(long, value_name = "URL,URL,…", value_delimiter = ',')]
    urls: Vec<Url>,

    /// The relay of that cluster, for scenarios that ask it something; RELAY_URL does the same
    #[arg(long, value_name = "URL", requires = "urls")]
    relay_url: Option<Url>,

    /// Build a fault into node-2, to see that the run finds it
    #[arg(long, value_enum, value_name = "FAULT", conflicts_with_all = ["attach", "urls"])]
    plant: Option<Plant>,

    /// What an acknowledged write survives: a power cut, a killed process, or nothing [default:
    /// sync]
    #[arg(long, value_enum, conflicts_with_all = ["attach", "urls"])]
    durability: Option<Durability>,
}

/// Where a run is played.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// On a cluster of its own.
    Fresh(Fresh),
    /// On the one a controller runs.
    Attached,
    /// On one that is known only by its URLs.
    Urls(Urls),
    /// On docker-compose's, seen from inside its networks: on its URLs only where no engine answers.
    Containers(Urls),
}

impl PlaceArgs {
    /// What the flags say, or else the environment.
    ///
    /// # Errors
    ///
    /// What makes no sense together, and an address in the environment that is none.
    pub(super) fn choose(&self, env: impl Fn(&str) -> Option<String>) -> Result<Place, CliError> {
        if self.attach {
            return Ok(Place::Attached);
        }
        if !self.urls.is_empty() {
            return Ok(Place::Urls(Urls {
                nodes: self.urls.clone(),
                relay: self.relay_url.clone(),
            }));
        }
        let asks_for_fresh =
            self.nodes.is_some() || self.plant.is_some() || self.durability.is_some();
        let asks_for_fresh = asks_for_fresh || !self.platform.hosts.is_empty();
        if let (false, Some(urls)) = (asks_for_fresh, urls_of(env)?) {
            return Ok(match self.platform.backend() {
                Backend::Local => Place::Urls(urls),
                Backend::Docker => Place::Containers(urls),
            });
        }
        let nodes = self.nodes.unwrap_or(NODES);
        if self.plant.is_some() && Member::Node(nodes) < PLANTED_IN {
            let text = format!("--plant needs {PLANTED_IN}: leave out --nodes 1");
            return Err(CliError::Usage(text));
        }
        Ok(Place::Fresh(Fresh {
            nodes,
            platform: self.platform.clone(),
            durability: self.durability.unwrap_or_default(),
            plant: self.plant,
        }))
    }
}

impl Place {
    /// Whether what members store there is in volumes, which go with the cluster.
    pub(super) fn stores_in_volumes(&self) -> bool {
        matches!(self, Self::Fresh(fresh) if fresh.platform.backend() == Backend::Docker)
    }

    /// A cluster there, up and watched. What a fresh one leaves behind goes to `folder`.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be started.
    pub(super) async fn rig(
        &self,
        name: &str,
        control: &Path,
        folder: &Path,
        story: &dyn Listen,
    ) -> Result<Rig, CliError> {
        match self {
            Self::Fresh(fresh) => {
                story.note(&format!("{name}: starting {} nodes", fresh.nodes));
                fresh.start(folder).await
            }
            Self::Attached => Rig::attach(control).await,
            Self::Containers(urls) => match Engine::connect().await {
                Ok(engine) => {
                    let count = urls.nodes.len();
                    story.note(&format!("{name}: {count} nodes in containers"));
                    Rig::containers(&engine, urls, folder).await
                }
                Err(trouble) => {
                    story.note(&format!("{name}: {trouble}"));
                    Rig::remote(urls, NO_ENGINE).await
                }
            },
            Self::Urls(urls) => {
                let first = &urls.nodes[0];
                let count = urls.nodes.len();
                story.note(&format!("{name}: {count} nodes, the first at {first}"));
                Rig::remote(urls, NO_FAULTS).await
            }
        }
    }
}

/// `NODE_1_URL`, `NODE_2_URL`, … and `RELAY_URL`; empty is as good as not set.
fn urls_of(env: impl Fn(&str) -> Option<String>) -> Result<Option<Urls>, CliError> {
    let read = |name: &str| match env(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error| CliError::Usage(format!("{name}: {error}"))),
    };
    let mut nodes: Vec<Url> = Vec::new();
    for number in 1..=NODES_MAX {
        match read(&format!("NODE_{number}_URL"))? {
            Some(url) => nodes.push(url),
            None => break,
        }
    }
    if nodes.is_empty() {
        return Ok(None);
    }
    let relay = read("RELAY_URL")?;
    Ok(Some(Urls { nodes, relay }))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        place: PlaceArgs,
    }

    fn choose(args: &[&str], env: &[(&str, &str)]) -> Result<Place, String> {
        let words = ["x"].iter().chain(args);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let value = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        line.place.choose(value).map_err(|error| error.to_string())
    }

    const ENV: &[(&str, &str)] = &[
        ("NODE_1_URL", "http://loom-node-1:3001"),
        ("NODE_2_URL", "http://loom-node-2:3002"),
        ("NODE_3_URL", ""),
        ("NODE_4_URL", "http://never-read:3004"),
        ("RELAY_URL", "http://gun-relay:8765"),
    ];

    #[test]
    fn the_environment_counts_where_the_flags_say_nothing() {
        let Ok(Place::Urls(urls)) = choose(&[], ENV) else {
            panic!("not played at the URLs of the environment");
        };
        assert_eq!(urls.nodes.len(), 2);
        assert_eq!(urls.relay.unwrap().to_string(), "http://gun-relay:8765");
        assert!(matches!(choose(&["--attach"], ENV), Ok(Place::Attached)));
        let fresh = choose(&["--nodes", "2"], ENV);
        assert!(matches!(fresh, Ok(Place::Fresh(Fresh { nodes: 2, .. }))));
        let fresh = choose(&[], &[("NODE_1_URL", "")]);
        assert!(matches!(fresh, Ok(Place::Fresh(Fresh { nodes: 3, .. }))));
    }

    #[test]
    fn an_address_that_is_none_is_told_with_where_it_stands() {
        let error = choose(&[], &[("NODE_1_URL", "node-1:3001")]).unwrap_err();
        assert!(error.contains("NODE_1_URL"), "{error}");
        assert!(error.contains("http://HOST:PORT"), "{error}");
        let error = choose(&["--urls", "http://a:1,b:2"], &[]).unwrap_err();
        assert!(error.contains("b:2"), "{error}");
    }

    #[test]
    fn a_cluster_at_urls_has_nothing_built_in() {
        for flags in [
            &["--urls", "http://a:1", "--plant", "invent"][..],
            &["--urls", "http://a:1", "--nodes", "2"],
            &["--urls", "http://a:1", "--durability", "none"],
            &["--urls", "http://a:1", "--attach"],
            &["--relay-url", "http://a:1"],
        ] {
            assert!(choose(flags, &[]).is_err(), "{flags:?}");
        }
    }
}
