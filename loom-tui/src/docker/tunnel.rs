//! An engine behind ssh: its socket, forwarded to one of this machine for as long as it is used.
//!
//! The user's own `ssh` does it, with the user's keys, agent and `~/.ssh/config`; nothing is asked
//! for on the terminal, which may belong to the dashboard. At the far end a `cat` reads what never
//! comes: when this process ends, however that comes about, so does its input, and with it ssh.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::endpoint::{DEFAULT_SOCKET, Endpoint};

/// For logging in.
const OPEN_WITHIN: Duration = Duration::from_secs(15);
/// How often it is tried whether the socket is there.
const TRY_EVERY: Duration = Duration::from_millis(20);
/// Kept of what ssh complains of.
const COMPLAINT_BYTES_MAX: u64 = 4 * 1024;

/// A forwarded socket. Dropping it ends the forwarding.
#[derive(Debug)]
pub(super) struct Tunnel {
    folder: PathBuf,
    /// Killed when this is dropped; its input is open for as long.
    ssh: Child,
}

/// Where an `ssh://` address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Far {
    /// `user@host`, or a name of `~/.ssh/config`.
    login: String,
    port: Option<u16>,
    /// The engine's socket there.
    socket: String,
}

impl Tunnel {
    /// Logs in and forwards. The error is a sentence: ssh's own words where it said any.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, String> {
        Self::open_with("ssh", endpoint, OPEN_WITHIN).await
    }

    async fn open_with(ssh: &str, endpoint: &Endpoint, within: Duration) -> Result<Self, String> {
        let far = Far::read(&endpoint.url).ok_or("it is no address such as ssh://user@host:22")?;
        let folder =
            private_folder().map_err(|error| format!("no folder for a socket: {error}"))?;
        let socket = folder.join("docker.sock");
        let mut command = Command::new(ssh);
        command
            .args(far.arguments(&socket))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C at the terminal is for this process, which needs the way there to clean up.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            // There is nothing in it yet.
            let _ = std::fs::remove_dir(&folder);
            format!("{ssh} cannot be run: {error}")
        })?;
        let complaint = child.stderr.take();
        let mut tunnel = Self { folder, ssh: child };
        let ready = async {
            loop {
                if UnixStream::connect(&socket).await.is_ok() {
                    return Ok(());
                }
                if let Ok(Some(status)) = tunnel.ssh.try_wait() {
                    return Err(status);
                }
                tokio::time::sleep(TRY_EVERY).await;
            }
        };
        match tokio::time::timeout(within, ready).await {
            Ok(Ok(())) => Ok(tunnel),
            Ok(Err(status)) => {
                let mut said = String::new();
                if let Some(complaint) = complaint {
                    // Without its words the status has to do.
                    let _ = complaint
                        .take(COMPLAINT_BYTES_MAX)
                        .read_to_string(&mut said)
                        .await;
                }
                let said = said.trim().replace(['\r', '\n'], " ");
                Err(if said.is_empty() {
                    format!("ssh ended with {status}")
                } else {
                    format!("ssh says: {said}")
                })
            }
            Err(_) => Err(format!("ssh did not get through within {within:?}")),
        }
    }

    /// The socket on this machine.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // Whatever cannot be deleted is an empty socket in a folder nobody else can enter.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Far {
    fn read(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("ssh://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(place) => {
                let (host, rest) = place.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = port.map(str::parse).transpose().ok()?;
        // A host that looks like an option would be one.
        if host.is_empty()
            || host.starts_with('-')
            || user.is_some_and(|user| user.starts_with('-'))
        {
            return None;
        }
        let login = user.map_or(host.to_owned(), |user| format!("{user}@{host}"));
        let socket = match path {
            "" => DEFAULT_SOCKET.to_owned(),
            path => format!("/{path}"),
        };
        Some(Self {
            login,
            port,
            socket,
        })
    }

    fn arguments(&self, socket: &Path) -> Vec<OsString> {
        let options = [
            "BatchMode=yes",
            "ExitOnForwardFailure=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
        ];
        let mut arguments: Vec<OsString> = vec!["-T".into()];
        for option in options {
            arguments.extend(["-o".into(), option.into()]);
        }
        if let Some(port) = self.port {
            arguments.extend(["-p".into(), port.to_string().into()]);
        }
        let mut forward = socket.as_os_str().to_owned();
        forward.push(format!(":{}", self.socket));
        let login = self.login.clone().into();
        arguments.extend(["-L".into(), forward, "--".into(), login, "cat".into()]);
        arguments
    }
}

/// A new folder that only this user can enter; short, because a socket's path may have 107 bytes.
fn private_folder() -> io::Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let base = runtime
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(std::env::temp_dir);
    let folder = base.join(format!("loom-ssh-{:08x}", rand::random::<u32>()));
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(url: &str) -> Option<(String, Option<u16>, String)> {
        Far::read(url).map(|far| (far.login, far.port, far.socket))
    }

    #[test]
    fn an_address_names_a_login_a_port_and_a_socket() {
        let default = || DEFAULT_SOCKET.to_owned();
        assert_eq!(far("ssh://box"), Some(("box".to_owned(), None, default())));
        assert_eq!(
            far("ssh://me@box:2222"),
            Some(("me@box".to_owned(), Some(2222), default()))
        );
        assert_eq!(
            far("ssh://me@[fd00::1]:22/run/user/7/docker.sock"),
            Some((
                "me@fd00::1".to_owned(),
                Some(22),
                "/run/user/7/docker.sock".to_owned()
            ))
        );
        for wrong in [
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://-x@box",
            "ssh://box:http",
            "tcp://box",
        ] {
            assert_eq!(far(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn ctrl_c_at_the_terminal_does_not_reach_ssh() {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join("ssh");
        std::fs::write(&fake, "#!/bin/sh\nps -o pgid= -p $$ >&2\nexit 255\n").unwrap();
        let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&fake, runs).unwrap();
        let endpoint = Endpoint::new("ssh://nobody@nowhere", "test");
        let said = Tunnel::open_with(fake.to_str().unwrap(), &endpoint, OPEN_WITHIN).await;
        let said = said.unwrap_err();
        let group: i32 = said.rsplit(' ').next().unwrap().parse().expect(&said);
        let ours = rustix::process::getpgrp().as_raw_nonzero().get();
        assert_ne!(group, ours);
    }

    #[tokio::test]
    async fn what_ssh_complains_of_is_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join("ssh");
        std::fs::write(
            &fake,
            "#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n",
        )
        .unwrap();
        let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&fake, runs).unwrap();
        let endpoint = Endpoint::new("ssh://nobody@nowhere", "test");
        let fake = fake.to_str().unwrap();
        let error = Tunnel::open_with(fake, &endpoint, OPEN_WITHIN).await;
        assert_eq!(
            error.unwrap_err(),
            "ssh says: Permission denied (publickey)."
        );
        let error = Tunnel::open_with("/no/such/ssh", &endpoint, OPEN_WITHIN).await;
        assert!(error.unwrap_err().contains("cannot be run"));
    }
}
