//! Control messages, and what a first greeting leads to.

use crate::machine::{Effect, Side};
use crate::model::{PeerId, Soul};
use crate::wire::{Dam, Hello, Id, encode};

use bytes::Bytes;

use super::ids::Ids;
use super::seen::Origin;
use super::turn::Turn;
use super::{Interest, Kind, Mesh, Timer};

/// Most souls asked of a gun.js relay when it is dialled.
const ASKED_MAX: usize = 1_024;

/// Greets in the name of a [`Mesh`] that is still being read from its store: a peer that waits for
/// a greeting in vain takes its relay for one that does not reconcile.
#[derive(Debug)]
pub struct Greeter {
    pid: String,
    ids: Ids,
}

impl Greeter {
    /// For [`Mesh::new`] with the same seed.
    pub fn new(seed: u64) -> Self {
        Self {
            pid: Ids::new(seed).text(),
            // The mesh will make its own, and none twice.
            ids: Ids::new(!seed),
        }
    }

    /// A greeting for a link that was accepted.
    pub fn hello(&mut self) -> Bytes {
        encode::hello(&self.ids.next(), None, &self.pid)
    }
}

impl Mesh {
    pub(super) fn hear_dam(
        &mut self,
        from: PeerId,
        id: Option<&Id>,
        answers: Option<&Id>,
        dam: Dam,
        turn: &mut Turn<'_>,
    ) {
        match dam {
            Dam::Hello(hello) => self.on_hello(from, id, answers.is_some(), hello, turn),
            Dam::Complaint => self.counters.complaints_in += 1,
            Dam::Loom(talk) => self.on_loom_talk(from, id, answers, talk, turn),
            Dam::Unknown => self.counters.dam_unknown += 1,
        }
    }

    fn on_hello(
        &mut self,
        from: PeerId,
        id: Option<&Id>,
        is_reply: bool,
        hello: Hello,
        turn: &mut Turn<'_>,
    ) {
        if hello.pid.as_deref() == Some(&*self.pid) {
            self.on_peer_down(from);
            turn.effects.push(Effect::Hangup {
                peer: from,
                reason: "this link leads back to this process",
            });
            return;
        }
        // With `@` it is the reply to ours, and never answered.
        if !is_reply {
            let reply = encode::hello(&self.ids.next(), id, &self.pid);
            self.send(from, reply, turn);
        }
        let Some(link) = self.links.get_mut(&from) else {
            return;
        };
        link.pid = hello.pid.or(link.pid.take());
        if hello.loom > 0 {
            let is_news = !link.is_loom();
            link.kind = Kind::Loom;
            link.version = hello.loom;
            let asks = link.asks();
            if is_news {
                // A slow link may have been taken for gun.js: from here on it is asked, not told.
                // With the timer, or every greeting would add one that hurries the answers after it.
                link.parcels.clear();
                self.timers
                    .retain(|(_, of, timer)| *of != from || *timer != Timer::Parcel);
            }
            if is_news && asks {
                self.start_sync(from, turn);
            }
            return;
        }
        if link.kind == Kind::Unknown {
            self.on_plain(from, turn);
        }
        self.pull_written_before(from, turn);
    }

    pub(super) fn on_no_greeting(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let link = self.links.get(&peer);
        if link.is_some_and(|link| link.kind == Kind::Unknown) {
            self.on_plain(peer, turn);
        }
    }

    /// A peer without reconciliation. If this side dialled it, it is a relay: it is asked for what
    /// is wanted, and told what is held, since it will not ask for what was written offline.
    fn on_plain(&mut self, peer: PeerId, turn: &mut Turn<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.kind = Kind::Plain;
        if link.side == Side::Accepted {
            return;
        }
        let wanted: Vec<Soul> = match &self.config.interest {
            Interest::Souls(souls) => souls.clone(),
            Interest::Held => {
                let held = self.graph.vertices().map(|(soul, _)| soul.clone());
                held.take(ASKED_MAX).collect()
            }
        };
        for soul in &wanted {
            self.ask(peer, soul, turn);
        }
        self.push_everything(peer, turn);
    }

    pub(super) fn ask(&mut self, peer: PeerId, soul: &Soul, turn: &mut Turn<'_>) {
        let id = self.ids.next();
        self.remember(&id, Origin::Me, turn);
        self.send(peer, encode::get(&id, soul), turn);
    }

    pub(super) fn send_refusal(
        &mut self,
        peer: PeerId,
        to: &Id,
        reason: &str,
        turn: &mut Turn<'_>,
    ) {
        let refusal = encode::refusal(&self.ids.next(), to, reason);
        self.send(peer, refusal, turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::mesh::MeshConfig;

    #[test]
    fn a_mesh_is_greeted_for_by_its_own_name_and_never_with_an_id_of_its_own() {
        for seed in 0..100 {
            let mut mesh = Mesh::new(MeshConfig::relay(), Graph::default(), seed);
            let mut greeter = Greeter::new(seed);
            assert_eq!(greeter.pid, mesh.pid());
            let before: Vec<_> = (0..100).map(|_| greeter.ids.next()).collect();
            assert!((0..100).all(|_| !before.contains(&mesh.ids.next())));
        }
    }
}
