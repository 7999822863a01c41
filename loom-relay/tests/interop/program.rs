//! The relay as a process that can be killed and come back where it was.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::soon::until;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running `loom-relay`.
#[derive(Debug)]
pub(crate) struct Program {
    process: Child,
    address: SocketAddr,
    flags: Vec<String>,
}

impl Program {
    /// Starts one on a free port, in memory.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts one that keeps its graph in a directory.
    pub(crate) async fn kept_in(directory: &Path) -> Self {
        Self::with(&["--data-dir", directory.to_str().unwrap()]).await
    }

    /// Starts one on a free port.
    pub(crate) async fn with(flags: &[&str]) -> Self {
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let (process, address) = spawn(0, &flags).await;
        Self {
            process,
            address,
            flags,
        }
    }

    /// What gun.js is pointed at.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/gun", self.address)
    }

    /// SIGKILL, and at once another on the same port; how long nobody was there.
    pub(crate) async fn kill_and_restart(&mut self) -> Duration {
        let killed = Instant::now();
        self.process.kill().await.unwrap();
        (self.process, self.address) = spawn(self.address.port(), &self.flags).await;
        killed.elapsed()
    }

    /// What `/metrics` says of this name, without its `loom_relay_`.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let answer = reqwest::get(format!("http://{}/metrics", self.address)).await;
        let page = answer.unwrap().text().await.unwrap();
        metric(&page, &format!("loom_relay_{name}"))
    }

    /// Waits until `/health` is as wanted.
    pub(crate) async fn until_health(&self, wanted: impl Fn(&serde_json::Value) -> bool) {
        let url = format!("http://{}/health", self.address);
        until("the relay is as wanted", async || {
            let health = reqwest::get(&url).await.unwrap().json().await.unwrap();
            wanted(&health).then_some(())
        })
        .await;
    }
}

/// One number of a page of metrics.
pub(crate) fn metric(page: &str, name: &str) -> f64 {
    let mut lines = page.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {name} in {page}"));
    line.parse().unwrap()
}

async fn spawn(port: u16, flags: &[String]) -> (Child, SocketAddr) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_loom-relay"))
        .args(["--port", &port.to_string()])
        .args(flags)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    let listening = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if let Some((_, address)) = line.split_once("relay listening address=") {
                return address.parse().unwrap();
            }
        }
        panic!("the relay ended before it listened");
    };
    let address = tokio::time::timeout(Duration::from_secs(20), listening).await;
    // A pipe that nobody empties would stop the relay.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    (process, address.expect("the relay does not listen"))
}
