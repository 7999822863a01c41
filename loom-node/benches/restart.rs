//! How long a node with a million vertices takes to be back after a restart.
//!
//! `cargo bench -p loom-node --bench restart [-- 1000000 5]`: how many vertices, and how often it is
//! started. The store is made once, as a node fills it, and kept under `target/`. Every round reads
//! the store's files from one end to the other, then starts a node on it and waits until it listens
//! and until `/health` says that it is well. Nothing is evicted in between: both read from memory.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loom_node::record::Table;
use loom_node::record::id::IdSource;
use loom_relay::machine::Batch;
use loom_relay::model::{Cell, Change, Stamp, Value, Write};
use loom_relay::store::disk::DiskStore;
use loom_relay::store::{Durability, Store};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const WALL_MS: u64 = 1_800_000_000_000;

/// Writes in one commit of the store that is made.
const BATCH: usize = 2_000;

/// A start that takes longer has failed.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Between two looks at a node that is starting.
const LOOK_EVERY: Duration = Duration::from_millis(2);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What one start took.
#[derive(Clone, Copy, Debug)]
struct Start {
    plain_read: Duration,
    listening: Duration,
    ready: Duration,
    /// Of all processors together, until it was ready.
    busy: Duration,
    memory_mib: u64,
}

fn main() -> Result<(), Error> {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse::<usize>().ok());
    let vertices = numbers.next().unwrap_or(1_000_000);
    let rounds = numbers.next().unwrap_or(5);
    let store = prepare(vertices)?;
    let mut starts = Vec::new();
    for _ in 0..rounds {
        // A node that starts tidies up: not the same files every time.
        let files = files_in(&store)?;
        let started = Instant::now();
        let bytes = read_all(&files)?;
        let plain_read = started.elapsed();
        let start = start(&store, vertices, plain_read)?;
        println!(
            "listening after {:.3} s, ready after {:.3} s of which {:.2} s of processor time, \
             {} MiB resident; a plain read of the same {} MiB took {:.3} s",
            start.listening.as_secs_f64(),
            start.ready.as_secs_f64(),
            start.busy.as_secs_f64(),
            start.memory_mib,
            bytes >> 20,
            plain_read.as_secs_f64(),
        );
        starts.push(start);
    }
    starts.sort_by_key(|start| start.ready);
    let median = starts.get(starts.len() / 2).ok_or("no rounds")?;
    println!(
        "{vertices} vertices: ready in {:.2} s (median of {rounds}), {:.1} times a plain read, \
         {:.2} s of processor time, {} MiB resident",
        median.ready.as_secs_f64(),
        median.ready.as_secs_f64() / median.plain_read.as_secs_f64(),
        median.busy.as_secs_f64(),
        median.memory_mib,
    );
    Ok(())
}

/// The store, made if it is not there yet.
fn prepare(vertices: usize) -> Result<PathBuf, Error> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = target.join(format!("restart-{vertices}"));
    if directory.exists() {
        return Ok(directory);
    }
    // Under its own name only when it is whole.
    let unfinished = target.join(format!("restart-{vertices}-unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let mut store = DiskStore::open(&unfinished, Durability::None)?;
    let mut ids = IdSource::new(StdRng::seed_from_u64(1));
    let mut rng = StdRng::seed_from_u64(2);
    let mut at_ms = WALL_MS;
    let mut changes = Vec::with_capacity(BATCH);
    for nth in 0..vertices {
        at_ms += rng.random_range(0..20);
        changes.push(vertex(ids.next(Table::Nodes, at_ms), nth, at_ms)?);
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

/// A vertex as a node writes it.
fn vertex(id: String, nth: usize, at_ms: u64) -> Result<Change, Error> {
    let person = nth.is_multiple_of(3);
    let kind = if person { "person" } else { "task" };
    let record = format!(
        r#"{{"id":"{id}","type":"{kind}","properties":{{"done":false,"rank":{nth},"title":"weave the {nth}th thread"}},"metadata":{{"createdAt":{at_ms},"updatedAt":{at_ms},"createdBy":"node-1","version":1,"writers":{{"node-1":1}}}}}}"#
    );
    let stamp = Stamp::new(at_ms as f64).ok_or("not a stamp")?;
    let cell = Cell {
        stamp,
        value: Value::text(&record),
    };
    Ok(Change {
        write: Write {
            soul: Table::Nodes.soul().into(),
            field: id.into(),
            cell,
        },
        was: None,
        from: None,
    })
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

fn read_all(files: &[PathBuf]) -> Result<u64, Error> {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    for path in files {
        let mut file = File::open(path)?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            total += read as u64;
        }
    }
    Ok(total)
}

/// A node's process, killed when the benchmark is done with it.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(store: &Path, vertices: usize, plain_read: Duration) -> Result<Start, Error> {
    // Somebody else may take the port until the node does; then this round fails, and says so.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let started = Instant::now();
    let node = Command::new(env!("CARGO_BIN_EXE_loom-node"))
        .args(["--node-id", "restarted", "--port", &port.to_string()])
        .arg("--data-dir")
        .arg(store)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(match std::env::var_os("VERBOSE") {
            Some(_) => Stdio::inherit(),
            None => Stdio::null(),
        })
        .spawn()?;
    let mut node = Node(node);
    let mut listening = None;
    let health = loop {
        if started.elapsed() > READY_WITHIN {
            return Err(format!("not ready within {READY_WITHIN:?}").into());
        }
        if let Some(status) = node.0.try_wait()? {
            return Err(format!("the node ended: {status}").into());
        }
        match ask(address, "/health") {
            Ok(answer) => {
                listening.get_or_insert(started.elapsed());
                if answer.starts_with("HTTP/1.1 200") {
                    break answer;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let ready = started.elapsed();
    let busy = busy(node.0.id())?;
    let stats = ask(address, "/digest")?;
    if !stats.contains(&format!("\"nodes\":{vertices}")) {
        return Err(format!("ready without all vertices: {health}\n{stats}").into());
    }
    Ok(Start {
        plain_read,
        listening: listening.unwrap_or(ready),
        ready,
        busy,
        memory_mib: resident_mib(node.0.id())?,
    })
}

/// Status line, headers and body of an answer.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(READY_WITHIN))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Processor time a process has taken, its own and the system's for it.
fn busy(process: u32) -> Result<Duration, Error> {
    // Linux counts it in hundredths of a second whatever its clock does.
    const TICKS_PER_S: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may have spaces in it.
    let (_, numbers) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let mut numbers = numbers.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64, Error> { Ok(numbers.next().ok_or("short stat")?.parse()?) };
    Ok(Duration::from_secs_f64((ticks()? + ticks()?) / TICKS_PER_S))
}

fn resident_mib(process: u32) -> Result<u64, Error> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.ok_or("no VmRSS")?.parse::<u64>()? >> 10)
}
