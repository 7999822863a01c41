//! Ports for members: the one wished for, or a free one, kept while its member is down.
//!
//! A [`Port`] is a bound socket that never listens. On Linux the member can listen on the same
//! port all the same (both set SO_REUSEADDR), while nobody else is given it: neither another
//! cluster that looks for a free one nor the kernel for an outgoing connection. So a member has
//! the same address after each restart. Elsewhere the port is only tested and let go.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// A port on `127.0.0.1`.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    /// Held, not used.
    _held: Option<TcpSocket>,
}

impl Port {
    /// The port `wanted`, or a free one if somebody has it; 0 means any.
    ///
    /// # Errors
    /// When not even a free port can be bound.
    pub(super) fn take(wanted: u16) -> io::Result<Self> {
        Self::bind(wanted).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Self::bind(0),
            _ => Err(error),
        })
    }

    fn bind(number: u16) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Not needed to hold the port, but for the member to be able to listen on it.
        socket.set_reuseaddr(true)?;
        socket.bind(address(number))?;
        Ok(Self {
            number: socket.local_addr()?.port(),
            _held: cfg!(target_os = "linux").then_some(socket),
        })
    }

    /// Its number, never 0.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Whether somebody else listens on it, so that a member cannot.
    pub(super) fn is_lost(&self) -> bool {
        TcpListener::bind(address(self.number)).is_err()
    }
}

/// Where a member on this port is reached.
pub(super) fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let stranger = TcpListener::bind(address(0)).unwrap();
        let taken = stranger.local_addr().unwrap().port();
        let port = Port::take(taken).unwrap();
        assert_ne!(port.number(), taken);
        assert!(!port.is_lost());
    }

    #[test]
    fn a_free_port_is_taken_as_wished() {
        let free = Port::take(0).unwrap().number();
        assert_eq!(Port::take(free).unwrap().number(), free);
    }

    #[test]
    fn a_member_can_listen_on_its_port_again_and_again() {
        let port = Port::take(0).unwrap();
        for _ in 0..3 {
            let member = TcpListener::bind(address(port.number())).unwrap();
            assert!(port.is_lost());
            drop(member);
        }
        assert!(!port.is_lost());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nobody_else_is_given_a_port_whose_member_is_down() {
        let port = Port::take(0).unwrap();
        let others: Vec<_> = (0..200).map(|_| Port::take(0).unwrap()).collect();
        assert!(others.iter().all(|other| other.number() != port.number()));
    }
}
