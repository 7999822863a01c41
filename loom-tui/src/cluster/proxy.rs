//! The fault proxy: one per link between a node and the relay, in plain TCP.
//!
//! [`LinkProxy`] is its one door. The node dials the proxy, the proxy dials the relay, and what
//! happens in between is a [`Link`]. Changing it never waits for data and takes effect at once,
//! on open connections and on bytes already under way.
//!
//! The rule everything here follows: *news travels the way its bytes do*. A close, a reset or a
//! byte of one side reaches the other only through the direction that leads there; while that
//! direction is cut it waits. A new connection needs both directions, as a TCP handshake does, so
//! while either is cut the relay does not hear of it.

mod backlog;
mod carry;
mod pacer;
mod pump;
mod target;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::{Direction, Link, Traffic};
use pacer::Pacer;
pub use target::Target;

/// Connections open at a time per link; past it the listener stops accepting.
/// A node keeps one; during a long cut it keeps dialling.
const CONNECTIONS_MAX: usize = 256;

/// Connections kept although their client hung up while they were held; later ones are forgotten.
/// Without a bound, a node that redials during an hour of cut would greet the relay with a
/// thousand dead connections when it heals.
const GIVEN_UP_MAX: usize = 8;

/// How long to wait when the system has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A TCP proxy on an ephemeral loopback port. Dropping it closes everything it carries.
#[derive(Debug)]
pub struct LinkProxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    target: watch::Sender<Target>,
    /// Marked whenever everything that is carried is to be let go.
    hang_ups: watch::Sender<()>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl LinkProxy {
    /// Listens on `127.0.0.1` and carries every connection to `target`.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn open(target: impl Into<Target>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let link = watch::Sender::new(Link::default());
        let target = watch::Sender::new(target.into());
        let hang_ups = watch::Sender::new(());
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(
            listener,
            Wires {
                target: target.subscribe(),
                link: link.subscribe(),
                hang_ups: hang_ups.subscribe(),
            },
            Arc::clone(&shared),
        ));
        Ok(Self {
            address,
            link,
            target,
            hang_ups,
            shared,
            accepting,
        })
    }

    /// Where the node dials.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the link look exactly like this, now.
    pub fn set(&self, link: Link) {
        self.link.send_if_modified(|held| {
            let modified = *held != link;
            if modified {
                self.shared.up.pacer.reset();
                self.shared.down.pacer.reset();
                *held = link;
            }
            modified
        });
    }

    /// What the link looks like.
    pub fn link(&self) -> Link {
        *self.link.borrow()
    }

    /// Sends later connections somewhere else, as when the relay came back on another port.
    pub fn retarget(&self, target: impl Into<Target>) {
        self.target.send_replace(target.into());
    }

    /// Resets the connections carried to the target; those that wait for a cut to end go on
    /// waiting. For sockets that cannot work again, as when the interface under them is gone.
    pub fn hang_up(&self) {
        self.hang_ups.send_replace(());
    }

    /// What has been carried so far.
    pub fn traffic(&self) -> Traffic {
        let Shared {
            up,
            down,
            connections,
            open,
            held,
            refused,
            ..
        } = &*self.shared;
        Traffic {
            up_bytes: up.bytes.load(Ordering::Relaxed),
            down_bytes: down.bytes.load(Ordering::Relaxed),
            connections: connections.load(Ordering::Relaxed),
            open: open.load(Ordering::Relaxed),
            held: held.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
        }
    }
}

impl Drop for LinkProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections of one link have in common.
#[derive(Debug)]
struct Shared {
    up: Lane,
    down: Lane,
    connections: AtomicU64,
    open: AtomicU64,
    held: AtomicU64,
    refused: AtomicU64,
    given_up: Arc<Semaphore>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            up: Lane::default(),
            down: Lane::default(),
            connections: AtomicU64::default(),
            open: AtomicU64::default(),
            held: AtomicU64::default(),
            refused: AtomicU64::default(),
            given_up: Arc::new(Semaphore::new(GIVEN_UP_MAX)),
        }
    }
}

impl Shared {
    fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }
}

/// One direction of a link, over all its connections.
#[derive(Debug, Default)]
struct Lane {
    bytes: AtomicU64,
    pacer: Pacer,
}

/// Counts one while it lives.
struct Count<'a>(&'a AtomicU64);

impl<'a> Count<'a> {
    fn one(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What every connection listens to.
#[derive(Clone)]
struct Wires {
    target: watch::Receiver<Target>,
    link: watch::Receiver<Link>,
    hang_ups: watch::Receiver<()>,
}

async fn accept(listener: TcpListener, wires: Wires, shared: Arc<Shared>) {
    // Dropped with this task, which ends every connection.
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if carried.len() < CONNECTIONS_MAX => match accepted {
                Ok((client, _)) => {
                    carried.spawn(carry::carry(client, wires.clone(), Arc::clone(&shared)));
                }
                Err(error) => {
                    tracing::warn!(%error, "link proxy cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = carried.join_next(), if !carried.is_empty() => {}
        }
    }
}
