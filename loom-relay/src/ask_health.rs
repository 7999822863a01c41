//! The `health` subcommand: asks a running relay or node whether it answers.
//!
//! An image made FROM scratch has no shell and no curl for a container's health check, so the
//! binaries bring their own. [`ask`] is blocking and does one thing; it needs no runtime.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// For everything: a container's health check is killed after some seconds anyway.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// More than any `/health` says.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Whom to ask.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Exits with 0 when GET /health is answered with 200, else with 1 and the reason.")]
pub struct HealthArgs {
    /// Address of the process, as HOST:PORT or http://HOST:PORT [default: this machine, port PORT]
    #[arg(value_name = "ADDRESS")]
    pub address: Option<String>,

    /// Port on this machine, when no address is given
    #[arg(long, env = "PORT", value_name = "PORT")]
    pub port: Option<u16>,
}

/// Why a process is not well, as far as can be seen from here.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody answers there.
    #[error("{address} does not answer: {cause}; is it started, and is this its address?")]
    Silent {
        /// Who was asked.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
    /// Somebody answers, but not with 200.
    #[error("{address} is not well: GET /health was answered with {answer:?}")]
    Refused {
        /// Who was asked.
        address: String,
        /// The first line of the answer.
        answer: String,
    },
}

impl HealthArgs {
    /// The address to ask; `port` is the program's own default.
    pub fn address(&self, port: u16) -> String {
        match &self.address {
            Some(address) => {
                let address = address.strip_prefix("http://").unwrap_or(address);
                address.split('/').next().unwrap_or_default().to_owned()
            }
            None => format!("127.0.0.1:{}", self.port.unwrap_or(port)),
        }
    }
}

/// Asks `GET /health` and returns what was said.
///
/// # Errors
///
/// [`Unhealthy`] when nothing, or anything but 200, comes back in time.
pub fn ask(address: &str) -> Result<String, Unhealthy> {
    let answer = exchange(address).map_err(|cause| Unhealthy::Silent {
        address: address.to_owned(),
        cause,
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let first = head.lines().next().unwrap_or_default();
    if first.split(' ').nth(1) != Some("200") {
        return Err(Unhealthy::Refused {
            address: address.to_owned(),
            answer: first.to_owned(),
        });
    }
    Ok(body.to_owned())
}

fn exchange(address: &str) -> io::Result<String> {
    let until = Instant::now() + ANSWER_WITHIN;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, left(until)?) {
            Ok(stream) => return question(stream, address, until),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn question(mut stream: TcpStream, address: &str, until: Instant) -> io::Result<String> {
    stream.set_write_timeout(Some(left(until)?))?;
    // The answer ends with the connection: nothing of HTTP has to be understood to find its end.
    let request = format!("GET /health HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while (answer.len() as u64) < ANSWER_BYTES_MAX {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut piece)? {
            0 => break,
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {ANSWER_WITHIN:?}"),
        ));
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one request with `answer` and hangs up.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /health HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn an_answer_of_200_is_well_and_its_body_is_returned() {
        let address = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(ask(&address).unwrap(), "{}");
    }

    #[test]
    fn any_other_answer_is_not() {
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "hello", ""] {
            let error = ask(&server(answer)).unwrap_err();
            assert!(matches!(error, Unhealthy::Refused { .. }), "{error}");
        }
    }

    #[test]
    fn nobody_there_is_said_with_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = ask(&address).unwrap_err().to_string();
        assert!(error.contains(&address), "{error}");
    }

    #[test]
    fn addresses_may_be_written_as_urls() {
        let args = |address: Option<&str>, port| HealthArgs {
            address: address.map(str::to_owned),
            port,
        };
        assert_eq!(args(None, None).address(8765), "127.0.0.1:8765");
        assert_eq!(args(None, Some(1)).address(8765), "127.0.0.1:1");
        assert_eq!(args(Some("http://a:1/health"), None).address(2), "a:1");
        assert_eq!(args(Some("a:1"), Some(3)).address(2), "a:1");
    }
}
