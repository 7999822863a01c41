//! The physical floor under a write's path: bare TCP forwarders in the cluster's topology.
//!
//! `driver -> n1 -> relay -> n2 -> driver`, each hop a process of its own that copies 300-byte
//! messages and knows nothing else. What Loom takes above this is Loom's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes per message: about what one small record takes on the wire.
const MESSAGE_BYTES: usize = 300;

/// Runs this process as one hop if its arguments say so; returns whether they did.
pub(crate) fn is_hop() -> bool {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() != Some("--hop") {
        return false;
    }
    let target = args.next().expect("--hop is followed by the next address");
    hop(&target);
    true
}

/// Accepts one connection, dials the next hop, and copies until either side ends.
fn hop(target: &str) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a hop");
    println!("{}", listener.local_addr().expect("bound").port());
    let (mut from, _) = listener.accept().expect("a hop's only connection");
    let mut to = TcpStream::connect(target).expect("the next hop listens");
    from.set_nodelay(true).expect("nodelay");
    to.set_nodelay(true).expect("nodelay");
    let mut buffer = [0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// A chain of three hops that ends where it began.
#[derive(Debug)]
pub(crate) struct Chain {
    hops: Vec<Child>,
    into: TcpStream,
    back: TcpStream,
}

impl Chain {
    /// Starts the three processes and connects both ends.
    pub(crate) fn start() -> std::io::Result<Self> {
        let end = TcpListener::bind(("127.0.0.1", 0))?;
        let mut target = end.local_addr()?.to_string();
        let mut hops = Vec::new();
        for _ in 0..3 {
            let mut child = Command::new(std::env::current_exe()?)
                .args(["--hop", &target])
                .stdout(Stdio::piped())
                .spawn()?;
            let mut port = String::new();
            let stdout = child.stdout.take().expect("stdout is piped");
            std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut port)?;
            target = format!("127.0.0.1:{}", port.trim());
            hops.push(child);
        }
        let into = TcpStream::connect(&target)?;
        into.set_nodelay(true)?;
        let (back, _) = end.accept()?;
        back.set_nodelay(true)?;
        Ok(Self { hops, into, back })
    }

    /// Sends one message around and returns how long it took.
    pub(crate) fn round(&mut self) -> std::io::Result<Duration> {
        let mut message = [b'x'; MESSAGE_BYTES];
        let sent = Instant::now();
        self.into.write_all(&message)?;
        self.back.read_exact(&mut message)?;
        Ok(sent.elapsed())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        for hop in &mut self.hops {
            // A hop that already ended is what we want.
            let _ = hop.kill();
            let _ = hop.wait();
        }
    }
}
