//! Who plays in a world: relays and nodes as they are in production, foreigners, and bent ones.

use std::collections::BTreeMap;

use loom_node::feed::{Follow, Limits};
use loom_node::index::Found;
use loom_node::record::Table;
use loom_node::replica::{Command, Replica, ReplicaConfig};
use loom_relay::clock::{Mono, Now};
use loom_relay::graph::{Graph, Held};
use loom_relay::machine::{Commit, Effect, Input, Machine};
use loom_relay::mesh::{Mesh, MeshConfig};
use loom_relay::model::Write;
use loom_relay::relay::Relay;
use loom_relay::sim::{Cast, MemberId};
use tokio::sync::oneshot;

use crate::mutant::{Bend, Mutant, Unsent, identity};
use crate::shape::{Role, Shape};

/// The members of one run.
#[derive(Debug)]
pub(crate) struct Troupe {
    pub(crate) shape: Shape,
    /// Nodes also write the index souls of the original.
    pub(crate) legacy_index: bool,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) unsent: Unsent,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Player {
    actor: Actor,
    bend: Bend,
    /// What [`Mutant::ServesStaleIndex`] has shown.
    shown: BTreeMap<(Table, String), Option<Found>>,
}

#[derive(Debug)]
enum Actor {
    Relay(Box<Relay>),
    Node(Box<Replica>),
    Foreigner(Box<Mesh>),
}

/// What a member's own process may ask of it.
#[derive(Debug)]
pub(crate) enum Order {
    /// Of a node.
    Client(Command),
    /// Of a foreigner.
    Write(Write),
}

impl Cast for Troupe {
    type Machine = Player;

    fn start(&mut self, member: MemberId, mut held: Held, seed: u64) -> Player {
        let forgotten = self.unsent.borrow_mut().remove(&member);
        if let Some(forgotten) = forgotten.filter(|_| self.mutant == Some(Mutant::ForgetsUnsent)) {
            let mut graph = Graph::default();
            for item in held.graph.items_after(None) {
                let write = Write {
                    soul: item.soul.clone(),
                    field: item.field.clone(),
                    cell: item.cell.clone(),
                };
                if !forgotten.contains(&identity(&write)) {
                    graph.load(write);
                }
            }
            held.graph = graph;
        }
        let seed = match self.mutant {
            Some(Mutant::ReusesSequence) => member as u64,
            _ => seed,
        };
        let role = self.shape.role(member);
        let actor = match role {
            Role::Node => {
                let config = ReplicaConfig {
                    verify_sea: false,
                    node_id: name(member).into(),
                    legacy_index: self.legacy_index,
                    feed: Limits::default(),
                    plant: self.mutant.and_then(Mutant::plant),
                    seed,
                };
                Actor::Node(Box::new(Replica::new(config, held)))
            }
            Role::Relay => {
                let mesh = Mesh::new(MeshConfig::relay(), held, seed);
                Actor::Relay(Box::new(Relay::new(mesh)))
            }
            Role::Foreigner => {
                let souls = Table::ALL.iter().map(|table| table.soul().into());
                let config = MeshConfig::node(souls.collect());
                Actor::Foreigner(Box::new(Mesh::new(config, held, seed)))
            }
        };
        let is_node = role == Role::Node;
        Player {
            actor,
            bend: Bend::new(self.mutant, member, is_node, self.unsent.clone()),
            shown: BTreeMap::new(),
        }
    }
}

pub(crate) fn name(member: MemberId) -> String {
    format!("member-{member}")
}

impl Player {
    pub(crate) fn mesh(&self) -> &Mesh {
        self.actor.mesh()
    }

    /// The change feed of a node.
    pub(crate) fn follow(&self) -> Option<Follow> {
        match &self.actor {
            Actor::Node(node) => Some(node.follow()),
            Actor::Relay(_) | Actor::Foreigner(_) => None,
        }
    }

    pub(crate) fn is_foreigner(&self) -> bool {
        matches!(self.actor, Actor::Foreigner(_))
    }

    /// Asks something that is answered at once and changes nothing.
    pub(crate) fn ask<T>(
        &mut self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
        now: Now,
    ) -> Result<T, String> {
        let (reply, mut answer) = oneshot::channel();
        let mut effects = Vec::new();
        let order = Order::Client(command(reply));
        self.handle(Input::Command(order), now, &mut effects);
        if !effects.is_empty() {
            return Err(format!("a question had effects: {effects:?}"));
        }
        answer
            .try_recv()
            .map_err(|_| "a question was not answered at once".to_owned())
    }

    fn act(&mut self, input: Input<Order>, now: Now, effects: &mut Vec<Effect>) {
        match &mut self.actor {
            Actor::Node(node) => match input.or_command() {
                Ok(input) => node.handle(input, now, effects),
                Err(Order::Client(command)) => node.handle(Input::Command(command), now, effects),
                Err(order) => panic!("a node was asked for {order:?}"),
            },
            Actor::Relay(relay) => match input.or_command() {
                Ok(input) => relay.handle(input, now, effects),
                Err(order) => panic!("a relay was asked for {order:?}"),
            },
            Actor::Foreigner(mesh) => match input.or_command() {
                Ok(input) => mesh.handle(input, now, effects),
                Err(Order::Write(write)) => {
                    // It may lose against what is held.
                    let _: Option<Commit> = mesh.write(vec![write], now, effects);
                }
                Err(order) => panic!("a foreigner was asked for {order:?}"),
            },
        }
    }

    /// [`Mutant::ServesStaleIndex`]: what was shown once is not looked up again.
    fn show(&mut self, table: Table, id: String, now: Now) -> Option<Found> {
        if let Some(shown) = self.shown.get(&(table, id.clone())) {
            return shown.clone();
        }
        let (reply, mut answer) = oneshot::channel();
        let get = Order::Client(Command::Get(table, id.clone(), reply));
        self.act(Input::Command(get), now, &mut Vec::new());
        let found = answer.try_recv().ok().flatten();
        self.shown.insert((table, id), found.clone());
        found
    }
}

impl Actor {
    fn mesh(&self) -> &Mesh {
        match self {
            Self::Relay(relay) => relay.mesh(),
            Self::Node(node) => node.mesh(),
            Self::Foreigner(mesh) => mesh,
        }
    }
}

impl Machine for Player {
    type Command = Order;

    fn handle(&mut self, input: Input<Order>, now: Now, effects: &mut Vec<Effect>) {
        if self.bend.is(Mutant::ServesStaleIndex) {
            match input {
                Input::Command(Order::Client(Command::Get(table, id, reply))) => {
                    // The judge asked, and waits.
                    let _ = reply.send(self.show(table, id, now));
                    return;
                }
                Input::Command(_) => self.shown.clear(),
                _ => {}
            }
        }
        let heard = match &input {
            Input::Heard { peer, frame } => Some((*peer, frame.clone())),
            _ => None,
        };
        let graph = self.actor.mesh().graph();
        let input = self.bend.input(input, now, graph);
        self.act(input, now, effects);
        self.bend.effects(heard, effects);
    }

    fn deadline(&self) -> Option<Mono> {
        match &self.actor {
            Actor::Relay(relay) => relay.deadline(),
            Actor::Node(node) => node.deadline(),
            Actor::Foreigner(mesh) => mesh.deadline(),
        }
    }
}
