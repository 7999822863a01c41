//! Where a proxy carries connections to: an address, or a name that is looked up for each of them.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// What a proxy dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The same place every time.
    Address(SocketAddr),
    /// `host:port`, looked up anew for each connection: a container may come back with another
    /// address under the same name.
    Name(String),
}

impl Target {
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        match self {
            Self::Address(address) => TcpStream::connect(address).await,
            Self::Name(name) => TcpStream::connect(name.as_str()).await,
        }
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}
