//! Moves the bytes of one direction of one connection, under whatever its flow is at the moment.
//!
//! On a clear flow this is a copy through one buffer, without timers. While the flow is cut
//! nothing is read, written or noticed: bytes and closes wait in the kernel, as under TCP.

use std::sync::atomic::Ordering;

use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Lane;
use super::backlog::{Backlog, Ending};
use crate::cluster::{Direction, Flow, Link};

/// How one direction of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The source closed, and the sink was told so.
    Closed,
    /// The source broke, and the sink is to be told.
    Reset,
    /// The sink takes nothing more. That is news of the *other* direction.
    Deaf,
}

/// Pumps until one side ends.
pub(super) async fn pump(
    mut source: ReadHalf<'_>,
    mut sink: WriteHalf<'_>,
    mut backlog: Backlog,
    direction: Direction,
    mut link: watch::Receiver<Link>,
    lane: &Lane,
) -> End {
    let mut flow = link.borrow_and_update().flow(direction);
    loop {
        if flow.cut {
            if link.changed().await.is_err() {
                return End::Reset;
            }
            flow = link.borrow_and_update().flow(direction);
            continue;
        }
        let mut wake = backlog.release(&flow, Instant::now);
        match backlog.ended(&flow, Instant::now) {
            // A failed shutdown means the sink is gone: it needs no telling.
            Some(Ending::Closed) => {
                return sink.shutdown().await.map_or(End::Deaf, |()| End::Closed);
            }
            Some(Ending::Reset) => return End::Reset,
            None => {}
        }
        let (due, spare) = backlog.split(&flow);
        let due = pace(due, &flow, lane, &mut wake);
        tokio::select! {
            biased;
            changed = link.changed() => {
                if changed.is_err() {
                    return End::Reset;
                }
                flow = link.borrow_and_update().flow(direction);
            }
            written = sink.write(due), if !due.is_empty() => match written {
                Ok(0) | Err(_) => return End::Deaf,
                Ok(bytes) => {
                    lane.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                    if let Some(bytes_per_s) = flow.bandwidth {
                        lane.pacer.charge(bytes, bytes_per_s, Instant::now());
                    }
                    backlog.gone(bytes);
                }
            },
            read = source.read(spare), if !spare.is_empty() => match read {
                Ok(0) => backlog.end(Ending::Closed, &flow, draw),
                Ok(bytes) => backlog.filled(bytes, &flow, draw),
                Err(_) => backlog.end(Ending::Reset, &flow, draw),
            },
            () = at(wake) => {}
        }
    }
}

/// As much of `due` as the bandwidth allows now; otherwise sets `wake` to when to ask again.
fn pace<'a>(due: &'a [u8], flow: &Flow, lane: &Lane, wake: &mut Option<Instant>) -> &'a [u8] {
    let Some(bytes_per_s) = flow.bandwidth.filter(|_| !due.is_empty()) else {
        return due;
    };
    match lane.pacer.grant(bytes_per_s, Instant::now()) {
        Ok(most) => &due[..due.len().min(most)],
        Err(later) => {
            *wake = Some(wake.map_or(later, |wake| wake.min(later)));
            &[]
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Where in the jitter a chunk falls, and whether it is lost. Faults are recorded by their bounds,
/// not by each draw.
fn draw() -> f32 {
    rand::rng().random_range(-1.0..=1.0)
}
