//! A node whose disk is full, as a process of its own: writes are refused, reads go on, it recovers
//! by itself, and everything acknowledged survives SIGKILL. And one whose disk fails: it ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "../../loom-relay/tests/mount/mod.rs"]
mod mount;
#[path = "../../loom-relay/tests/soon/mod.rs"]
mod soon;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mount::{FailingDisk, SmallDisk};
use serde_json::{Value as Json, json};
use soon::until;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(60);

struct Node {
    child: Child,
    url: String,
    client: reqwest::Client,
    /// Everything it has printed, when it has ended.
    log: JoinHandle<String>,
}

impl Node {
    async fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loom-node"))
            .args(["--port", "0", "--node-id", "n", "--data-dir"])
            .arg(data)
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            loop {
                let line = log.next_line().await.unwrap().expect("it ended at once");
                if let Some((_, rest)) = line.split_once("address=") {
                    return rest.split(' ').next().unwrap().to_owned();
                }
            }
        };
        let address = tokio::time::timeout(SOON, listening).await.unwrap();
        // Read to the end, so that it cannot hang on a full pipe.
        let log = tokio::spawn(async move {
            let mut said = String::new();
            while let Ok(Some(line)) = log.next_line().await {
                said.push_str(&line);
                said.push('\n');
            }
            said
        });
        let node = Self {
            child,
            url: format!("http://{address}"),
            client: reqwest::Client::new(),
            log,
        };
        node.loaded().await;
        node
    }

    /// It answers 503 until it has read its store.
    async fn loaded(&self) {
        until("its store is read", async || {
            let asked = self.client.get(format!("{}/health", self.url)).send().await;
            (asked.unwrap().status() == 200).then_some(())
        })
        .await;
    }

    async fn write(&self, id: &str) -> (u16, Json, bool) {
        self.try_write(id).await.unwrap()
    }

    /// An error when it has ended meanwhile.
    async fn try_write(&self, id: &str) -> reqwest::Result<(u16, Json, bool)> {
        let noise = blake3::hash(id.as_bytes()).to_hex();
        let body = json!({"id": id, "properties": {"pad": noise.repeat(1_000)}});
        let request = self.client.post(format!("{}/nodes", self.url)).json(&body);
        let response = request.timeout(SOON).send().await?;
        let retry = response.headers().contains_key("retry-after");
        let status = response.status().as_u16();
        Ok((status, response.json().await?, retry))
    }

    async fn get(&self, path: &str) -> Json {
        let request = self.client.get(format!("{}{path}", self.url));
        let response = request.timeout(SOON).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    async fn problems(&self) -> String {
        self.get("/health").await["problems"].to_string()
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_is_over_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(96) else {
        return;
    };
    let mut node = Node::start(&disk.data()).await;
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    for round in 0..2 {
        disk.fill(28);
        // Until the disk is full; the first to notice may not know what became of it.
        let (answer, retry) = loop {
            let id = format!("{round}-{number}");
            number += 1;
            match node.write(&id).await {
                (201, ..) => assert!(acknowledged.insert(id)),
                (503, answer, retry) => break (answer, retry),
                (500, answer, _) => assert_eq!(answer["code"], "outcome_unknown", "{answer}"),
                other => panic!("{other:?}"),
            }
            assert!(number < 2_000, "the disk is never full");
        };
        assert_eq!(answer["code"], "stalled", "{answer}");
        let sentence = answer["error"].as_str().unwrap();
        for part in ["nothing was written", "disk is full", "free space"] {
            assert!(sentence.contains(part), "{sentence}");
        }
        assert!(retry, "when to try again is said");
        assert!(node.problems().await.contains("disk is full"));
        let some = acknowledged.first().unwrap();
        node.get(&format!("/nodes/{some}")).await;

        disk.free();
        let id = until("there is room again", async || {
            let id = format!("after-{round}-{number}");
            number += 1;
            match node.write(&id).await {
                (201, ..) => Some(id),
                (503, ..) => None,
                other => panic!("{other:?}"),
            }
        })
        .await;
        acknowledged.insert(id);
        assert!(!node.problems().await.contains("disk is full"));

        node.child.kill().await.unwrap();
        node = Node::start(&disk.data()).await;
        for id in &acknowledged {
            node.get(&format!("/nodes/{id}")).await;
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_at_fsync_ends_it_and_nothing_acknowledged_is_lost() {
    let Some(disk) = FailingDisk::mount(64) else {
        return;
    };
    let mut node = Node::start(&disk.data()).await;
    let mut acknowledged = BTreeSet::new();
    for id in ["a", "b", "c"] {
        assert_eq!(node.write(id).await.0, 201);
        acknowledged.insert(id.to_owned());
    }
    disk.fail();
    for number in 0..200 {
        let id = format!("after-{number}");
        match node.try_write(&id).await {
            // Some of it may go where room was left on the disk below.
            Ok((201, ..)) => assert!(acknowledged.insert(id)),
            Ok((500 | 503, ..)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    let status = tokio::time::timeout(SOON, node.child.wait()).await;
    let said = node.log.await.unwrap();
    assert!(!status.expect("it goes on").unwrap().success(), "{said}");
    assert!(
        said.contains("fsync") && said.contains("start again"),
        "{said}"
    );

    disk.mend();
    disk.lose_power();
    let node = Node::start(&disk.data()).await;
    for id in &acknowledged {
        node.get(&format!("/nodes/{id}")).await;
    }
}
