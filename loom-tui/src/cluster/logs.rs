//! What a member prints: appended to its file, and the newest lines kept in memory.
//!
//! [`LogBook`] is one member's. Each process gets one pipe for both of its streams, read by a
//! thread of its own: writing to a slow disk must not delay the tasks that carry traffic.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Lines kept in memory per member; older ones are in the file.
const LINES_MAX: usize = 2_000;
/// Bytes of one line; the rest of a longer one becomes the next.
const LINE_BYTES_MAX: u64 = 8 * 1024;

/// One member's log. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct LogBook {
    path: PathBuf,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl LogBook {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            lines: Arc::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A pipe for a process to print into, and what resolves when everything in it is booked.
    ///
    /// # Errors
    /// When the file cannot be opened, or there are no file descriptors left.
    pub(super) fn open(&self) -> io::Result<(PipeWriter, oneshot::Receiver<()>)> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let (reader, writer) = io::pipe()?;
        let (done, booked) = oneshot::channel();
        let book = self.clone();
        std::thread::Builder::new()
            .name("member-log".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || {
                book.read(reader, file);
                // Nobody may be waiting: a process that was killed is not asked for last words.
                let _ = done.send(());
            })?;
        Ok((writer, booked))
    }

    /// The newest `count` lines, oldest first.
    pub(super) fn tail(&self, count: usize) -> Vec<String> {
        let lines = self.lines();
        let skipped = lines.len().saturating_sub(count);
        lines.iter().skip(skipped).cloned().collect()
    }

    fn read(&self, reader: PipeReader, mut file: File) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader
                .by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
            {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            }
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            // A full disk must not stop the member, which would block on a full pipe: keep reading.
            let _ = file.write_all(&line);
            let text = String::from_utf8_lossy(&line[..line.len() - 1]).into_owned();
            let mut lines = self.lines();
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(text);
        }
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        // Nothing in here can panic half way through a change.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_printed_is_in_the_file_and_the_newest_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let book = LogBook::new(folder.path().join("node-1.log"));
        for process in 0..2 {
            let (mut writer, booked) = book.open().unwrap();
            for line in 0..LINES_MAX {
                writeln!(writer, "{process} {line}").unwrap();
            }
            write!(writer, "unfinished").unwrap();
            drop(writer);
            booked.await.unwrap();
        }
        assert_eq!(
            book.tail(2),
            [format!("1 {}", LINES_MAX - 1), "unfinished".to_owned()]
        );
        assert_eq!(book.tail(usize::MAX).len(), LINES_MAX);
        let file = std::fs::read_to_string(book.path()).unwrap();
        assert_eq!(file.lines().count(), 2 * (LINES_MAX + 1));
    }

    #[tokio::test]
    async fn an_endless_line_is_broken_and_bad_utf8_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let book = LogBook::new(folder.path().join("node-1.log"));
        let (mut writer, booked) = book.open().unwrap();
        let writing = std::thread::spawn(move || {
            writer.write_all(&[b'x'; 20_000]).unwrap();
            writer.write_all(b"\n\xff\n").unwrap();
        });
        booked.await.unwrap();
        writing.join().unwrap();
        let lengths: Vec<_> = book
            .tail(9)
            .iter()
            .map(|line| line.chars().count())
            .collect();
        assert_eq!(lengths, [8 * 1024, 8 * 1024, 20_000 - 16 * 1024, 1]);
    }
}
