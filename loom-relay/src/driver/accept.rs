//! A listener for axum whose sockets send at once and are watched byte by byte.

use std::io;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};

use super::meter::{Meter, Metered};

/// Accepts connections with TCP_NODELAY, which axum does not set: with Nagle's algorithm a frame
/// behind another waits for the far end's delayed acknowledgement, about 40 ms.
#[derive(Debug)]
pub struct MeteredListener(TcpListener);

impl MeteredListener {
    /// Takes over a bound listener.
    pub fn new(listener: TcpListener) -> Self {
        Self(listener)
    }
}

impl Listener for MeteredListener {
    type Io = Metered<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // axum's own accept pauses and logs when the process is out of file descriptors.
        let (stream, address) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "cannot set TCP_NODELAY");
        }
        (Metered::new(stream), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
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
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_send_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listener = MeteredListener::new(listener);
        let _caller = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = Listener::accept(&mut listener).await;
        assert!(accepted.socket().nodelay().unwrap());
    }
}
