//! One Docker engine, and sentences for why it cannot be used.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;

use super::endpoint::{Endpoint, NoEndpoint, Surroundings};
use super::tunnel::Tunnel;
use crate::cluster::RigError;

/// For one request. A container's stop takes its grace period on top, which callers add.
const ANSWER_WITHIN: u64 = 60;
/// For the first answer: an engine that hangs is as good as none.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A connection to an engine that has answered.
#[derive(Clone, Debug)]
pub struct Engine {
    /// For requests.
    pub docker: Docker,
    /// Where it is.
    pub endpoint: Endpoint,
    /// What it says it is, such as `20.10.24`.
    pub version: String,
    /// The newest API it speaks, such as `1.41`.
    pub api: String,
    /// Held for as long as anybody may talk to the engine through it.
    _tunnel: Option<Arc<Tunnel>>,
}

/// Why an engine cannot be used, and the command that mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No engine is named.
    #[error("{0}")]
    Nowhere(#[from] NoEndpoint),
    /// Nobody listens.
    #[error("no Docker engine answers at {endpoint}: {reason}")]
    Silent {
        /// Where it should be.
        endpoint: Endpoint,
        /// What the system says.
        reason: String,
    },
    /// Somebody listens, and this user may not talk to them.
    #[error("the Docker engine at {endpoint} refuses this user: {reason}")]
    Forbidden {
        /// Where it is.
        endpoint: Endpoint,
        /// What the system says.
        reason: String,
    },
    /// There is no way to its machine.
    #[error("no way to the Docker engine at {endpoint}: {reason}")]
    Unreachable {
        /// Where it should be.
        endpoint: Endpoint,
        /// What ssh says.
        reason: String,
    },
    /// A kind of address this program cannot use.
    #[error("{endpoint}: {reason}")]
    Unsupported {
        /// Where it should be.
        endpoint: Endpoint,
        /// Why not.
        reason: String,
    },
}

impl Trouble {
    /// The command or step that mends it.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Nowhere(_) => "choose an engine with DOCKER_HOST or `docker context use`",
            Self::Silent { .. } => {
                "start it (`sudo systemctl start docker`, or Docker Desktop), or leave out \
                 --backend docker: the local backend needs none"
            }
            Self::Forbidden { .. } => {
                "add yourself to its group (`sudo usermod -aG docker $USER`, then log in again), \
                 or leave out --backend docker: the local backend needs none"
            }
            Self::Unreachable { .. } => {
                "make `ssh HOST docker version` work without being asked for anything (a key in \
                 ssh-agent, the host in ~/.ssh/known_hosts), then try again"
            }
            Self::Unsupported { .. } => {
                "use unix://, tcp:// without TLS, or ssh:// in DOCKER_HOST, or leave out --backend docker"
            }
        }
    }
}

impl From<Trouble> for RigError {
    fn from(trouble: Trouble) -> Self {
        Self {
            doing: "use Docker".to_owned(),
            refused: false,
            next_step: trouble.next_step().to_owned(),
            reason: trouble.to_string(),
        }
    }
}

impl Engine {
    /// Connects to the engine the `docker` command would use.
    ///
    /// # Errors
    ///
    /// [`Trouble`], with what mends it.
    pub async fn connect() -> Result<Self, Trouble> {
        Self::connect_to(Endpoint::find(&Surroundings::here())?).await
    }

    /// Connects to this engine, and agrees on a version of the API.
    ///
    /// # Errors
    ///
    /// [`Trouble`], with what mends it.
    pub async fn connect_to(endpoint: Endpoint) -> Result<Self, Trouble> {
        Self::connect_within(endpoint, FIRST_ANSWER_WITHIN).await
    }

    async fn connect_within(endpoint: Endpoint, within: Duration) -> Result<Self, Trouble> {
        let tunnel = match endpoint.url.starts_with("ssh://") {
            true => Some(Arc::new(Tunnel::open(&endpoint).await.map_err(
                |reason| Trouble::Unreachable {
                    endpoint: endpoint.clone(),
                    reason,
                },
            )?)),
            false => None,
        };
        let docker = open(&endpoint, tunnel.as_deref())?;
        let first = async {
            // An older engine refuses the newest version of the API; both sides' newest is taken.
            let docker = docker.negotiate_version().await?;
            let version = docker.version().await?;
            Ok((docker, version))
        };
        let answered = tokio::time::timeout(within, first).await;
        let (docker, version) = match answered {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => return Err(trouble(&endpoint, &error)),
            Err(_) => {
                return Err(Trouble::Silent {
                    reason: format!("no answer within {within:?}"),
                    endpoint,
                });
            }
        };
        Ok(Self {
            docker,
            endpoint,
            version: version.version.unwrap_or_else(|| "?".to_owned()),
            api: version.api_version.unwrap_or_else(|| "?".to_owned()),
            _tunnel: tunnel,
        })
    }
}

fn open(endpoint: &Endpoint, tunnel: Option<&Tunnel>) -> Result<Docker, Trouble> {
    let version = bollard::API_DEFAULT_VERSION;
    let tunnelled = tunnel.map(|tunnel| format!("unix://{}", tunnel.socket().display()));
    let url = tunnelled.as_ref().unwrap_or(&endpoint.url);
    let opened = match url.split_once("://").map_or("", |(scheme, _)| scheme) {
        "tcp" if endpoint.wants_tls => {
            return Err(Trouble::Unsupported {
                endpoint: endpoint.clone(),
                reason: "DOCKER_TLS_VERIFY asks for TLS, which this program does not speak"
                    .to_owned(),
            });
        }
        "unix" => Docker::connect_with_unix(url, ANSWER_WITHIN, version),
        "tcp" | "http" => Docker::connect_with_http(url, ANSWER_WITHIN, version),
        _ => {
            return Err(Trouble::Unsupported {
                endpoint: endpoint.clone(),
                reason: "this kind of address is not supported".to_owned(),
            });
        }
    };
    opened.map_err(|error| trouble(endpoint, &error))
}

fn trouble(endpoint: &Endpoint, error: &Error) -> Trouble {
    let endpoint = endpoint.clone();
    let reason = innermost(error);
    match kind(error) {
        Some(io::ErrorKind::PermissionDenied) => Trouble::Forbidden { endpoint, reason },
        _ => Trouble::Silent { endpoint, reason },
    }
}

/// What the system says, without the layers around it.
pub(crate) fn innermost(error: &Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

fn kind(error: &Error) -> Option<io::ErrorKind> {
    let mut error: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = error {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        error = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_engine_is_said_with_the_place_and_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("unix://{}", folder.path().join("docker.sock").display());
        let trouble = Engine::connect_to(Endpoint::new(&url, "DOCKER_HOST"))
            .await
            .unwrap_err();
        assert!(matches!(trouble, Trouble::Silent { .. }), "{trouble:?}");
        let error = RigError::from(trouble).to_string();
        for part in [
            url.as_str(),
            "DOCKER_HOST",
            "systemctl start docker",
            "local",
        ] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    #[tokio::test]
    async fn an_engine_that_never_answers_is_silent_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let url = format!("unix://{}", socket.display());
        let endpoint = Endpoint::new(&url, "test");
        let trouble = Engine::connect_within(endpoint, Duration::from_millis(50)).await;
        assert!(
            matches!(trouble, Err(Trouble::Silent { .. })),
            "{trouble:?}"
        );
    }

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused_by_name() {
        let trouble = Engine::connect_to(Endpoint::new("npipe:////./pipe/docker", "test")).await;
        assert!(
            matches!(trouble, Err(Trouble::Unsupported { .. })),
            "{trouble:?}"
        );
    }
}
