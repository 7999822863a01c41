//! What a container prints, followed into the member's log book.

use std::os::fd::OwnedFd;

use bollard::Docker;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::cluster::logs::LogBook;

/// Lines asked for of what was printed before: as many as are kept in memory.
const TAIL: &str = "2000";

/// Where the last follower stopped: the engine's own time of the newest line, as it prints it.
/// All of one width, so they compare as texts.
pub(super) type Upto = String;

/// Follows `name` from the line after `upto` until its process has printed the last one.
/// The first receiver resolves then, the second with where it stopped.
pub(super) fn follow(
    docker: Docker,
    name: String,
    upto: Upto,
    book: &LogBook,
) -> std::io::Result<(oneshot::Receiver<()>, oneshot::Receiver<Upto>)> {
    let (writer, booked) = book.open()?;
    let writer = pipe::Sender::from_owned_fd(OwnedFd::from(writer))?;
    let (stopped, at) = oneshot::channel();
    tokio::spawn(async move {
        // Nobody may want to know any more.
        let _ = stopped.send(copy(docker, name, upto, writer).await);
    });
    Ok((booked, at))
}

async fn copy(docker: Docker, name: String, mut upto: Upto, mut writer: pipe::Sender) -> Upto {
    let options = LogsOptionsBuilder::new()
        .follow(true)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .tail(TAIL)
        .build();
    let mut lines = Box::pin(docker.logs(&name, Some(options)));
    while let Some(Ok(line)) = lines.next().await {
        let line = line.into_bytes();
        let Some((at, text)) = split(&line) else {
            continue;
        };
        if at <= upto.as_str() {
            continue;
        }
        upto.replace_range(.., at);
        // The reader goes on while the pipe is open: this fails only if its thread is gone.
        if writer.write_all(text).await.is_err() {
            break;
        }
    }
    upto
}

/// `2026-01-01T00:00:00.000000000Z text` as its two parts.
fn split(line: &[u8]) -> Option<(&str, &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let at = std::str::from_utf8(&line[..space]).ok()?;
    Some((at, &line[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_line_is_told_from_its_time() {
        let line = b"2026-11-25T10:00:00.123456789Z two words\n";
        let parts = ("2026-11-25T10:00:00.123456789Z", &b"two words\n"[..]);
        assert_eq!(split(line), Some(parts));
        assert_eq!(split(b"no-space"), None);
    }
}
