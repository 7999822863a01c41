//! A listener for axum whose sockets send at once, are watched byte by byte, and are so many at
//! most, whatever those who connect do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Stats;
use super::meter::{Idle, Meter, Metered};

/// How long to wait after the system refused to hand out a connection, usually because the process
/// has no file descriptors left. Connections that end in the meantime give theirs back; those that
/// wait to be accepted wait in the kernel.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Accepts at most so many connections at once, and ends those that do nothing.
///
/// With TCP_NODELAY, which axum does not set: with Nagle's algorithm a frame behind another waits
/// for the far end's delayed acknowledgement, about 40 ms.
#[derive(Debug)]
pub struct MeteredListener {
    listener: TcpListener,
    room: Arc<Semaphore>,
    idle_max: Duration,
    stats: Arc<Stats>,
}

impl MeteredListener {
    /// Takes over a bound listener. A connection that is no link and on which no byte moved for
    /// `idle_max` is ended; `connections_max` counts links and all others.
    pub(super) fn new(
        listener: TcpListener,
        connections_max: usize,
        idle_max: Duration,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            listener,
            room: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
            idle_max,
            stats,
        }
    }

    async fn next(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                // The caller was gone before it was accepted; the next one may not be.
                Err(error) if is_of_the_caller(&error) => {}
                Err(error) => {
                    self.stats.accept_failures.up();
                    tracing::warn!(%error, "cannot accept connections right now");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    }
}

fn is_of_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

impl Listener for MeteredListener {
    type Io = Metered<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.next().await;
            let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
                // Closed without a word: a sentence would need the memory that there is none for.
                self.stats.connections_refused.up();
                tracing::debug!(%address, "refused a connection: too many are open");
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%address, %error, "cannot set TCP_NODELAY");
            }
            let idle = Idle::new(self.idle_max, Arc::clone(&self.stats));
            return (Metered::accepted(stream, idle, room), address);
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Who connected, and the meter of its socket: what a handler needs to accept a websocket.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Address and port of the far end.
    pub address: SocketAddr,
    /// Of the whole connection, HTTP included.
    pub meter: Meter,
}

impl Connected<IncomingStream<'_, MeteredListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, MeteredListener>) -> Self {
        Self {
            address: *stream.remote_addr(),
            meter: stream.io().meter().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn listener(connections_max: usize, idle_max: Duration) -> (MeteredListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = MeteredListener::new(listener, connections_max, idle_max, Arc::default());
        (listener, address)
    }

    #[tokio::test]
    async fn accepted_sockets_send_at_once() {
        let (mut listener, address) = listener(1, Duration::MAX).await;
        let _caller = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = Listener::accept(&mut listener).await;
        assert!(accepted.socket().nodelay().unwrap());
    }

    #[tokio::test]
    async fn one_connection_more_than_allowed_is_closed_and_counted_until_one_ends() {
        let (mut listener, address) = listener(1, Duration::MAX).await;
        let stats = Arc::clone(&listener.stats);
        let _first = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = Listener::accept(&mut listener).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        let serving = tokio::spawn(async move { Listener::accept(&mut listener).await });
        assert_eq!(second.read(&mut [0]).await.unwrap(), 0, "closed");
        assert_eq!(stats.connections_refused.get(), 1);
        drop(accepted);
        let third = TcpStream::connect(address).await.unwrap();
        let (_, from) = serving.await.unwrap();
        assert_eq!(from, third.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_ends_unless_it_is_a_link() {
        let idle_max = Duration::from_millis(50);
        let (mut listener, address) = listener(2, idle_max).await;
        let _silent = TcpStream::connect(address).await.unwrap();
        let (mut accepted, _) = Listener::accept(&mut listener).await;
        let error = accepted.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(accepted.meter().age() >= idle_max);
        assert_eq!(listener.stats.connections_idle.get(), 1);

        let _link = TcpStream::connect(address).await.unwrap();
        let (mut accepted, _) = Listener::accept(&mut listener).await;
        accepted.meter().is_link();
        let mut byte = [0];
        let reading = tokio::time::timeout(idle_max * 4, accepted.read(&mut byte));
        assert!(reading.await.is_err(), "links are watched by their pings");
    }
}
