//! One open link, seen from the driver: where its frames go, and how it is ended.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Stats;
use super::conn::Conn;
use super::hub::{LinkView, Links, Opened};
use super::meter::Meter;
use super::outbox::{Outbox, outbox};
use crate::machine::Side;
use crate::model::PeerId;

/// Dropping it sends what is queued, then closes.
pub(super) struct Link {
    pub(super) side: Side,
    pub(super) far: Arc<str>,
    meter: Meter,
    pub(super) outbox: Outbox,
    /// Drops everything and ends it now.
    pub(super) kill: CancellationToken,
}

impl Link {
    /// Begins to serve a socket.
    pub(super) fn open(
        opened: Opened,
        links: &Links,
        killing: &CancellationToken,
    ) -> (PeerId, Self) {
        let Opened {
            peer,
            socket,
            side,
            meter,
            far,
            ended,
        } = opened;
        let (outbox, waiting) = outbox(&links.own_bytes);
        let link = Self {
            side,
            far,
            meter: meter.clone(),
            outbox,
            kill: killing.child_token(),
        };
        let conn = Conn {
            peer,
            meter,
            queue: waiting,
            kill: link.kill.clone(),
            inbox: links.inbox.clone(),
            config: Arc::clone(&links.config),
            stats: Arc::clone(&links.stats),
        };
        tracing::debug!(peer = peer.0, ?side, far = %link.far, "link up");
        links.tasks.spawn(async move {
            let why = conn.run(socket).await;
            tracing::debug!(peer = peer.0, reason = %why, "link down");
            // Nobody waits for an accepted link.
            let _ = ended.send(why);
        });
        (peer, link)
    }

    /// Queues a frame, whatever is queued already.
    pub(super) fn send(&self, frame: Bytes, stats: &Stats) {
        stats.frames_sent.up();
        stats.bytes_sent.add(frame.len() as u64);
        self.outbox.push(frame);
    }

    /// For people.
    pub(super) fn view(&self, peer: PeerId) -> LinkView {
        LinkView {
            peer,
            side: self.side,
            far: Arc::clone(&self.far),
            up: self.meter.age(),
            silent: self.meter.silent_for(),
            queued_bytes: self.outbox.bytes(),
            read_bytes: self.meter.read_bytes(),
            written_bytes: self.meter.written_bytes(),
        }
    }
}
