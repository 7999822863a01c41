//! Watches for a member's first answer on `/health`.
//!
//! One request per connection in a few lines: a client with pools and retries would hide what is
//! asked here, which is whether this process answers now.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// For one answer. A frozen process accepts a connection and never answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Between two questions at first: a member is up within a few tens of milliseconds.
const PAUSE: Duration = Duration::from_millis(10);
/// Between two questions to one that takes longer.
const PAUSE_LATER: Duration = Duration::from_millis(50);

/// Resolves when `GET /health` was answered with 200 at `host:port`.
pub(in crate::cluster) async fn answered(address: String) {
    for attempt in 0_u32.. {
        if let Ok(Ok(true)) = timeout(ANSWER_WITHIN, ask(&address)).await {
            return;
        }
        sleep(if attempt < 100 { PAUSE } else { PAUSE_LATER }).await;
    }
}

async fn ask(address: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; b"HTTP/1.1 200".len()];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"HTTP/1.1 200")
}
