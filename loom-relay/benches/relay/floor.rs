//! The floor under a relay: a process that copies every frame it hears to all other links and knows
//! nothing else. What this load generator can make and count at most is what it gets through here.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Peers of the load: one that publishes, three that count.
pub(crate) const LINKS: usize = 4;

/// Runs this process as the floor if its arguments say so; returns whether they did.
pub(crate) fn is_floor() -> bool {
    let is_floor = std::env::args().nth(1).as_deref() == Some("--floor");
    if is_floor {
        fan_out().expect("the floor has nothing to fail at");
    }
    is_floor
}

/// Accepts the links of one load, then copies until they end.
fn fan_out() -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("listening on port {}", listener.local_addr()?.port());
    let mut links = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..LINKS {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        accept(&mut socket)?;
        readers.push(socket.try_clone()?);
        links.push(Arc::new(Mutex::new(socket)));
    }
    std::thread::scope(|scope| {
        for (nth, reader) in readers.into_iter().enumerate() {
            let others = links.iter().enumerate().filter(|(other, _)| *other != nth);
            let others: Vec<_> = others.map(|(_, link)| Arc::clone(link)).collect();
            // A link that breaks has ended.
            scope.spawn(move || copy(reader, &others).ok());
        }
    });
    Ok(())
}

/// Answers the handshake, whatever it says, and greets.
fn accept(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let greeting = br##"{"#":"floor","dam":"?","pid":"floor"}"##;
    let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\n\r\n"
        .to_vec();
    answer.extend_from_slice(&[0x81, greeting.len() as u8]);
    answer.extend_from_slice(greeting);
    socket.write_all(&answer)
}

/// Copies a client's frames without their masks, which are zeros, to the others.
fn copy(mut from: TcpStream, to: &[Arc<Mutex<TcpStream>>]) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    let mut out = Vec::with_capacity(buffer.len());
    loop {
        let read = from.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        out.clear();
        let mut rest = &buffer[..filled];
        // The load's frames are below 64 KiB, so they have one of two heads.
        while let &[first, second, high, low, ..] = rest {
            let (length, head) = match second & 0x7f {
                126 => (usize::from(u16::from_be_bytes([high, low])), 4),
                short => (usize::from(short), 2),
            };
            let Some(payload) = rest.get(head + 4..head + 4 + length) else {
                break;
            };
            out.extend_from_slice(&[first, second & 0x7f]);
            out.extend_from_slice(&rest[2..head]);
            out.extend_from_slice(payload);
            rest = &rest[head + 4 + length..];
        }
        let used = filled - rest.len();
        buffer.copy_within(used..filled, 0);
        filled -= used;
        for link in to {
            let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
            link.write_all(&out)?;
        }
    }
}
