//! Where members run: as processes, in containers, in containers of several machines. The same flags
//! wherever that is asked.

use clap::{Args, ValueEnum};

use super::hosts::HostsArgs;

/// What members are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Processes of this machine.
    #[default]
    Local,
    /// Containers of a Docker engine.
    Docker,
}

/// The flags that say where.
#[derive(Args, Clone, Debug, Default)]
pub struct Platform {
    /// Where members run: as processes of this machine, or in containers. A cluster that
    /// docker-compose has started is used as it is by `up` and the dashboard
    #[arg(
        long,
        env = "LOOM_BACKEND",
        value_enum,
        default_value_t,
        value_name = "KIND"
    )]
    backend: Backend,

    /// The engines, if not the one the `docker` command would use.
    #[command(flatten)]
    pub(crate) hosts: HostsArgs,
}

impl Platform {
    /// Processes of this machine.
    pub(super) fn local() -> Self {
        Self::default()
    }

    /// What members are: engines are for nothing but containers.
    pub fn backend(&self) -> Backend {
        match self.hosts.is_empty() {
            true => self.backend,
            false => Backend::Docker,
        }
    }

    /// The same as flags, for another process.
    pub(super) fn to_flags(&self) -> Vec<String> {
        let mut flags = vec!["--backend".to_owned(), self.backend().name().to_owned()];
        if let Some(hosts) = self.hosts.to_flag() {
            flags.extend(["--hosts".to_owned(), hosts]);
        }
        flags
    }
}

impl Backend {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Docker => "docker",
        }
    }
}
