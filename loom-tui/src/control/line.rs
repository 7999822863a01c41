//! Lines of bounded length from a stream.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// The longest line either side accepts. The longest there is holds a member's log tail.
const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Reads lines; may be interrupted anywhere and goes on where it was.
#[derive(Debug)]
pub(super) struct Lines<R> {
    stream: BufReader<R>,
    /// What has been read of the next line.
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream: BufReader::new(stream),
            line: Vec::new(),
        }
    }

    /// The next line without its end, or `None` at the end of the stream.
    ///
    /// # Errors
    /// When the stream breaks or a line is longer than [`LINE_BYTES_MAX`].
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len()) as u64;
        // Unlike reading into a string this leaves in `line` what it got before an interruption.
        let mut bounded = (&mut self.stream).take(room);
        bounded.read_until(b'\n', &mut self.line).await?;
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(Some(std::mem::take(&mut self.line)));
        }
        if self.line.len() >= LINE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "line too long"));
        }
        // The stream has ended; half a line is nobody's request.
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn an_interrupted_read_goes_on_where_it_was() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(reader);
        for piece in ["{\"id\"", ":1", "}\n{}"] {
            writer.write_all(piece.as_bytes()).await.unwrap();
            let moment = Duration::from_millis(20);
            if let Ok(line) = tokio::time::timeout(moment, lines.next()).await {
                assert_eq!(line.unwrap().unwrap(), b"{\"id\":1}");
            }
        }
        writer.write_all(b"\nhalf").await.unwrap();
        drop(writer);
        assert_eq!(lines.next().await.unwrap().unwrap(), b"{}");
        assert_eq!(lines.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_endless_line_is_an_error() {
        let mut lines = Lines::new(tokio::io::repeat(b'x'));
        let error = lines.next().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
