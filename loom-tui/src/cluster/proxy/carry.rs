//! The life of one connection through a link: held while the link is cut, dialled, pumped both
//! ways, and ended the way its two sides ended it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::backlog::{Backlog, Ending};
use super::pump::{End, pump};
use super::{Count, Shared, Wires};
use crate::cluster::{Direction, Flow, Link};

/// Carries `client` to the target until both sides are done with it.
pub(super) async fn carry(mut client: TcpStream, wires: Wires, shared: Arc<Shared>) {
    let Wires {
        target,
        mut link,
        mut hang_ups,
    } = wires;
    let _open = Count::one(&shared.open);
    let Some(backlog) = hold(&mut client, &mut link, &shared).await else {
        return;
    };
    let target = target.borrow().clone();
    hang_ups.mark_unchanged();
    let Ok(mut server) = target.connect().await else {
        // Nobody listens: the client hears what it would hear from the target's own kernel, and
        // no sooner than a cut that began meanwhile lets it.
        shared.refused.fetch_add(1, Ordering::Relaxed);
        opened(&mut link, Direction::Down).await;
        reset(&client);
        return;
    };
    shared.connections.fetch_add(1, Ordering::Relaxed);
    // Frames are small and each one matters: waiting to fill a segment would be added latency.
    // It fails only on a socket that is already broken, which the pumps will find out.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let parted = tokio::select! {
        parted = pump_both(&mut client, &mut server, backlog, &link, &shared) => parted,
        // The proxy itself is gone, or told to let go.
        _ = hang_ups.changed() => false,
    };
    if !parted {
        reset(&client);
        reset(&server);
    }
}

/// Waits until both directions are open, keeping what the client sends meanwhile.
/// `None` when the client gave up and too many others did before it.
async fn hold(
    client: &mut TcpStream,
    link: &mut watch::Receiver<Link>,
    shared: &Shared,
) -> Option<Backlog> {
    let mut backlog = Backlog::new();
    if !link.borrow_and_update().is_cut() {
        return Some(backlog);
    }
    let _held = Count::one(&shared.held);
    // What is kept here was sent before the link opened: it goes at once when it does.
    let flow = Flow::default();
    let mut given_up = None;
    while link.borrow_and_update().is_cut() {
        if backlog.has_ended() && given_up.is_none() {
            given_up = Some(shared.given_up.try_acquire().ok()?);
        }
        let (_, spare) = backlog.split(&flow);
        tokio::select! {
            biased;
            changed = link.changed() => changed.ok()?,
            read = client.read(spare), if !spare.is_empty() => match read {
                Ok(0) => backlog.end(Ending::Closed, &flow, || 0.0),
                Ok(bytes) => backlog.filled(bytes, &flow, || 0.0),
                Err(_) => return None,
            },
        }
    }
    Some(backlog)
}

/// Pumps both directions to their end. Returns whether both sides parted by closing.
async fn pump_both(
    client: &mut TcpStream,
    server: &mut TcpStream,
    backlog: Backlog,
    link: &watch::Receiver<Link>,
    shared: &Shared,
) -> bool {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let lane = |direction| shared.lane(direction);
    let mut up = pin!(pump(
        from_client,
        to_server,
        backlog,
        Direction::Up,
        link.clone(),
        lane(Direction::Up),
    ));
    let mut down = pin!(pump(
        from_server,
        to_client,
        Backlog::new(),
        Direction::Down,
        link.clone(),
        lane(Direction::Down),
    ));
    let (first, direction, second) = tokio::select! {
        end = &mut up => (end, Direction::Up, match end {
            End::Reset => return false,
            End::Closed | End::Deaf => down.await,
        }),
        end = &mut down => (end, Direction::Down, match end {
            End::Reset => return false,
            End::Closed | End::Deaf => up.await,
        }),
    };
    if second == End::Deaf {
        // The sink of the second is gone, and its own direction has ended before. That news goes
        // the way the first one went, and waits if that way is cut by now.
        opened(&mut link.clone(), direction).await;
    }
    first == End::Closed && second == End::Closed
}

/// Waits until one direction is not cut, or the proxy is gone.
async fn opened(link: &mut watch::Receiver<Link>, direction: Direction) {
    let _ = link.wait_for(|link| !link.flow(direction).cut).await;
}

/// Makes the coming close an RST, as the kernel of a dead or refusing peer would send.
fn reset(stream: &TcpStream) {
    // It fails only on a socket that is already broken.
    let _ = stream.set_zero_linger();
}
