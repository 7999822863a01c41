//! A relay and nodes as processes, each node over a link that can be cut.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::feed::Feed;
use crate::link::Link;

/// Long enough for a loaded machine; nothing waits for it to pass.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Cluster {
    relay: Member,
    pub(crate) nodes: Vec<Node>,
}

/// A node, and the link it has to the relay.
pub(crate) struct Node {
    member: Member,
    pub(crate) link: Link,
    client: Client,
}

struct Member {
    _process: Child,
    address: SocketAddr,
}

impl Cluster {
    pub(crate) async fn start(nodes: usize) -> Self {
        Self::start_with(nodes, &[]).await
    }

    /// With more flags for each node.
    pub(crate) async fn start_with(nodes: usize, more: &[&str]) -> Self {
        let relay = Member::start(&["relay", "--port", "0"]).await;
        let mut cluster = Self {
            relay,
            nodes: Vec::new(),
        };
        for number in 1..=nodes {
            let link = Link::to(cluster.relay.address).await;
            let name = format!("node-{number}");
            let relay = format!("http://{}/gun", link.address);
            // Cuts are noticed soon, so that they end soon.
            let flags = [
                "--ping-timeout",
                "700ms",
                "--node-id",
                &name,
                "--peers",
                &relay,
            ];
            let flags = [&["node", "--port", "0"][..], &flags, more].concat();
            let node = Node {
                member: Member::start(&flags).await,
                link,
                client: Client::new(),
            };
            cluster.nodes.push(node);
        }
        for node in &cluster.nodes {
            node.until("/health", |health| health["sync"]["connected"] == true)
                .await;
        }
        cluster
    }

    /// What gun.js is pointed at.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/gun", self.relay.address)
    }
}

impl Node {
    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        response.json().await.unwrap()
    }

    /// Creates or replaces a vertex; its record.
    pub(crate) async fn put(&self, id: &str, properties: Value) -> Value {
        let body = json!({ "type": "task", "properties": properties });
        let request = self
            .client
            .put(self.url(&format!("/nodes/{id}")))
            .json(&body);
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        response.json::<Value>().await.unwrap()["node"].clone()
    }

    pub(crate) async fn delete(&self, id: &str) {
        let request = self.client.delete(self.url(&format!("/nodes/{id}")));
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
    }

    pub(crate) async fn changes(&self) -> Feed {
        Feed::open(self.client.get(self.url("/changes"))).await
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(SOON, asking).await {
            Ok(answer) => answer,
            Err(_) => panic!("{path} stays at {}", self.get(path).await),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.member.address)
    }
}

impl Member {
    async fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_loom-tui"))
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = log.next_line().await.unwrap() {
                let words = line.split(' ').filter(|_| line.contains(" listening "));
                let mut addresses = words.filter_map(|word| word.strip_prefix("address="));
                if let Some(address) = addresses.next() {
                    return address.parse().unwrap();
                }
            }
            panic!("{arguments:?} ended before it listened");
        };
        let address = tokio::time::timeout(SOON, listening).await;
        // A pipe that nobody empties would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self {
            _process: process,
            address: address.unwrap_or_else(|_| panic!("{arguments:?} does not listen")),
        }
    }
}
