//! The program on a disk that is full, and on one that fails at fsync.

#[path = "../mount/mod.rs"]
mod mount;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Durability, Store};

use self::mount::{FailingDisk, SmallDisk};
use super::client::{Client, within};
use super::process::Program;

/// Some 64 KB that do not compress, and another for every name.
fn noise(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex().repeat(1_000)
}

async fn start(data: &Path) -> (Program, Client) {
    let program = Program::start(&["--data-dir", data.to_str().unwrap()]).await;
    let client = Client::connect(program.address).await;
    (program, client)
}

/// What the acknowledgement of a put says; `None` when the link is gone.
async fn put(client: &mut Client, name: &str) -> Option<Result<(), String>> {
    client.put(name, "soul", name, &noise(name)).await;
    loop {
        let message = client.next().await?;
        if message["@"] == name {
            return Some(match message["err"].as_str() {
                Some(err) => Err(err.to_owned()),
                None => Ok(()),
            });
        }
    }
}

fn lost(data: &Path, acknowledged: &BTreeSet<String>) -> Vec<String> {
    let mut store = DiskStore::open(data, Durability::Sync).unwrap();
    let graph = store.load().unwrap().graph;
    let missing = acknowledged
        .iter()
        .filter(|name| graph.get("soul", name).is_none());
    missing.cloned().collect()
}

#[tokio::test]
async fn a_full_disk_refuses_puts_answers_gets_and_is_over_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(96) else {
        return;
    };
    let (mut program, mut client) = start(&disk.data()).await;
    let mut acknowledged = BTreeSet::new();
    let mut names = (0..5_000).map(|number| format!("put-{number}"));
    for _ in 0..2 {
        let name = names.next().unwrap();
        assert_eq!(put(&mut client, &name).await, Some(Ok(())));
        acknowledged.insert(name.clone());
        disk.fill(28);
        // What it was about to store when there was no more room is answered when there is again:
        // so none of these is waited for.
        let err = loop {
            let name = names.next().expect("the disk is never full");
            client.put(&name, "soul", &name, &noise(&name)).await;
            let answer = client.next();
            let Ok(answer) = tokio::time::timeout(Duration::from_millis(200), answer).await else {
                continue;
            };
            let answer = answer.expect("it keeps its links");
            match (answer["@"].as_str(), answer["err"].as_str()) {
                (Some(_), Some(err)) => break err.to_owned(),
                (Some(name), None) => assert!(acknowledged.insert(name.to_owned())),
                (None, _) => {}
            }
        };
        assert!(
            err.contains("disk is full") && err.contains("free"),
            "{err}"
        );
        client.get("look", "soul").await;
        let found = client.answer_to("look").await;
        assert!(found["put"]["soul"].is_object(), "gets go on");

        disk.free();
        let recovering = async {
            loop {
                let name = names.next().unwrap();
                match put(&mut client, &name).await.expect("it keeps its links") {
                    Ok(()) => return name,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        acknowledged.insert(within(recovering).await);

        program.child.kill().await.unwrap();
        assert_eq!(lost(&disk.data(), &acknowledged), [""; 0]);
        (program, client) = start(&disk.data()).await;
    }
}

#[tokio::test]
async fn a_disk_that_fails_at_fsync_ends_it_and_nothing_acknowledged_is_lost() {
    let Some(disk) = FailingDisk::mount(64) else {
        return;
    };
    let (mut program, mut client) = start(&disk.data()).await;
    let mut acknowledged = BTreeSet::new();
    for name in ["a", "b", "c"] {
        assert_eq!(put(&mut client, name).await, Some(Ok(())));
        acknowledged.insert(name.to_owned());
    }
    disk.fail();
    for number in 0..200 {
        let name = format!("after-{number}");
        match put(&mut client, &name).await {
            // Some of it may go where room was left on the disk below.
            Some(Ok(())) => assert!(acknowledged.insert(name)),
            Some(Err(_)) => {}
            None => break,
        }
    }
    let mut said = String::new();
    within(async {
        while let Ok(Some(line)) = program.log.next_line().await {
            said.push_str(&line);
            said.push('\n');
        }
    })
    .await;
    let status = within(program.child.wait()).await.unwrap();
    assert!(!status.success(), "{said}");
    assert!(
        said.contains("fsync") && said.contains("start again"),
        "{said}"
    );

    disk.mend();
    disk.lose_power();
    assert_eq!(lost(&disk.data(), &acknowledged), [""; 0]);
}
