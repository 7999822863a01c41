//! Which engine to talk to: the rules of the `docker` command, without asking it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the engine of a machine listens unless somebody moved it.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Where an engine is, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As in `DOCKER_HOST`: `unix:///run/docker.sock`, `tcp://host:2375`, `ssh://user@host`.
    pub url: String,
    /// What named it, for people: `DOCKER_HOST`, `context "desktop"`, `default`.
    pub named_by: String,
    /// Whether the surroundings ask for TLS.
    pub wants_tls: bool,
}

/// Why no engine can be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// A context that is chosen and is not there.
    #[error(
        "the Docker context {0:?} is chosen and cannot be read: `docker context ls` lists those \
         there are, `docker context use default` chooses the engine of this machine"
    )]
    Context(String),
}

/// What decides, taken from the environment once so that tests can say it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`, or `.docker` in the home directory.
    pub config: Option<PathBuf>,
    /// Whether `DOCKER_TLS_VERIFY` says anything.
    pub tls_verify: bool,
    /// `XDG_RUNTIME_DIR`, where an engine without root has its socket.
    pub runtime: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn here() -> Self {
        let text = |name| std::env::var(name).ok().filter(|it| !it.is_empty());
        let path = |name| text(name).map(PathBuf::from);
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            config: path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker"))),
            runtime: path("XDG_RUNTIME_DIR"),
        }
    }
}

impl Endpoint {
    /// `DOCKER_HOST`, else the chosen context, else the machine's engine, else the user's own.
    ///
    /// # Errors
    ///
    /// [`NoEndpoint`] when a context is chosen that cannot be read.
    pub fn find(from: &Surroundings) -> Result<Self, NoEndpoint> {
        if let Some(url) = &from.docker_host {
            return Ok(Self {
                wants_tls: from.tls_verify,
                ..Self::new(url, "DOCKER_HOST")
            });
        }
        if let Some(name) = chosen_context(from).filter(|name| name != "default") {
            let url = from.config.as_deref();
            let url = url.and_then(|config| url_of_context(config, &name));
            let url = url.ok_or_else(|| NoEndpoint::Context(name.clone()))?;
            return Ok(Self::new(&url, &format!("context {name:?}")));
        }
        let rootless = from.runtime.as_ref().map(|dir| dir.join("docker.sock"));
        if !Path::new(DEFAULT_SOCKET).exists()
            && let Some(socket) = rootless.filter(|socket| socket.exists())
        {
            let url = format!("unix://{}", socket.display());
            return Ok(Self::new(&url, "the engine of this user"));
        }
        Ok(Self::new(&format!("unix://{DEFAULT_SOCKET}"), "default"))
    }

    /// One that somebody wrote down, as for `--hosts`.
    pub fn new(url: &str, named_by: &str) -> Self {
        Self {
            url: url.trim().to_owned(),
            named_by: named_by.to_owned(),
            wants_tls: false,
        }
    }

    /// The socket's path, if it is one of this machine.
    pub fn socket(&self) -> Option<&Path> {
        self.url.strip_prefix("unix://").map(Path::new)
    }

    /// The host to reach published ports at; `None` is this machine.
    pub fn host(&self) -> Option<&str> {
        let (scheme, rest) = self.url.split_once("://")?;
        if scheme == "unix" {
            return None;
        }
        let rest = rest.split('/').next()?;
        let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let host = match rest.strip_prefix('[') {
            Some(rest) => rest.split(']').next()?,
            None => rest.split(':').next()?,
        };
        (!matches!(host, "localhost" | "127.0.0.1" | "::1")).then_some(host)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.url, self.named_by)
    }
}

fn chosen_context(from: &Surroundings) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "currentContext")]
        current_context: Option<String>,
    }
    if from.docker_context.is_some() {
        return from.docker_context.clone();
    }
    let text = std::fs::read(from.config.as_ref()?.join("config.json")).ok()?;
    let config: Config = serde_json::from_slice(&text).ok()?;
    config.current_context.filter(|name| !name.is_empty())
}

/// Contexts lie in folders named by a hash of their names; reading all of them needs no hash.
fn url_of_context(config: &Path, name: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "Name")]
        name: String,
        #[serde(rename = "Endpoints")]
        endpoints: Endpoints,
    }
    #[derive(Deserialize)]
    struct Endpoints {
        docker: Docker,
    }
    #[derive(Deserialize)]
    struct Docker {
        #[serde(rename = "Host")]
        host: String,
    }
    let folders = std::fs::read_dir(config.join("contexts/meta")).ok()?;
    folders.flatten().find_map(|folder| {
        let text = std::fs::read(folder.path().join("meta.json")).ok()?;
        let meta: Meta = serde_json::from_slice(&text).ok()?;
        (meta.name == name).then_some(meta.endpoints.docker.host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_context(chosen: &str) -> (tempfile::TempDir, Surroundings) {
        let folder = tempfile::tempdir().unwrap();
        let meta = folder.path().join("contexts/meta/abc");
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(
            folder.path().join("config.json"),
            format!(r#"{{"auths":{{}},"currentContext":"{chosen}"}}"#),
        )
        .unwrap();
        let text = r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2375","SkipTLSVerify":false}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        let from = Surroundings {
            config: Some(folder.path().to_owned()),
            ..Surroundings::default()
        };
        (folder, from)
    }

    #[test]
    fn docker_host_goes_before_the_context() {
        let (_folder, mut from) = with_context("far");
        assert_eq!(Endpoint::find(&from).unwrap().url, "tcp://far:2375");
        from.docker_host = Some("unix:///elsewhere.sock".to_owned());
        let found = Endpoint::find(&from).unwrap();
        assert_eq!(found.socket(), Some(Path::new("/elsewhere.sock")));
        assert_eq!(found.named_by, "DOCKER_HOST");
    }

    #[test]
    fn a_context_that_is_not_there_is_named() {
        let (_folder, from) = with_context("lost");
        let error = Endpoint::find(&from).unwrap_err();
        assert_eq!(error, NoEndpoint::Context("lost".to_owned()));
        assert!(error.to_string().contains("docker context ls"));
    }

    #[test]
    fn the_default_context_is_the_engine_of_this_machine() {
        let (_folder, from) = with_context("default");
        let found = Endpoint::find(&from).unwrap();
        assert_eq!(found.socket(), Some(Path::new(DEFAULT_SOCKET)));
    }

    #[test]
    fn an_engine_without_root_is_found_where_there_is_no_other() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("docker.sock"), "").unwrap();
        let from = Surroundings {
            runtime: Some(folder.path().to_owned()),
            ..Surroundings::default()
        };
        let found = Endpoint::find(&from).unwrap();
        if Path::new(DEFAULT_SOCKET).exists() {
            assert_eq!(found.named_by, "default");
        } else {
            assert!(found.url.ends_with("/docker.sock"), "{found}");
        }
    }

    #[test]
    fn published_ports_are_looked_for_on_the_engines_machine() {
        let host = |url| Endpoint::new(url, "test").host().map(str::to_owned);
        assert_eq!(host("unix:///var/run/docker.sock"), None);
        assert_eq!(host("tcp://127.0.0.1:2375"), None);
        assert_eq!(host("tcp://10.0.0.7:2375").as_deref(), Some("10.0.0.7"));
        assert_eq!(host("ssh://me@there:22").as_deref(), Some("there"));
        assert_eq!(host("tcp://[fd00::1]:2375").as_deref(), Some("fd00::1"));
    }
}
