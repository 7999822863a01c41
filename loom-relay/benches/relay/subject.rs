//! What is measured: a relay, or the floor, in a process of its own.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::Error;

/// One row of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Bytes are copied, nothing else.
    Floor,
    /// The relay of the gun package.
    Gun {
        /// Writes are kept on disk.
        radisk: bool,
        /// It routes by subscription instead of flooding.
        axe: bool,
    },
    /// `loom-relay` with a data directory.
    Loom {
        /// `--durability`.
        durability: &'static str,
    },
}

/// A running one; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    _home: tempfile::TempDir,
}

impl Subject {
    /// As the report calls it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Floor => "bare fan-out (floor)".to_owned(),
            Self::Gun { radisk, axe } => {
                let kept = if radisk { "radisk" } else { "memory only" };
                let axe = if axe { "AXE" } else { "no AXE" };
                format!("GUN, {kept}, {axe}")
            }
            Self::Loom { durability } => format!("loom-relay, durability {durability}"),
        }
    }

    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(self, gun: Option<&Path>) -> Result<Process, Error> {
        let home = tempfile::tempdir()?;
        let mut command = match self {
            Self::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--floor");
                command
            }
            Self::Gun { radisk, axe } => {
                let modules = gun.ok_or("gun.js is not installed")?;
                let settings = json!({ "modules": modules, "radisk": radisk, "axe": axe });
                let script =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/relay/gun-relay.js");
                let mut command = Command::new("node");
                command.arg(script).arg(settings.to_string());
                command
            }
            Self::Loom { durability } => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_loom-relay"));
                command.args(["--port", "0", "--durability", durability]);
                command.arg("--data-dir").arg(home.path().join("data"));
                command
            }
        };
        let mut child = command
            .current_dir(home.path())
            .env_remove("PEERS")
            .env_remove("LOOM_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().expect("it is piped");
        let err = child.stderr.take().expect("it is piped");
        let (said, address) = std::sync::mpsc::channel();
        for pipe in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let said = said.clone();
            // Read to the end, so that it cannot hang on a full pipe.
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if let Some(address) = address_in(&line) {
                        // Only the first is waited for.
                        let _ = said.send(address);
                    }
                }
            });
        }
        let mut process = Process {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            _home: home,
        };
        process.address = address
            .recv_timeout(Duration::from_secs(20))
            .map_err(|_| format!("{} does not say where it listens", self.name()))?;
        Ok(process)
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    if let Some((_, address)) = line.split_once("relay listening address=") {
        return address.trim().parse().ok();
    }
    let port: u16 = line.strip_prefix("listening on port ")?.parse().ok()?;
    Some(([127, 0, 0, 1], port).into())
}

impl Process {
    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .ok_or("no VmRSS")?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// Processor time of all its threads so far.
    pub(crate) fn processor_time(&self) -> Result<Duration, Error> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold anything.
        let (_, after_name) = stat.rsplit_once(')').ok_or("no name in stat")?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let [user, system] = [fields.get(11), fields.get(12)];
        let ticks: u64 =
            user.ok_or("no utime")?.parse::<u64>()? + system.ok_or("no stime")?.parse::<u64>()?;
        // Linux shows user space a hundredth of a second on every architecture we run on.
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that already ended is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
