//! How full the mesh's queues are. Each has a name and a bound, which nothing a peer sends can push
//! it past: the table in `ARCHITECTURE.md` says what happens when one is full.

use super::deferred::{DEFERRED_BYTES_MAX, DEFERRED_MAX};
use super::link::{Link, PARCELS_MAX, PULLED_MAX, WRITTEN_MAX};
use super::seen::REMEMBERED_MAX;
use super::sync::common;
use super::{BEATEN_MAX, Mesh, acks, away};

/// Timers of one link: one of each kind.
const TIMERS_PER_LINK: usize = 4;

/// One queue at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// What is in it, and its unit.
    pub name: &'static str,
    /// How much; for queues that every link has, of the fullest.
    pub len: usize,
    /// How much at most.
    pub len_max: usize,
}

impl Mesh {
    /// Every queue, with its bound.
    pub fn queues(&self) -> Vec<QueueView> {
        let view = |name, len, len_max| QueueView { name, len, len_max };
        let fullest = |len: fn(&Link) -> usize| self.links.values().map(len).max().unwrap_or(0);
        vec![
            view("remembered_ids", self.seen.len(), REMEMBERED_MAX),
            view("deferred_writes", self.deferred.view().count, DEFERRED_MAX),
            view("deferred_bytes", self.deferred.bytes(), DEFERRED_BYTES_MAX),
            view("waiting_acks", self.acks.len(), acks::WAITING_MAX),
            view("away_clients", self.away.clients(), away::CLIENTS_MAX),
            view("away_souls", self.away.souls(), away::SOULS_MAX),
            view("agreed_peers", self.common.peers(), common::PEERS_MAX),
            view("beaten_writes", self.beaten.len(), BEATEN_MAX),
            view(
                "link_souls_asked",
                fullest(|link| link.pulled.len()),
                PULLED_MAX,
            ),
            view(
                "link_souls_written",
                fullest(|link| link.wrote.len()),
                WRITTEN_MAX,
            ),
            view(
                "link_parcels",
                fullest(|link| link.parcels.len()),
                PARCELS_MAX,
            ),
            view(
                "timers",
                self.timers.len(),
                TIMERS_PER_LINK * self.links.len(),
            ),
        ]
    }
}
