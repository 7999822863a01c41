//! The program itself: what survives SIGKILL, how it ends, what it says when it cannot start.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Durability, Store};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::client::{Client, within};

pub(super) struct Program {
    pub(super) child: Child,
    pub(super) log: Lines<BufReader<ChildStderr>>,
    pub(super) address: SocketAddr,
}

impl Program {
    /// Starts the relay on a free port and waits until it says where it listens.
    pub(super) async fn start(flags: &[&str]) -> Self {
        Self::of(command(&[&["--port", "0"], flags].concat())).await
    }

    /// The same, of any command that ends up as a relay.
    pub(super) async fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = within(async {
            loop {
                let line = log.next_line().await.unwrap().expect("it ended at once");
                if let Some((_, address)) = line.split_once("relay listening address=") {
                    return address.parse().unwrap();
                }
            }
        })
        .await;
        Self {
            child,
            log,
            address,
        }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("still running")).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    async fn wait(&mut self) -> ExitStatus {
        // Its log is read to the end, so that it cannot hang on a full pipe.
        within(async { while let Ok(Some(_)) = self.log.next_line().await {} }).await;
        within(self.child.wait()).await.unwrap()
    }
}

pub(super) fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loom-relay"));
    command
        .args(flags)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs to the end, which must be a failure, and returns what it said.
async fn complaint(flags: &[&str]) -> String {
    let mut child = command(flags).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    within(stderr.read_to_string(&mut said)).await.unwrap();
    let status = within(child.wait()).await.unwrap();
    assert!(!status.success(), "{said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn everything_acknowledged_survives_sigkill_in_the_middle_of_writing() {
    let home = tempfile::tempdir().unwrap();
    let mut acked = BTreeSet::new();
    for round in 0..3 {
        let mut program = Program::start(&["--data-dir", text(home.path())]).await;
        let mut client = Client::connect(program.address).await;
        // Always some puts on the way, so that the kill hits commits under way.
        const AHEAD: usize = 50;
        const FAR_MS: u64 = 4_000_000_000_000;
        for number in 0..AHEAD {
            let name = format!("{round}-{number}");
            client.put(&name, "soul", &name, &name).await;
        }
        let mut next = AHEAD;
        let enough = acked.len() + 300;
        while acked.len() < enough {
            let message = client.next().await.unwrap();
            let Some(id) = message["@"].as_str() else {
                continue;
            };
            assert!(message["err"].is_null(), "{message}");
            acked.insert(id.to_owned());
            let name = format!("{round}-{next}");
            // Some wait for the clock: they are no less acknowledged.
            if next.is_multiple_of(5) {
                client.put_at(&name, "soul", &name, &name, FAR_MS).await;
            } else {
                client.put(&name, "soul", &name, &name).await;
            }
            next += 1;
        }
        program.signal(Signal::KILL);
        // What was acknowledged before it died counts too.
        while let Some(message) = client.next().await {
            acked.extend(message["@"].as_str().map(str::to_owned));
        }
        program.wait().await;

        let mut store = DiskStore::open(home.path(), Durability::Sync).unwrap();
        let kept = store.load().unwrap();
        let taken = kept.graph.items_after(None);
        let taken = taken.map(|item| (item.field, item.cell));
        let waiting = kept.deferred.iter().map(|it| (&it.field, &it.cell));
        let mut held = BTreeSet::new();
        for (field, cell) in taken.chain(waiting) {
            assert_eq!(cell.value.as_text().as_deref(), Some(&**field));
            held.insert(field.to_string());
        }
        assert!(!kept.deferred.is_empty());
        let lost: Vec<_> = acked.difference(&held).collect();
        assert!(
            lost.is_empty(),
            "{} acknowledged, lost {lost:?}",
            acked.len()
        );
    }
}

#[tokio::test]
async fn sigterm_and_sigint_end_it_without_an_error() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Program::start(&[]).await;
        let mut client = Client::connect(program.address).await;
        program.signal(signal);
        assert!(client.sees_close().await, "{signal:?}");
        let status = program.wait().await;
        assert!(status.success(), "{signal:?}: {status}");
    }
}

#[tokio::test]
async fn it_ends_when_the_process_that_started_it_is_gone() {
    let mut orphan = command(&["--port", "0", "--die-with-parent"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(orphan.stderr.take().unwrap()).lines();
    within(async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("relay listening") {
                return;
            }
        }
        panic!("it ended although its controller is there");
    })
    .await;
    // What the kernel does when the controller dies.
    drop(orphan.stdin.take());
    let status = within(orphan.wait()).await.unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = complaint(&["--port", &port]).await;
    assert!(
        said.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{said}"
    );
    assert!(said.contains("--port"), "{said}");
}

#[tokio::test]
async fn a_data_directory_in_use_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let _first = Program::start(&["--data-dir", text(home.path())]).await;
    let said = complaint(&["--port", "0", "--data-dir", text(home.path())]).await;
    assert!(said.contains(text(home.path())), "{said}");
    assert!(said.contains("another process is using it"), "{said}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    for (flags, named) in [
        (&["--peers", "wss://relay/gun"][..], "wss://relay/gun"),
        (&["--log", "loom_relay=loud"], "--log loom_relay=loud"),
        (&["--durability", "sync"], "--data-dir"),
        (&["--data-dir", "/dev/null"], "/dev/null"),
    ] {
        let said = complaint(&[&["--port", "0"], flags].concat()).await;
        assert!(said.contains(named), "{flags:?}: {said}");
    }
}

#[tokio::test]
async fn settings_come_from_the_environment_too() {
    let mut child = command(&[])
        .env("PORT", "0")
        .env("BIND", "127.0.0.2")
        .env("GUN_PEERS", "")
        .env("DATA_DIR", "")
        .env("LOOM_LOG", "info")
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    within(async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("relay listening address=127.0.0.2:") {
                return;
            }
        }
        panic!("it ended");
    })
    .await;
    child.kill().await.unwrap();
}

#[tokio::test]
async fn an_idle_relay_with_a_store_stays_under_40_mb() {
    let home = tempfile::tempdir().unwrap();
    let program = Program::start(&["--data-dir", text(home.path())]).await;
    let mut client = Client::connect(program.address).await;
    client.put("1", "soul", "field", "value").await;
    client.answer_to("1").await;
    let url = format!("http://{}/metrics", program.address);
    let page = within(reqwest::get(url))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let resident = page
        .lines()
        .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let Some(resident) = resident else {
        assert!(!Path::new("/proc/self/status").exists(), "{page}");
        return;
    };
    let resident_bytes: f64 = resident.parse().unwrap();
    assert!(resident_bytes < 40e6, "{} MB", resident_bytes / 1e6);
    println!("{} MB", resident_bytes / 1e6);
}
