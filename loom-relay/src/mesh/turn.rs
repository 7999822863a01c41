//! What one input leads to, gathered so that a frame full of puts makes one commit.

use std::collections::BTreeMap;

use crate::clock::Now;
use crate::graph::Item;
use crate::machine::{Batch, Commit, Effect};
use crate::model::{PeerId, Write};
use crate::wire::{Id, encode};

use super::parcel::{PARCEL_BYTES, Size};
use super::seen::Origin;
use super::vet::SIGNATURES_PER_FRAME_MAX;
use super::{Mesh, link::Link};

/// One input being handled.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) effects: &'a mut Vec<Effect>,
    /// What is to be stored.
    pub(super) batch: Batch,
    /// Puts to acknowledge once `batch` is stored.
    pub(super) acks: Vec<(PeerId, Id)>,
    /// How many signatures may still be checked.
    pub(super) signatures_left: usize,
    /// Whether what is being merged was passed on to all links as it came.
    pub(super) passed_on: bool,
    /// What to tell others in puts of our own.
    spread: BTreeMap<Audience, Vec<Write>>,
}

/// Which links hear something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Audience {
    /// Not these: it came from them, or they get it in another way.
    pub(super) not: [Option<PeerId>; 2],
    /// Only links that came up after this many others.
    pub(super) newer_than: u64,
}

impl Audience {
    pub(super) fn everyone() -> Self {
        Self::default()
    }

    pub(super) fn except(source: PeerId, asker: Option<PeerId>) -> Self {
        Self {
            not: [Some(source), asker],
            newer_than: 0,
        }
    }

    fn includes(&self, peer: PeerId, link: &Link) -> bool {
        link.nth > self.newer_than && !self.not.contains(&Some(peer))
    }
}

impl<'a> Turn<'a> {
    pub(super) fn new(now: Now, effects: &'a mut Vec<Effect>) -> Self {
        Self {
            now,
            effects,
            batch: Batch::default(),
            acks: Vec::new(),
            signatures_left: SIGNATURES_PER_FRAME_MAX,
            passed_on: false,
            spread: BTreeMap::new(),
        }
    }

    /// Tells `audience` about the changes from this index on.
    pub(super) fn spread_changes_since(&mut self, index: usize, audience: Audience) {
        let writes = self.batch.changes[index..].iter();
        let mut writes = writes.map(|change| change.write.clone()).peekable();
        if writes.peek().is_some() {
            self.spread.entry(audience).or_default().extend(writes);
        }
    }
}

impl Mesh {
    /// Sends what is to be spread, hands the changes to the store, sees to acknowledgements.
    pub(super) fn finish(&mut self, mut turn: Turn<'_>) -> Option<Commit> {
        for (audience, writes) in std::mem::take(&mut turn.spread) {
            self.spread(audience, &writes, &mut turn);
        }
        let batch = std::mem::take(&mut turn.batch);
        let commit = (!batch.is_empty()).then(|| {
            let commit = self.acks.next_commit();
            self.lease_coming(commit, batch.lease);
            turn.effects.push(Effect::Persist { commit, batch });
            commit
        });
        for (peer, put) in std::mem::take(&mut turn.acks) {
            // It may have been hung up on after the put, in the same frame.
            if !self.links.contains_key(&peer) {
                continue;
            }
            if !self.acks.must_wait() {
                self.counters.acks_out += 1;
                let ack = encode::ack(&self.ids.next(), &put);
                self.send(peer, ack, &mut turn);
            } else if !self.acks.wait(peer, put) {
                self.counters.acks_skipped += 1;
            }
        }
        self.deferred.set_timer(turn.now);
        commit
    }

    fn spread(&mut self, audience: Audience, writes: &[Write], turn: &mut Turn<'_>) {
        let links = self.links.iter();
        let listeners = links.filter(|(peer, link)| audience.includes(**peer, link));
        let listeners: Vec<PeerId> = listeners.map(|(peer, _)| *peer).collect();
        if listeners.is_empty() {
            return;
        }
        self.counters.fields_spread += writes.len() as u64;
        let mut rest = writes;
        while !rest.is_empty() {
            let mut size = Size::default();
            let fits = rest.iter().position(|write| {
                size.add(&Item::of(write));
                size.bytes() > PARCEL_BYTES
            });
            // At least one, however large it is.
            let (now, later) = rest.split_at(fits.unwrap_or(rest.len()).max(1));
            rest = later;
            let id = self.ids.next();
            self.remember(&id, Origin::Me, turn);
            let graph = encode::graph(now.iter().map(Item::of).collect());
            let frame = encode::put(&id, &graph);
            for peer in &listeners {
                self.send(*peer, frame.clone(), turn);
            }
        }
    }
}
