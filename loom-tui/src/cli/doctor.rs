//! `doctor`: what a cluster needs from this machine, one line per check, each with the command that
//! mends it.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use clap::Args;

use super::{Backend, CliError, Exit, Platform, say};
use crate::cluster::docker::{clusters, network_taken};
use crate::cluster::local::{BASE_PORT, RELAY_PORT};
use crate::control::{Client, ConnectError, state_folder};
use crate::docker::image::{self, Ensured};
use crate::docker::{Engine, Trouble};

/// What to look at.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  loom-tui doctor                      whether a cluster can be started here
  loom-tui doctor --backend docker     a missing Docker engine counts as a fault then
  loom-tui doctor --hosts ssh://a,ssh://b   every one of them

Exits with 0 when nothing is in the way, else with 1.")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    platform: Platform,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// Nothing to do.
    Fine,
    /// Something is not as usual, and in nobody's way.
    Note,
    /// A cluster cannot be started like this.
    Fault,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    mark: Mark,
    what: &'static str,
    found: String,
    /// What mends it; empty if nothing is to be done.
    mend: String,
}

impl Check {
    fn fine(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            mark: Mark::Fine,
            what,
            found: found.into(),
            mend: String::new(),
        }
    }

    fn with(mark: Mark, what: &'static str, found: String, mend: impl Into<String>) -> Self {
        Self {
            mark,
            what,
            found,
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.mark {
            Mark::Fine => "ok",
            Mark::Note => "note",
            Mark::Fault => "FAULT",
        };
        write!(f, "{mark:<6} {:<14} {}", self.what, self.found)?;
        if !self.mend.is_empty() {
            write!(f, ": {}", self.mend)?;
        }
        Ok(())
    }
}

pub(super) async fn doctor(args: DoctorArgs, control: &Path) -> Result<Exit, CliError> {
    let hosts = &args.platform.hosts;
    hosts.check_distinct()?;
    let mut checks = vec![controller(control).await, folder(&state_folder())];
    // Of other machines it cannot be known what is taken.
    checks.extend(hosts.is_empty().then(ports));
    let lacking = match args.platform.backend() {
        Backend::Docker => Mark::Fault,
        Backend::Local => Mark::Note,
    };
    for engine in hosts.each().await {
        checks.extend(docker(engine, lacking).await);
    }
    for check in &checks {
        say(&check.to_string());
    }
    let worst = checks.iter().map(|check| check.mark).max();
    Ok(match worst {
        Some(Mark::Fault) => Exit::Failed,
        _ => Exit::Ok,
    })
}

/// Whether somebody runs a cluster here already.
async fn controller(control: &Path) -> Check {
    const WHAT: &str = "controller";
    match Client::connect(control, false).await {
        Err(ConnectError::Nobody(path)) => Check::fine(
            WHAT,
            format!("none runs; it would listen on {}", path.display()),
        ),
        Err(error) => Check::with(
            Mark::Fault,
            WHAT,
            error.to_string(),
            "end that process, or choose another socket with --control",
        ),
        Ok(client) => {
            let hello = client.hello();
            let (pid, kind) = (hello.holder.pid, &hello.kind);
            Check::with(
                Mark::Note,
                WHAT,
                format!("process {pid} runs a cluster ({kind})"),
                "`loom-tui down` ends it; --control PATH makes room for another",
            )
        }
    }
}

/// Whether what a cluster leaves can be written.
fn folder(folder: &Path) -> Check {
    const WHAT: &str = "state folder";
    let shown = folder.display();
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, "x"));
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => Check::fine(WHAT, shown.to_string()),
        Err(error) => Check::with(
            Mark::Fault,
            WHAT,
            format!("{shown} cannot be written ({error})"),
            format!("`sudo chown -R $USER {shown}`, or set XDG_STATE_HOME"),
        ),
    }
}

/// Whether the ports people expect are free. Others would be used, so it is never a fault.
fn ports() -> Check {
    const WHAT: &str = "ports";
    let wanted = [RELAY_PORT, BASE_PORT, BASE_PORT + 1, BASE_PORT + 2];
    let taken: Vec<_> = wanted
        .into_iter()
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err())
        .map(|port| port.to_string())
        .collect();
    if taken.is_empty() {
        let wanted = wanted.map(|port| port.to_string()).join(", ");
        return Check::fine(WHAT, format!("{wanted} are free"));
    }
    let found = format!("{} taken, others will be used", taken.join(", "));
    let first = &taken[0];
    let mend = format!(
        "`ss -ltnp 'sport = :{first}'` says by whom; docker-compose takes others by NODE_1_PORT=… \
         RELAY_PORT=…"
    );
    Check::with(Mark::Note, WHAT, found, mend)
}

/// An engine, the image, and what is on it.
async fn docker(engine: Result<Engine, Trouble>, lacking: Mark) -> Vec<Check> {
    const WHAT: &str = "docker engine";
    let engine = match engine {
        Ok(engine) => engine,
        Err(trouble) => {
            let what = match &trouble {
                Trouble::Forbidden { .. } => "docker access",
                _ => WHAT,
            };
            let mend = trouble.next_step();
            return vec![Check::with(lacking, what, trouble.to_string(), mend)];
        }
    };
    let Engine {
        endpoint,
        version,
        api,
        ..
    } = &engine;
    let mut checks = vec![Check::fine(
        WHAT,
        format!("{version}, API {api}, at {endpoint}"),
    )];
    checks.push(match image::look(&engine, image::NAME).await {
        Ok(Some(Ensured::Other)) => Check::with(
            Mark::Note,
            "docker image",
            format!("{} at {endpoint} is made of another build", image::NAME),
            "`loom-tui image build` makes it anew for docker-compose; clusters of loom-tui have \
             their own",
        ),
        Ok(Some(_)) => Check::fine(
            "docker image",
            format!("{} at {endpoint} is of this build", image::NAME),
        ),
        Ok(None) => Check::with(
            Mark::Note,
            "docker image",
            format!(
                "there is no {} at {endpoint} yet, it is made when needed",
                image::NAME
            ),
            "docker-compose needs it first: `loom-tui image build`",
        ),
        Err(error) => Check::with(lacking, "docker image", error.reason, error.next_step),
    });
    let found = clusters(&engine.docker).await;
    let by_compose = found
        .as_ref()
        .is_ok_and(|found| found.iter().any(|it| !it.ours));
    match network_taken(&engine.docker).await {
        Ok(Some(name)) if !by_compose => checks.push(Check::with(
            lacking,
            "docker network",
            format!("{name} is there at {endpoint}, made by somebody else"),
            format!(
                "`docker-compose down` or `docker network rm {name}` removes it, and --name makes \
                 a cluster beside it"
            ),
        )),
        Ok(_) => {}
        Err(error) => checks.push(Check::with(
            lacking,
            "docker network",
            error.reason,
            error.next_step,
        )),
    }
    match found {
        Ok(found) => checks.extend(found.into_iter().map(|cluster| {
            let name = &cluster.name;
            if cluster.ours && !cluster.controlled {
                let found = format!("nobody looks after the containers of {name} at {endpoint}");
                let mend = "`loom-tui heal` mends them, `loom-tui down` removes them";
                return Check::with(Mark::Note, "containers", found, mend);
            }
            let by = if cluster.ours {
                "loom-tui"
            } else {
                "docker-compose"
            };
            Check::fine("containers", format!("{name} at {endpoint} is run by {by}"))
        })),
        Err(error) => checks.push(Check::with(
            lacking,
            "containers",
            error.reason,
            error.next_step,
        )),
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_a_fault_with_a_command() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(folder(dir.path()).mark, Mark::Fine);
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "it left a file"
        );
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let check = folder(&file.join("state"));
        assert_eq!(check.mark, Mark::Fault);
        let line = check.to_string();
        assert!(
            line.starts_with("FAULT") && line.contains("chown"),
            "{line}"
        );
    }
}
