//! Decides what links get while their machine is not there yet: a greeting, and patience.
//!
//! A relay reads its store when it starts, which takes as long as there is data; gun.js gives up for
//! good after two failed attempts. So links are accepted and read at once, pings are answered, and
//! what is said waits, in the order it came, for the machine to decide it.
//!
//! | queue | bound                                              | when full                        |
//! |-------|----------------------------------------------------|----------------------------------|
//! | lobby | `inbox_len_max` events, `inbox_bytes_max` bytes of frames | readers stop, new links wait |

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hub::{Event, Links};
use super::link::Link;
use crate::machine::Side;
use crate::model::PeerId;

/// Links that wait for a machine, and what they have said.
pub(super) struct Lobby<G> {
    pub(super) links: BTreeMap<PeerId, Link>,
    pub(super) held: VecDeque<Event>,
    opening: Links,
    killing: CancellationToken,
    greet: G,
}

impl<G: FnMut() -> Bytes> Lobby<G> {
    pub(super) fn new(opening: Links, killing: CancellationToken, greet: G) -> Self {
        Self {
            links: BTreeMap::new(),
            held: VecDeque::new(),
            opening,
            killing,
            greet,
        }
    }

    /// Serves links until `coming` is there; `None` when told to stop before that.
    pub(super) async fn wait<T>(
        &mut self,
        inbox: &mut mpsc::Receiver<Event>,
        coming: impl Future<Output = T>,
    ) -> Option<T> {
        let stopping = self.opening.stopping.clone();
        tokio::pin!(coming);
        loop {
            let has_room = self.held.len() < self.opening.config.inbox_len_max;
            tokio::select! {
                () = stopping.cancelled() => return None,
                come = &mut coming => return Some(come),
                // A hub may always open one more link, so this does not end.
                Some(event) = inbox.recv(), if has_room => self.on_event(event),
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Opened(opened) => {
                let (peer, link) = Link::open(*opened, &self.opening, &self.killing);
                let side = link.side;
                if side == Side::Accepted {
                    link.send((self.greet)(), &self.opening.stats);
                }
                self.links.insert(peer, link);
                self.held.push_back(Event::OpenedBefore { peer, side });
            }
            Event::Closed(peer) if self.said_nothing(peer) => {
                self.links.remove(&peer);
                self.held.retain(
                    |event| !matches!(event, Event::OpenedBefore { peer: of, .. } if *of == peer),
                );
            }
            // Frames keep their share of the inbox's bytes until they are handled.
            said => self.held.push_back(said),
        }
    }

    /// Those who come and go must not take the places of those who speak.
    fn said_nothing(&self, peer: PeerId) -> bool {
        !self.held.iter().any(|event| match event {
            Event::Heard { peer: of, .. } | Event::Oversized(of) => *of == peer,
            Event::Opened(_) | Event::OpenedBefore { .. } | Event::Closed(_) => false,
        })
    }
}
