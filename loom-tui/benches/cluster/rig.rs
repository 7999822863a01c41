//! A cluster of release-built processes for the benchmarks, without proxies on its links.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Error;

/// The binary under test, which contains node and relay.
const LOOM: &str = env!("CARGO_BIN_EXE_loom-tui");
/// How long a member may take to answer `/health`.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// A running relay and its nodes; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Rig {
    members: Vec<Member>,
    _data: tempfile::TempDir,
}

#[derive(Debug)]
struct Member {
    name: String,
    url: String,
    child: Child,
}

impl Drop for Member {
    fn drop(&mut self) {
        // One that already ended is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Rig {
    /// Starts a relay and `nodes` nodes and waits until every node is connected.
    pub(crate) async fn start(nodes: u8, durability: &str) -> Result<Self, Error> {
        let data = tempfile::tempdir()?;
        let mut members = vec![Member::start("relay", data.path(), durability, None)?];
        members[0].await_health(|_| true).await?;
        let relay = members[0].url.replace("http", "ws") + "/gun";
        for number in 1..=nodes {
            let name = format!("node-{number}");
            members.push(Member::start(&name, data.path(), durability, Some(&relay))?);
        }
        for member in &members[1..] {
            member
                .await_health(|health| health["sync"]["connected"] == true)
                .await?;
        }
        Ok(Self {
            members,
            _data: data,
        })
    }

    /// Base URL of a node, counted from 1.
    pub(crate) fn node(&self, number: usize) -> &str {
        &self.members[number].url
    }

    /// Waits until every node holds `records` records and all digests are equal.
    pub(crate) async fn await_equal(
        &self,
        records: u64,
        within: Duration,
    ) -> Result<Duration, Error> {
        let began = Instant::now();
        let client = client()?;
        loop {
            let mut digests = Vec::new();
            for member in &self.members[1..] {
                let url = format!("{}/digest", member.url);
                digests.push(client.get(url).send().await?.json::<Value>().await?);
            }
            let same = digests
                .iter()
                .all(|one| one["digest"] == digests[0]["digest"] && one["nodes"] == records);
            if same {
                return Ok(began.elapsed());
            }
            if began.elapsed() > within {
                return Err(format!("not equal after {within:?}: {digests:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Resident memory of every process, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<Vec<(String, u64)>, Error> {
        self.members
            .iter()
            .map(|member| {
                let status =
                    std::fs::read_to_string(format!("/proc/{}/status", member.child.id()))?;
                let kib = status
                    .lines()
                    .find_map(|line| line.strip_prefix("VmRSS:"))
                    .and_then(|rest| rest.split_whitespace().next())
                    .ok_or("no VmRSS")?;
                Ok((member.name.clone(), kib.parse::<u64>()? * 1024))
            })
            .collect()
    }
}

impl Member {
    fn start(
        name: &str,
        data: &Path,
        durability: &str,
        relay: Option<&str>,
    ) -> Result<Self, Error> {
        // Asking for a free port and handing it over can lose a race; a benchmark may then fail.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?
            .local_addr()?
            .port();
        let mut command = Command::new(LOOM);
        match relay {
            None => command.arg("relay"),
            Some(relay) => command.args(["node", "--node-id", name, "--peers", relay]),
        };
        let child = command
            .args(["--port", &port.to_string(), "--durability", durability])
            .arg("--data-dir")
            .arg(data.join(name))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(data.join(format!("{name}.log")))?)
            .spawn()?;
        Ok(Self {
            name: name.to_owned(),
            url: format!("http://127.0.0.1:{port}"),
            child,
        })
    }

    async fn await_health(&self, ready: impl Fn(&Value) -> bool) -> Result<(), Error> {
        let client = client()?;
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Ok(answer) = client.get(format!("{}/health", self.url)).send().await
                && ready(&answer.json().await?)
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{} was not ready within {READY_WITHIN:?}", self.name).into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// One client with one keep-alive connection.
pub(crate) fn client() -> Result<reqwest::Client, Error> {
    Ok(reqwest::Client::builder().tcp_nodelay(true).build()?)
}
