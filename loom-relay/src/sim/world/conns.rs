//! Connections: dialled, carried, found dead, closed.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use super::super::link::{ACCEPTOR, Conn, DIALLER, End, FrameFaults, Item, QUICK, Side};
use super::super::{Cast, LinkId, MemberId, Time, Watch};
use super::{Event, World};
use crate::machine::{self, Input};
use crate::model::PeerId;

/// A connection that lasted this long makes the next pause a first one again, as in the driver.
const STABLE_AFTER: Duration = Duration::from_secs(1);

impl<C: Cast> World<C> {
    /// Cuts or mends the way from one end of a link to the other. Cuts add up.
    pub(in super::super) fn cut_way(&mut self, link: LinkId, from: Side, cut: bool) {
        let cuts = &mut self.links[link].cuts[from];
        *cuts = if cut {
            *cuts + 1
        } else {
            cuts.saturating_sub(1)
        };
        self.look_after_link(link);
    }

    /// Mends both ways of every link, with all that is wrong with frames. A connection that lost
    /// frames or got them in another order is no websocket any more and ends.
    pub(in super::super) fn mend_links(&mut self, watch: &mut impl Watch<C::Machine>) {
        for link in 0..self.links.len() {
            let it = &mut self.links[link];
            it.cuts = [0; 2];
            it.delay = QUICK;
            it.frames = FrameFaults::default();
            if std::mem::take(&mut it.damaged) {
                self.reset_link(link, watch);
            }
            self.look_after_link(link);
        }
    }

    /// Ends the connections over a link; both ends notice at once.
    pub(in super::super) fn reset_link(
        &mut self,
        link: LinkId,
        watch: &mut impl Watch<C::Machine>,
    ) {
        for conn in self.conns_of(|conn| conn.link == link) {
            for side in [DIALLER, ACCEPTOR] {
                self.close(conn, side, false, watch);
            }
        }
    }

    fn look_after_link(&mut self, link: LinkId) {
        for conn in self.conns_of(|conn| conn.link == link) {
            self.look_after(conn);
        }
    }

    /// A member was stopped, went on, died or was born.
    pub(super) fn look_after_member(&mut self, member: MemberId) {
        for conn in self.conns_with(member) {
            self.look_after(conn);
        }
    }

    pub(super) fn conns_with(&self, member: MemberId) -> Vec<u64> {
        self.conns_of(|conn| self.links[conn.link].ends.contains(&member))
    }

    fn conns_of(&self, wanted: impl Fn(&Conn) -> bool) -> Vec<u64> {
        let conns = self.conns.iter().filter(|(_, conn)| wanted(conn));
        conns.map(|(number, _)| *number).collect()
    }

    /// Something about a connection changed: what waited may go on, silence may begin or end.
    pub(super) fn look_after(&mut self, number: u64) {
        for at in [DIALLER, ACCEPTOR] {
            let Some(conn) = self.conns.get(&number) else {
                return;
            };
            let link = &self.links[conn.link];
            let audible = !link.is_cut_from(1 - at)
                && conn.ends[1 - at] != End::Closed
                && self.is_running(link.ends[1 - at]);
            let was = conn.silent_since[at];
            if let Some(arrives) = conn.ways[1 - at].next() {
                self.schedule(arrives, Event::Arrive { conn: number, at });
            }
            let since = match (audible, was) {
                (true, _) => None,
                (false, Some(since)) => Some(since),
                (false, None) => {
                    // The last ping may have come a while ago.
                    let ago = self.draw((Duration::ZERO, self.pace.ping_interval));
                    let since = self.now;
                    let dead = since + (self.pace.ping_timeout - ago);
                    let conn = number;
                    self.schedule(dead, Event::Silence { conn, at, since });
                    Some(since)
                }
            };
            let conn = self.conns.get_mut(&number).expect("it was there just now");
            conn.silent_since[at] = since;
        }
    }

    pub(super) fn on_silence(
        &mut self,
        number: u64,
        at: Side,
        since: Time,
        watch: &mut impl Watch<C::Machine>,
    ) {
        let Some(conn) = self.conns.get(&number) else {
            return;
        };
        // Somebody who is stopped notices nothing; looking after it begins anew when it goes on.
        let notices = self.is_running(self.links[conn.link].ends[at]);
        if conn.silent_since[at] == Some(since) && notices {
            self.close(number, at, true, watch);
        }
    }

    /// Silence as it is seen by somebody who was stopped begins when it goes on.
    pub(super) fn hear_afresh(&mut self, member: MemberId) {
        for number in self.conns_with(member) {
            let conn = self.conns.get_mut(&number).expect("listed just now");
            let ends = self.links[conn.link].ends;
            for (side, silent) in conn.silent_since.iter_mut().enumerate() {
                if ends[side] == member {
                    *silent = None;
                }
            }
        }
    }

    pub(super) fn on_dial(&mut self, link: LinkId, life: u64) {
        let [dialler, acceptor] = self.links[link].ends;
        let alive = self.members[dialler].life.as_ref();
        let Some(process) = alive.filter(|it| it.nth == life) else {
            return;
        };
        if process.paused {
            // Whenever it goes on.
            let again = self.now + Duration::from_millis(100);
            self.schedule(again, Event::Dial { link, life });
            return;
        }
        if self.members[acceptor].life.is_none() && !self.links[link].is_cut_from(ACCEPTOR) {
            let pause = self.links[link].backoff.pause(&mut self.rng);
            self.schedule(self.now + pause, Event::Dial { link, life });
            return;
        }
        let number = self.next_number();
        self.conns.insert(number, Conn::new(link, self.now));
        self.push(number, DIALLER, Item::Open);
        let limit = self.now + self.pace.dial_timeout;
        self.schedule(limit, Event::DialLimit { conn: number });
    }

    pub(super) fn on_dial_limit(&mut self, number: u64, watch: &mut impl Watch<C::Machine>) {
        let Some(conn) = self.conns.get(&number) else {
            return;
        };
        if conn.ends[DIALLER] != End::Opening {
            return;
        }
        let never_there =
            conn.ends[ACCEPTOR] == End::Opening && self.links[conn.link].is_cut_from(DIALLER);
        self.close(number, DIALLER, true, watch);
        if never_there {
            self.conns.remove(&number);
        }
    }

    pub(super) fn on_arrive(&mut self, number: u64, at: Side, watch: &mut impl Watch<C::Machine>) {
        let Some(conn) = self.conns.get_mut(&number) else {
            return;
        };
        let link = &self.links[conn.link];
        let member = link.ends[at];
        let stopped = self.members[member]
            .life
            .as_ref()
            .is_some_and(|it| it.paused);
        if link.is_cut_from(1 - at) || stopped {
            return;
        }
        if conn.ends[at] == End::Closed {
            conn.ways[1 - at].clear();
            return;
        }
        let Some(item) = conn.ways[1 - at].pop(self.now) else {
            return;
        };
        if let Some(next) = conn.ways[1 - at].next() {
            self.schedule(next, Event::Arrive { conn: number, at });
        }
        match item {
            Item::Open => self.on_open(number, at, member, watch),
            Item::Frame(frame) => {
                // Frames may be told about before the handshake is, when they change places.
                if let Some(End::Open(peer)) = self.conns.get(&number).map(|conn| conn.ends[at]) {
                    self.feed(member, Input::Heard { peer, frame }, watch);
                }
            }
            Item::Fin => self.close(number, at, false, watch),
        }
    }

    fn on_open(
        &mut self,
        number: u64,
        at: Side,
        member: MemberId,
        watch: &mut impl Watch<C::Machine>,
    ) {
        if self.members[member].life.is_none() {
            // It died after it was dialled.
            self.close(number, at, true, watch);
            return;
        }
        let peer = PeerId(self.next_number());
        self.by_peer.insert(peer, (number, at));
        let conn = self.conns.get_mut(&number).expect("the caller has it");
        conn.ends[at] = End::Open(peer);
        conn.opened = self.now;
        let side = if at == ACCEPTOR {
            self.push(number, ACCEPTOR, Item::Open);
            machine::Side::Accepted
        } else {
            machine::Side::Dialled
        };
        self.look_after(number);
        self.feed(member, Input::PeerUp { peer, side }, watch);
    }

    /// One side of a connection ends. With `fin` the other side is told, once that gets through.
    pub(super) fn close(
        &mut self,
        number: u64,
        side: Side,
        fin: bool,
        watch: &mut impl Watch<C::Machine>,
    ) {
        if let Some(peer) = self.end(number, side, fin) {
            let member = self.by_peer_member(peer, number, side);
            self.feed(member, Input::PeerDown { peer }, watch);
        }
    }

    fn by_peer_member(&mut self, peer: PeerId, number: u64, side: Side) -> MemberId {
        self.by_peer.remove(&peer);
        let link = self.conns.get(&number).map(|conn| conn.link);
        let member = link.map(|link| self.links[link].ends[side]);
        self.forget_if_over(number);
        member.expect("a connection with an open end is known")
    }

    /// Ends one side; who has to be told that it went down, if it was up.
    pub(super) fn end(&mut self, number: u64, side: Side, fin: bool) -> Option<PeerId> {
        let conn = self.conns.get_mut(&number)?;
        let was = std::mem::replace(&mut conn.ends[side], End::Closed);
        if was == End::Closed {
            return None;
        }
        conn.ways[1 - side].clear();
        let (link, lasted) = (conn.link, self.now - conn.opened);
        if fin {
            self.push(number, side, Item::Fin);
        }
        self.look_after(number);
        let dialler = &self.members[self.links[link].ends[DIALLER]];
        if side == DIALLER
            && let Some(life) = dialler.life.as_ref().map(|life| life.nth)
        {
            let backoff = &mut self.links[link].backoff;
            if was != End::Opening && lasted >= STABLE_AFTER {
                backoff.reset();
            }
            let pause = backoff.pause(&mut self.rng);
            self.schedule(self.now + pause, Event::Dial { link, life });
        }
        match was {
            End::Open(peer) => Some(peer),
            _ => {
                self.forget_if_over(number);
                None
            }
        }
    }

    fn forget_if_over(&mut self, number: u64) {
        if self.conns.get(&number).is_some_and(Conn::is_over) {
            self.conns.remove(&number);
        }
    }

    /// Sends what is queued, then closes. False if the link is down already.
    pub(super) fn hang_up(&mut self, peer: PeerId) -> bool {
        let Some((number, side)) = self.by_peer.remove(&peer) else {
            return false;
        };
        self.end(number, side, true);
        self.forget_if_over(number);
        true
    }

    /// Queues a frame; true if the peer was hung up on because too much waits for it.
    pub(super) fn send(&mut self, peer: PeerId, frame: Bytes) -> bool {
        let Some((number, side)) = self.by_peer.get(&peer).copied() else {
            return false;
        };
        let Some(conn) = self.conns.get_mut(&number) else {
            return false;
        };
        if conn.ways[side].bytes > self.pace.queue_bytes_max {
            conn.ways[side].clear();
            return self.hang_up(peer);
        }
        let link = conn.link;
        let faults = self.links[link].frames;
        if faults.any() {
            let [lost, doubled, swapped] = [faults.lost, faults.doubled, faults.swapped]
                .map(|share| self.rng.random_bool(share));
            self.links[link].damaged |= lost || swapped;
            if lost {
                return false;
            }
            if doubled {
                self.push(number, side, Item::Frame(frame.clone()));
            }
            self.push(number, side, Item::Frame(frame));
            if swapped && let Some(conn) = self.conns.get_mut(&number) {
                conn.ways[side].swap_newest();
            }
        } else {
            self.push(number, side, Item::Frame(frame));
        }
        false
    }

    pub(super) fn push(&mut self, number: u64, from: Side, item: Item) {
        let Some(link) = self.conns.get(&number).map(|conn| conn.link) else {
            return;
        };
        let arrives = self.now + self.draw(self.links[link].delay);
        let conn = self.conns.get_mut(&number).expect("it was there just now");
        let way = &mut conn.ways[from];
        way.push(item, arrives);
        if way.items.len() == 1 {
            let at = 1 - from;
            self.schedule(arrives, Event::Arrive { conn: number, at });
        }
    }
}
