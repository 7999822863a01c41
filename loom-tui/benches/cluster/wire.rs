//! A client as bare as the floor's: blocking sockets, so that what is timed is the cluster and not
//! an HTTP library waking from rest.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::Error;

/// One keep-alive connection to a node.
#[derive(Debug)]
pub(crate) struct Poster {
    socket: BufReader<TcpStream>,
}

impl Poster {
    /// Connects to `http://host:port`.
    pub(crate) fn connect(url: &str) -> Result<Self, Error> {
        Ok(Self {
            socket: BufReader::new(dial(url)?),
        })
    }

    /// `POST /nodes`; returns when the answer is there.
    pub(crate) fn post(&mut self, body: &str) -> Result<Instant, Error> {
        let request = format!(
            "POST /nodes HTTP/1.1\r\nhost: loom\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.socket.read_line(&mut line)?;
        let answered = Instant::now();
        if !line.starts_with("HTTP/1.1 201") {
            return Err(format!("a write was answered {line:?}").into());
        }
        let mut length = 0;
        loop {
            line.clear();
            self.socket.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse()?;
            }
        }
        self.socket.read_exact(&mut vec![0; length])?;
        Ok(answered)
    }
}

/// A node's change feed, read by whoever waits for it.
#[derive(Debug)]
pub(crate) struct Feed {
    socket: BufReader<TcpStream>,
    line: String,
}

impl Feed {
    /// Follows the feed from now on; returns once it is established.
    pub(crate) fn follow(url: &str) -> Result<Self, Error> {
        let mut socket = dial(url)?;
        socket.write_all(b"GET /changes?since=now HTTP/1.1\r\nhost: loom\r\n\r\n")?;
        let mut feed = Self {
            socket: BufReader::new(socket),
            line: String::new(),
        };
        feed.until(|line| line.trim_end() == "event: hello")?;
        Ok(feed)
    }

    /// Reads up to the event of this record; returns when it came.
    pub(crate) fn event_of(&mut self, id: &str) -> Result<Instant, Error> {
        let needle = format!("\"{id}\"");
        self.until(|line| line.starts_with("data:") && line.contains(&needle))
    }

    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> Result<Instant, Error> {
        loop {
            self.line.clear();
            if self.socket.read_line(&mut self.line)? == 0 {
                return Err("the change feed ended".into());
            }
            if wanted(&self.line) {
                return Ok(Instant::now());
            }
        }
    }
}

fn dial(url: &str) -> Result<TcpStream, Error> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
