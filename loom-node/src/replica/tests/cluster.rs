//! Replicas around a relay, without sockets: frames are carried by hand, in a fixed order.

use std::collections::VecDeque;
use std::time::Duration;

use loom_relay::graph::Graph;
use loom_relay::machine::Side;
use loom_relay::model::{Cell, PeerId, Stamp, Value, Write};
use serde_json::Value as Json;
use tokio::sync::oneshot;

use super::super::*;
use super::{WALL_MS, put};
use crate::feed::Event;
use crate::index::Query;
use crate::record::Record;

/// Nodes with a link each to one relay. Links may be cut; frames then are lost with them.
pub(super) struct Cluster {
    pub(super) relay: Mesh,
    pub(super) nodes: Vec<Replica>,
    pub(super) linked: Vec<Option<PeerId>>,
    next_peer: u64,
    pub(super) now: Now,
    /// `None`: commits are durable at once; else they wait here.
    pub(super) disk: Option<Vec<Commit>>,
}

/// Who does something: the relay, or a node.
type Who = Option<usize>;

impl Cluster {
    pub(super) fn new(count: usize) -> Self {
        Self::with(count, |_| {})
    }

    pub(super) fn with(count: usize, change: impl Fn(&mut ReplicaConfig)) -> Self {
        let nodes = (1..=count).map(|number| {
            let mut config = ReplicaConfig {
                node_id: format!("node-{number}").into(),
                legacy_index: false,
                verify_sea: false,
                feed: Limits::default(),
                plant: None,
                seed: number as u64,
            };
            change(&mut config);
            Replica::new(config, Graph::default())
        });
        let mut cluster = Self {
            relay: Mesh::new(MeshConfig::relay(), Graph::default(), 99),
            nodes: nodes.collect(),
            linked: vec![None; count],
            next_peer: 1,
            now: Now {
                mono: Mono::default(),
                wall_ms: WALL_MS,
            },
            disk: None,
        };
        (0..count).for_each(|node| cluster.heal(node));
        cluster
    }

    pub(super) fn heal(&mut self, node: usize) {
        let peer = PeerId(self.next_peer);
        self.next_peer += 1;
        self.linked[node] = Some(peer);
        self.run(VecDeque::from([
            (
                None,
                Input::PeerUp {
                    peer,
                    side: Side::Accepted,
                },
            ),
            (
                Some(node),
                Input::PeerUp {
                    peer,
                    side: Side::Dialled,
                },
            ),
        ]));
    }

    pub(super) fn cut(&mut self, node: usize) {
        let peer = self.linked[node].take().expect("a link to cut");
        self.run(VecDeque::from([
            (None, Input::PeerDown { peer }),
            (Some(node), Input::PeerDown { peer }),
        ]));
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now.wall_ms += ms;
        self.now.mono = self.now.mono.after(Duration::from_millis(ms));
    }

    /// Handles inputs and everything that follows from them.
    pub(super) fn run(&mut self, mut inputs: VecDeque<(Who, Input<Command>)>) {
        while let Some((who, input)) = inputs.pop_front() {
            let mut effects = Vec::new();
            match who {
                Some(node) => self.nodes[node].handle(input, self.now, &mut effects),
                None => {
                    let input = match input {
                        Input::PeerUp { peer, side } => Input::PeerUp { peer, side },
                        Input::PeerDown { peer } => Input::PeerDown { peer },
                        Input::Heard { peer, frame } => Input::Heard { peer, frame },
                        Input::Committed(commit) => Input::Committed(commit),
                        Input::Stalled(why) => Input::Stalled(why),
                        Input::Resumed => Input::Resumed,
                        Input::Oversized { .. } | Input::Command(_) | Input::Deadline => continue,
                    };
                    self.relay.handle(input, self.now, &mut effects);
                }
            }
            for effect in effects {
                match effect {
                    Effect::Send { peer, frame } => {
                        let to = match who {
                            Some(node) if self.linked[node] == Some(peer) => None,
                            None => match self.linked.iter().position(|link| *link == Some(peer)) {
                                Some(node) => Some(node),
                                None => continue,
                            },
                            Some(_) => continue,
                        };
                        inputs.push_back((to, Input::Heard { peer, frame }));
                    }
                    Effect::Persist { commit, .. } => match (&mut self.disk, who) {
                        (Some(disk), Some(_)) => disk.push(commit),
                        _ => inputs.push_back((who, Input::Committed(commit))),
                    },
                    Effect::Hangup { peer, reason } => {
                        panic!("{who:?} hung up on {peer:?}: {reason}")
                    }
                }
            }
        }
    }

    pub(super) fn send<T>(
        &mut self,
        node: usize,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        self.run(VecDeque::from([(
            Some(node),
            Input::Command(command(reply)),
        )]));
        answer
    }

    pub(super) fn ask<T>(&mut self, node: usize, command: impl FnOnce(Reply<T>) -> Command) -> T {
        self.send(node, command)
            .try_recv()
            .expect("answered at once")
    }

    pub(super) fn wish(&mut self, node: usize, wish: Wish) -> Outcome {
        self.ask(node, |reply| Command::Write(wish, reply))
    }

    pub(super) fn put(&mut self, node: usize, table: Table, body: Json) -> Written {
        self.wish(node, put(table, body)).unwrap()
    }

    pub(super) fn list(&mut self, node: usize, table: Table) -> Vec<Record> {
        let page = self.ask(node, |reply| Command::List(Query::all(table), reply));
        page.found
            .into_iter()
            .map(|found| found.row.record())
            .collect()
    }

    pub(super) fn get(&mut self, node: usize, id: &str) -> Option<Record> {
        let found = self.ask(node, |reply| Command::Get(Table::Nodes, id.into(), reply));
        found.map(|found| found.row.record())
    }

    pub(super) fn status(&mut self, node: usize) -> Status {
        self.ask(node, Command::Status)
    }

    pub(super) fn history(&mut self, node: usize) -> Vec<Arc<Event>> {
        self.ask(node, Command::History)
    }

    pub(super) fn agree(&mut self) -> bool {
        let digests: BTreeSet<_> = (0..self.nodes.len())
            .map(|node| self.ask(node, Command::Digest).hex)
            .collect();
        digests.len() == 1
    }

    /// A frame with this write arrives at one node, as from the relay.
    pub(super) fn arrive(&mut self, node: usize, soul: &str, field: &str, cell: &Cell) {
        let (state, value) = (cell.stamp, cell.value.json());
        let frame = format!(
            r##"{{"#":"arrives-once","put":{{"{soul}":{{"_":{{"#":"{soul}",">":{{"{field}":{state}}}}},"{field}":{value}}}}}}}"##
        );
        let peer = self.linked[node].expect("a link");
        let heard = Input::Heard {
            peer,
            frame: frame.into(),
        };
        self.run(VecDeque::from([(Some(node), heard)]));
    }

    /// A gun.js-like peer at the relay writes something.
    pub(super) fn foreign_write(&mut self, soul: &str, field: &str, value: Value, ms: f64) {
        let write = Write {
            soul: soul.into(),
            field: field.into(),
            cell: Cell {
                stamp: Stamp::new(ms).unwrap(),
                value,
            },
        };
        let mut effects = Vec::new();
        self.relay.write(vec![write], self.now, &mut effects);
        let mut inputs = VecDeque::new();
        for effect in effects {
            if let Effect::Send { peer, frame } = effect {
                let to = self.linked.iter().position(|link| *link == Some(peer));
                inputs.push_back((to, Input::Heard { peer, frame }));
            }
        }
        self.run(inputs);
    }
}
