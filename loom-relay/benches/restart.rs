//! How long a relay with a million vertices is away when it is restarted.
//!
//! `cargo bench -p loom-relay --bench restart [-- 1000000 5]`: how many vertices, and how often it is
//! started. The store is made once and kept under `target/`; every start is ended by SIGKILL. What
//! counts for clients is when a websocket is upgraded and greeted: gun.js gives up after two failed
//! attempts two seconds apart.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loom_relay::machine::Batch;
use loom_relay::model::{Cell, Change, Stamp, Value, Write};
use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Durability, Store};

const WALL_MS: u64 = 1_700_000_000_000;

/// Writes in one commit of the store that is made.
const BATCH: usize = 2_000;

/// A start that takes longer has failed.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Between two attempts.
const LOOK_EVERY: Duration = Duration::from_millis(2);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What one start took.
#[derive(Clone, Copy, Debug)]
struct Start {
    greeted: Duration,
    loaded: Duration,
}

fn main() -> Result<(), Error> {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse::<usize>().ok());
    let vertices = numbers.next().unwrap_or(1_000_000);
    let rounds = numbers.next().unwrap_or(5);
    let store = prepare(vertices)?;
    let mut starts = Vec::new();
    for _ in 0..rounds {
        let start = start(&store, vertices)?;
        println!(
            "a link after {:.3} s, everything read after {:.3} s",
            start.greeted.as_secs_f64(),
            start.loaded.as_secs_f64()
        );
        starts.push(start);
    }
    let worst = starts
        .iter()
        .map(|it| it.greeted)
        .max()
        .ok_or("no rounds")?;
    starts.sort_by_key(|start| start.loaded);
    println!(
        "{vertices} vertices: the slowest link of {rounds} after {:.0} ms; everything read after \
         {:.2} s (median)",
        worst.as_secs_f64() * 1e3,
        starts[rounds / 2].loaded.as_secs_f64(),
    );
    Ok(())
}

/// The store, made if it is not there yet.
fn prepare(vertices: usize) -> Result<PathBuf, Error> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = target.join(format!("relay-restart-{vertices}"));
    if directory.exists() {
        return Ok(directory);
    }
    // Under its own name only when it is whole.
    let unfinished = target.join(format!("relay-restart-{vertices}-unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let mut store = DiskStore::open(&unfinished, Durability::None)?;
    let mut changes = Vec::with_capacity(BATCH);
    for nth in 0..vertices {
        changes.push(vertex(nth)?);
        if changes.len() == BATCH || nth + 1 == vertices {
            let changes = std::mem::take(&mut changes);
            store.commit(&Batch {
                changes,
                ..Batch::default()
            })?;
        }
    }
    // Closes it.
    drop(store);
    fs::rename(&unfinished, &directory)?;
    println!("{vertices} vertices stored in {}", directory.display());
    Ok(directory)
}

/// A vertex as LoomDB keeps it.
fn vertex(nth: usize) -> Result<Change, Error> {
    let at_ms = WALL_MS + nth as u64;
    // Scattered over the key space, as ids of several writers are.
    let id = format!("{:08x}-{nth}", (nth as u32).wrapping_mul(0x9e37_79b1));
    let record = format!(
        r#"{{"id":"{id}","type":"task","properties":{{"rank":{nth},"title":"weave the {nth}th thread"}},"metadata":{{"createdAt":{at_ms},"updatedAt":{at_ms},"createdBy":"node-1","version":1}}}}"#
    );
    let cell = Cell {
        stamp: Stamp::new(at_ms as f64).ok_or("not a stamp")?,
        value: Value::text(&record),
    };
    Ok(Change {
        write: Write {
            soul: "loomdb:nodes".into(),
            field: id.into(),
            cell,
        },
        was: None,
        from: None,
    })
}

/// A relay's process, killed when the benchmark is done with it.
struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(store: &Path, vertices: usize) -> Result<Start, Error> {
    // Somebody else may take the port until the relay does; then this round fails, and says so.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let started = Instant::now();
    let relay = Command::new(env!("CARGO_BIN_EXE_loom-relay"))
        .args(["--port", &port.to_string(), "--data-dir"])
        .arg(store)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut relay = Relay(relay);
    let mut greeted = None;
    loop {
        if started.elapsed() > READY_WITHIN {
            return Err(format!("not ready within {READY_WITHIN:?}").into());
        }
        if let Some(status) = relay.0.try_wait()? {
            return Err(format!("the relay ended: {status}").into());
        }
        if greeted.is_none() {
            if is_greeted(address)? {
                greeted = Some(started.elapsed());
            }
        } else {
            let health = ask(address)?;
            if health.starts_with("HTTP/1.1 200") {
                let loaded = started.elapsed();
                if !health.contains(&format!("\"fields\":{vertices},")) {
                    return Err(format!("loaded without all vertices: {health}").into());
                }
                let greeted = greeted.unwrap_or(loaded);
                return Ok(Start { greeted, loaded });
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether a websocket is upgraded and the relay says its first words on it.
fn is_greeted(address: SocketAddr) -> Result<bool, Error> {
    let mut stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    stream.set_read_timeout(Some(READY_WITHIN))?;
    // The key is the one of the standard's example.
    write!(
        stream,
        "GET /gun HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut heard = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err("the relay hung up".into());
        }
        heard.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&heard);
        if text.starts_with("HTTP/1.1 101") && text.contains(r#""dam":"?""#) {
            return Ok(true);
        }
    }
}

/// Status line, headers and body of `/health`.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(READY_WITHIN))?;
    write!(
        stream,
        "GET /health HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
