//! Server-sent events from bytes that arrive in any pieces.
//!
//! [`Parser::feed`] takes a chunk and appends whole events. Lines are bounded; nothing is decoded
//! before a line is complete, so a chunk may end inside a character.

/// One event of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The `id:` in force; sticks until the next one, as the standard has it.
    pub id: Option<String>,
    /// The `event:` name; empty when there was none.
    pub name: String,
    /// The `data:` lines, joined by newlines.
    pub data: String,
}

/// A line longer than the parser's bound: the stream cannot be trusted any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of the event stream is longer than {limit} bytes")]
pub struct LineTooLong {
    /// The bound.
    pub limit: usize,
}

/// Cuts a byte stream into events.
#[derive(Debug)]
pub struct Parser {
    /// The part of a line that has arrived so far.
    line: Vec<u8>,
    line_len_max: usize,
    /// The last byte was `\r`: a `\n` that follows belongs to it.
    after_cr: bool,
    at_start: bool,
    id: Option<String>,
    name: String,
    data: Option<String>,
}

impl Parser {
    /// A parser that refuses lines above `line_len_max` bytes.
    pub fn new(line_len_max: usize) -> Self {
        Self {
            line: Vec::new(),
            line_len_max,
            after_cr: false,
            at_start: true,
            id: None,
            name: String::new(),
            data: None,
        }
    }

    /// Takes the next bytes and appends the events they complete. Comments (heartbeats) complete
    /// none; that bytes came at all is the caller's sign of life.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`]; the parser is of no use afterwards.
    pub fn feed(&mut self, chunk: &[u8], events: &mut Vec<SseEvent>) -> Result<(), LineTooLong> {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (head, tail) = rest.split_at(end);
            self.hold(head)?;
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, events);
            // Its allocation serves the next line.
            self.line = line;
            self.line.clear();
            rest = &tail[1..];
            if tail[0] == b'\r' {
                if rest.is_empty() {
                    self.after_cr = true;
                }
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.hold(rest)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        if self.line.len() + bytes.len() > self.line_len_max {
            return Err(LineTooLong {
                limit: self.line_len_max,
            });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], events: &mut Vec<SseEvent>) {
        let mut line = line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(events);
            return;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(0) => return, // a comment
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match field {
            b"id" if !value.contains('\0') => {
                self.id = (!value.is_empty()).then(|| value.into_owned());
            }
            b"event" => self.name = value.into_owned(),
            b"data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(&value);
                }
                None => self.data = Some(value.into_owned()),
            },
            // `retry` would let a server set our pace; unknown fields are to be ignored.
            _ => {}
        }
    }

    fn dispatch(&mut self, events: &mut Vec<SseEvent>) {
        let name = std::mem::take(&mut self.name);
        if let Some(data) = self.data.take() {
            events.push(SseEvent {
                id: self.id.clone(),
                name,
                data,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = Parser::new(1_000);
        let mut events = Vec::new();
        for chunk in chunks {
            parser.feed(chunk, &mut events).unwrap();
        }
        events
    }

    const STREAM: &str = "\u{FEFF}: hello\nid: 1-1\nevent: hello\ndata: {\"ä\":\"😀\"}\n\n\
                          data: a\r\ndata:b\r\n\r\n: hb\r\rdata\r\rid\ndata: last\n\nevent: cut\ndata: x";

    #[test]
    fn events_are_the_same_however_the_bytes_are_split() {
        let whole = parse(&[STREAM.as_bytes()]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0].name, "hello");
        assert_eq!(whole[0].data, "{\"ä\":\"😀\"}");
        assert_eq!(whole[1].data, "a\nb");
        assert_eq!(whole[1].id.as_deref(), Some("1-1"), "ids stick");
        assert_eq!(whole[2].data, "");
        assert_eq!(whole[3].id, None, "an empty id resets it");
        for size in 1..STREAM.len() {
            let chunks: Vec<&[u8]> = STREAM.as_bytes().chunks(size).collect();
            assert_eq!(parse(&chunks), whole, "in chunks of {size}");
        }
        for at in 0..STREAM.len() {
            let (head, tail) = STREAM.as_bytes().split_at(at);
            assert_eq!(parse(&[head, tail]), whole, "split at {at}");
        }
    }

    #[test]
    fn an_unfinished_event_is_not_an_event() {
        assert!(parse(&[b"data: half\n"]).is_empty());
        assert!(parse(&[b"event: bare\n\n"]).is_empty());
    }

    #[test]
    fn a_giant_line_is_refused_whole_or_in_pieces() {
        let mut parser = Parser::new(1_000);
        let giant = vec![b'x'; 1_001];
        assert!(parser.feed(&giant, &mut Vec::new()).is_err());
        let mut parser = Parser::new(1_000);
        let mut fed = 0;
        while parser.feed(&[b'x'; 100], &mut Vec::new()).is_ok() {
            fed += 100;
        }
        assert_eq!(fed, 1_000);
    }

    #[test]
    fn many_short_lines_are_not_a_giant_line() {
        let mut parser = Parser::new(20);
        let mut events = Vec::new();
        let chunk = "data: 0123456789\n\n".repeat(100);
        parser.feed(chunk.as_bytes(), &mut events).unwrap();
        assert_eq!(events.len(), 100);
    }

    #[test]
    fn broken_utf8_is_replaced_not_fatal() {
        assert_eq!(parse(&[b"data: \xFF\n\n"])[0].data, "\u{FFFD}");
    }
}
