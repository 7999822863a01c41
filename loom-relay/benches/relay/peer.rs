//! A raw websocket peer that costs next to nothing: blocking sockets, no JSON, no copies.
//!
//! [`connect`] greets as gun.js does and asks for the souls the load writes, so that a relay that
//! routes by subscription forwards them.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::Error;

/// How long a relay may take to say the next thing it owes.
const PATIENCE: Duration = Duration::from_secs(30);

const TEXT: u8 = 1;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a peer hears.
#[derive(Debug)]
pub(crate) struct Ear {
    socket: TcpStream,
    mouth: Mouth,
    buffer: Vec<u8>,
    filled: usize,
}

/// How a peer speaks; clones share the socket.
#[derive(Clone, Debug)]
pub(crate) struct Mouth(Arc<Mutex<TcpStream>>);

/// Opens a link: handshake, `hi`, the answer to the relay's greeting, one get for each soul.
pub(crate) fn connect(
    relay: SocketAddr,
    name: &str,
    souls: &[String],
) -> Result<(Ear, Mouth), Error> {
    let mut socket = TcpStream::connect(relay)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    upgrade(&mut socket, relay)?;
    let mouth = Mouth(Arc::new(Mutex::new(socket.try_clone()?)));
    let mut ear = Ear {
        socket,
        mouth: mouth.clone(),
        buffer: vec![0; 1 << 20],
        filled: 0,
    };
    mouth.say(&format!(r##"{{"dam":"hi","#":"hi{name}"}}"##))?;
    let mut greeting = None;
    while greeting.is_none() {
        ear.listen(|text| {
            let message: Value = serde_json::from_slice(text).unwrap_or_default();
            if message["dam"] == "?" {
                greeting = Some(message["#"].to_string());
            }
        })?;
    }
    let greeting = greeting.expect("the loop ends with one");
    mouth.say(&format!(
        r##"{{"dam":"?","pid":"pid{name}","@":{greeting},"#":"he{name}"}}"##
    ))?;
    for (nth, soul) in souls.iter().enumerate() {
        mouth.say(&format!(
            r##"{{"get":{{"#":"{soul}"}},"#":"g{nth:02}{name}"}}"##
        ))?;
    }
    Ok((ear, mouth))
}

/// The client's half of the websocket handshake. The key is the standard's own example: nobody
/// here is to be told apart from a confused proxy.
fn upgrade(socket: &mut TcpStream, relay: SocketAddr) -> Result<(), Error> {
    write!(
        socket,
        "GET /gun HTTP/1.1\r\nHost: {relay}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    // Byte by byte: what follows the head belongs to the frames.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    Err(format!("no websocket: {}", String::from_utf8_lossy(&head)).into())
}

impl Ear {
    /// Waits for bytes, hands over the text frames that are complete with them, and answers pings.
    /// False once the link has ended.
    pub(crate) fn listen(&mut self, mut each: impl FnMut(&[u8])) -> Result<bool, Error> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        let read = match self.socket.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(format!("a peer heard nothing: {error}").into()),
        };
        self.filled += read;
        let mut rest = &self.buffer[..self.filled];
        while let Some(frame) = Frame::first_of(rest)? {
            match frame.opcode {
                TEXT => each(frame.payload),
                PING => self.mouth.send(PONG, frame.payload)?,
                _ => {}
            }
            rest = frame.rest;
        }
        let used = self.filled - rest.len();
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
        Ok(true)
    }
}

/// One frame of a server, and the bytes after it.
struct Frame<'a> {
    opcode: u8,
    payload: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `None` while it is not all there.
    fn first_of(bytes: &'a [u8]) -> Result<Option<Self>, Error> {
        let &[first, second, ..] = bytes else {
            return Ok(None);
        };
        if first & 0x80 == 0 || second & 0x80 != 0 {
            return Err("a server's frame is in pieces, or masked".into());
        }
        let (length, head) = match second {
            126 => match bytes[2..].first_chunk() {
                Some(length) => (u16::from_be_bytes(*length).into(), 4),
                None => return Ok(None),
            },
            127 => match bytes[2..].first_chunk() {
                Some(length) => (u64::from_be_bytes(*length), 10),
                None => return Ok(None),
            },
            short => (short.into(), 2),
        };
        let split = bytes[head..].split_at_checked(usize::try_from(length)?);
        Ok(split.map(|(payload, rest)| Self {
            opcode: first & 0x0f,
            payload,
            rest,
        }))
    }
}

impl Mouth {
    /// One text frame.
    pub(crate) fn say(&self, text: &str) -> io::Result<()> {
        self.send(TEXT, text.as_bytes())
    }

    /// Frames made by [`push_text`].
    pub(crate) fn send_frames(&self, frames: &[u8]) -> io::Result<()> {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        socket.write_all(frames)
    }

    /// Ends the link; whoever listens on it hears the end.
    pub(crate) fn hang_up(&self) {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The relay may have been first.
        let _ = socket.shutdown(Shutdown::Both);
    }

    fn send(&self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        push_frame(&mut frame, opcode, payload);
        self.send_frames(&frame)
    }
}

/// Appends one text frame of a client.
pub(crate) fn push_text(frames: &mut Vec<u8>, text: &[u8]) {
    push_frame(frames, TEXT, text);
}

/// A client must mask; a mask of zeros is one, and leaves the text as it is.
fn push_frame(frames: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    frames.push(0x80 | opcode);
    match payload.len() {
        short @ ..126 => frames.push(0x80 | short as u8),
        medium @ ..0x1_0000 => {
            frames.push(0x80 | 126);
            frames.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frames.push(0x80 | 127);
            frames.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frames.extend_from_slice(&[0; 4]);
    frames.extend_from_slice(payload);
}
