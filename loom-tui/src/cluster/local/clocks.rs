//! Nodes' clocks that are wrong on purpose. What was set belongs to the node, not to its process: the
//! next one starts with it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::Member;

/// For a node to say that its clock is set.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// As much as a node allows: a week.
pub(super) const AHEAD_MS_MAX: i64 = 7 * 24 * 3_600_000;

/// By how many milliseconds each node's clock is ahead, where it is wrong.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<BTreeMap<Member, i64>>);

impl Clocks {
    pub(super) fn get(&self, member: Member) -> i64 {
        self.lock().get(&member).copied().unwrap_or(0)
    }

    /// Returns what it was.
    pub(super) fn set(&self, member: Member, ahead_ms: i64) -> i64 {
        self.lock().insert(member, ahead_ms).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Member, i64>> {
        // What is held is plain data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the clock of the node that listens on `address`, which was started with `--fault-api`.
pub(super) async fn tell(address: SocketAddr, ahead_ms: i64) -> io::Result<()> {
    let asked = timeout(ANSWER_WITHIN, ask(address, ahead_ms));
    asked.await.unwrap_or_else(|_| {
        let text = format!("no answer within {ANSWER_WITHIN:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

async fn ask(address: SocketAddr, ahead_ms: i64) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let body = format!("{{\"offset_ms\":{ahead_ms}}}");
    let request = format!(
        "POST /faults/clock HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; b"HTTP/1.1 200".len()];
    stream.read_exact(&mut answer).await?;
    if &answer == b"HTTP/1.1 200" {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer).into_owned();
    Err(io::Error::other(format!("it answered {said}")))
}
