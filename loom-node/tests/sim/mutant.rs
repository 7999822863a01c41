//! Planted bugs: what a simulation is worth is what it catches.
//!
//! Each is a wrapper around a correct machine, a lying disk, or a fault that loom-node can be told
//! to have; none is in the code that runs in production.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use bytes::Bytes;
use loom_node::Plant;
use loom_relay::clock::Now;
use loom_relay::graph::Graph;
use loom_relay::machine::{Commit, Effect, Input};
use loom_relay::model::{PeerId, Write};
use loom_relay::sim::MemberId;
use serde_json::Value as Json;

/// One way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// One update in 200 never gets in, by whatever way it comes.
    DropsUpdates,
    /// Ties are not decided: of two writes with one stamp the first that came stays.
    KeepsFirstOfTie,
    /// A node that restarts has lost what it wrote while it had no link.
    ForgetsUnsent,
    /// Commits are reported before they are synced.
    AcksBeforeFsync,
    /// A node that restarts numbers its changes as it did before.
    ReusesSequence,
    /// One put in 20 goes back to where it came from.
    EchoesToSource,
    /// What comes from the future is forgotten.
    IgnoresDeferred,
    /// Nodes never ask a relay what they have missed.
    ReconcilesOneWay,
    /// Nobody takes a deletion from a peer.
    LosesTombstones,
    /// What a node was asked for once it shows until it writes that itself.
    ServesStaleIndex,
    /// Every tenth fsync says it is done and is not.
    LyingDisk,
    /// What a full disk has refused counts as stored.
    AcksUnstored,
    /// What a full disk has refused is not tried again when there is room.
    DropsRefused,
    /// Whose disk was full never takes anything again.
    StaysStalled,
    /// A put that comes again, another way, is passed on again.
    PassesOnRepeats,
    /// [`Plant::LoseAcked`].
    LosesAcked,
    /// [`Plant::DropRemote`].
    DropsRemote,
    /// [`Plant::ReverseTie`].
    TurnsConflicts,
    /// [`Plant::Invent`].
    Invents,
}

impl Mutant {
    pub(crate) const ALL: [Self; 19] = [
        Self::DropsUpdates,
        Self::KeepsFirstOfTie,
        Self::ForgetsUnsent,
        Self::AcksBeforeFsync,
        Self::ReusesSequence,
        Self::EchoesToSource,
        Self::IgnoresDeferred,
        Self::ReconcilesOneWay,
        Self::LosesTombstones,
        Self::ServesStaleIndex,
        Self::LyingDisk,
        Self::AcksUnstored,
        Self::DropsRefused,
        Self::StaysStalled,
        Self::PassesOnRepeats,
        Self::LosesAcked,
        Self::DropsRemote,
        Self::TurnsConflicts,
        Self::Invents,
    ];

    /// Whether it does not hear some of what peers write.
    fn is_deaf(self) -> bool {
        matches!(
            self,
            Self::DropsUpdates
                | Self::KeepsFirstOfTie
                | Self::IgnoresDeferred
                | Self::LosesTombstones
        )
    }

    /// The fault of loom-node's own that it is, if it is one.
    pub(crate) fn plant(self) -> Option<Plant> {
        match self {
            Self::LosesAcked => Some(Plant::LoseAcked),
            Self::DropsRemote => Some(Plant::DropRemote),
            Self::TurnsConflicts => Some(Plant::ReverseTie),
            Self::Invents => Some(Plant::Invent),
            _ => None,
        }
    }
}

/// Writes by member, that are to be forgotten when it restarts.
pub(crate) type Unsent = Rc<RefCell<BTreeMap<MemberId, BTreeSet<String>>>>;

/// A mutant at work in one process.
#[derive(Debug)]
pub(crate) struct Bend {
    mutant: Option<Mutant>,
    member: MemberId,
    is_node: bool,
    links: BTreeSet<PeerId>,
    puts: u64,
    /// The last commit its store was given.
    given: Commit,
    /// Writes that once came from the future.
    forgotten: BTreeSet<u64>,
    unsent: Unsent,
}

impl Bend {
    pub(crate) fn new(
        mutant: Option<Mutant>,
        member: MemberId,
        is_node: bool,
        unsent: Unsent,
    ) -> Self {
        Self {
            mutant,
            member,
            is_node,
            links: BTreeSet::new(),
            puts: 0,
            given: Commit::default(),
            forgotten: BTreeSet::new(),
            unsent,
        }
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// What the machine gets instead of `input`; `held` is what it holds.
    pub(crate) fn input<C>(&mut self, input: Input<C>, now: Now, held: &Graph) -> Input<C> {
        match input {
            Input::PeerUp { peer, .. } => {
                self.links.insert(peer);
                self.unsent.borrow_mut().remove(&self.member);
            }
            Input::PeerDown { peer } => {
                self.links.remove(&peer);
            }
            Input::Stalled(_) if self.is(Mutant::AcksUnstored) => {
                return Input::Committed(self.given);
            }
            Input::Resumed if self.is(Mutant::StaysStalled) => return Input::Deadline,
            Input::Heard { peer, frame } => {
                let frame = self.filter(frame, now, held);
                return Input::Heard { peer, frame };
            }
            _ => {}
        }
        input
    }

    /// Changes what the machine wanted; `heard` is what it wanted it for.
    pub(crate) fn effects(&mut self, heard: Option<(PeerId, Bytes)>, effects: &mut Vec<Effect>) {
        for effect in effects.iter() {
            if let Effect::Persist { commit, .. } = effect {
                self.given = *commit;
            }
        }
        match self.mutant {
            Some(Mutant::PassesOnRepeats) => {
                let repeat = heard.filter(|(_, frame)| is_broadcast(frame) && effects.is_empty());
                if let Some((from, frame)) = repeat {
                    let others = self.links.iter().filter(|peer| **peer != from);
                    effects.extend(others.map(|peer| Effect::Send {
                        peer: *peer,
                        frame: frame.clone(),
                    }));
                }
            }
            Some(Mutant::EchoesToSource) => {
                if let Some((peer, frame)) = heard
                    && is_broadcast(&frame)
                {
                    self.puts += 1;
                    if self.puts.is_multiple_of(20) {
                        effects.push(Effect::Send { peer, frame });
                    }
                }
            }
            Some(Mutant::ReconcilesOneWay) if self.is_node => {
                effects.retain(
                    |effect| !matches!(effect, Effect::Send { frame, .. } if is_question(frame)),
                );
            }
            Some(Mutant::ForgetsUnsent) if self.is_node && self.links.is_empty() => {
                for effect in effects {
                    let Effect::Persist { batch, .. } = effect else {
                        continue;
                    };
                    let own = batch.changes.iter().filter(|change| change.from.is_none());
                    let own = own.map(|change| identity(&change.write));
                    let mut unsent = self.unsent.borrow_mut();
                    unsent.entry(self.member).or_default().extend(own);
                }
            }
            _ => {}
        }
    }

    fn filter(&mut self, frame: Bytes, now: Now, held: &Graph) -> Bytes {
        let Some(mutant) = self.mutant.filter(|it| it.is_deaf()) else {
            return frame;
        };
        let forgotten = &mut self.forgotten;
        let filtered = without(&frame, |soul, field, state, value| {
            let mut hasher = DefaultHasher::new();
            (soul, field, state.to_bits(), value.to_string()).hash(&mut hasher);
            let hash = hasher.finish();
            match mutant {
                Mutant::DropsUpdates => hash.is_multiple_of(200),
                Mutant::LosesTombstones => value.is_null(),
                Mutant::IgnoresDeferred => {
                    if state > (now.wall_ms + 1) as f64 {
                        forgotten.insert(hash);
                    }
                    forgotten.contains(&hash)
                }
                _ => held.get(soul, field).is_some_and(|held| {
                    held.stamp.ms() == state && *held.value.json() != *value.to_string()
                }),
            }
        });
        filtered.unwrap_or(frame)
    }
}

/// What makes a write this write.
pub(crate) fn identity(write: &Write) -> String {
    format!("{write:?}")
}

fn is_broadcast(frame: &Bytes) -> bool {
    let text = String::from_utf8_lossy(frame);
    text.contains("\"put\":") && !text.contains("\"@\":")
}

fn is_question(frame: &Bytes) -> bool {
    let text = String::from_utf8_lossy(frame);
    text.contains("\"dam\":\"loom\"") && !text.contains("\"@\":")
}

/// The frame without the writes that are `bad`; `None` if there are none.
fn without(frame: &Bytes, mut bad: impl FnMut(&str, &str, f64, &Json) -> bool) -> Option<Bytes> {
    let text = std::str::from_utf8(frame).ok()?;
    if !text.contains("\"put\":{") {
        return None;
    }
    let mut message: Json = serde_json::from_str(text).ok()?;
    let vertices = message.get_mut("put")?.as_object_mut()?;
    let mut found = false;
    for (soul, vertex) in vertices.iter_mut() {
        let vertex = vertex.as_object_mut()?;
        let states = vertex.get("_")?.get(">")?.as_object()?.clone();
        for (field, state) in states {
            let value = vertex.get(&field)?;
            if bad(soul, &field, state.as_f64()?, value) {
                found = true;
                vertex.remove(&field);
                let states = vertex.get_mut("_")?.get_mut(">")?.as_object_mut()?;
                states.remove(&field);
            }
        }
    }
    vertices.retain(|_, vertex| vertex.as_object().is_some_and(|it| it.len() > 1));
    found.then(|| message.to_string().into())
}
