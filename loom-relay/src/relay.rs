//! The relay's machine: a mesh that answers for everybody, and tells how it is.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock::{Mono, Now};
use crate::machine::{Effect, Input, Machine};
use crate::mesh::{Counters, DeferredView, LinkView, Mesh, QueueView};

/// A [`Mesh`] that can be asked for its status.
#[derive(Debug)]
pub struct Relay {
    mesh: Mesh,
}

/// What the relay's own process may ask of it.
#[derive(Debug)]
pub enum Command {
    /// How are you?
    Status(oneshot::Sender<Status>),
}

/// A relay at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// The name it greets with.
    pub pid: String,
    /// Souls held.
    pub souls: usize,
    /// Fields held, tombstones included.
    pub fields: u64,
    /// Writes that wait for the clock.
    pub deferred: DeferredView,
    /// Why nothing can be stored at the moment.
    pub stalled: Option<Arc<str>>,
    /// Message ids remembered.
    pub remembered: usize,
    /// Every queue of the mesh.
    pub queues: Vec<QueueView>,
    /// Links, by number.
    pub links: Vec<LinkView>,
    /// Totals since the start.
    pub counters: Counters,
}

impl Relay {
    /// A relay around `mesh`.
    pub fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// What a simulator looks into.
    #[cfg(feature = "sim")]
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    fn status(&self) -> Status {
        let graph = self.mesh.graph();
        Status {
            pid: self.mesh.pid().to_owned(),
            souls: graph.soul_count(),
            fields: graph.len(),
            deferred: self.mesh.deferred(),
            stalled: self.mesh.stalled().cloned(),
            remembered: self.mesh.remembered(),
            queues: self.mesh.queues(),
            links: self.mesh.links().collect(),
            counters: *self.mesh.counters(),
        }
    }
}

impl Machine for Relay {
    type Command = Command;

    fn handle(&mut self, input: Input<Command>, now: Now, effects: &mut Vec<Effect>) {
        match input.or_command() {
            Ok(input) => self.mesh.handle(input, now, effects),
            // Whoever asked may have stopped waiting.
            Err(Command::Status(reply)) => drop(reply.send(self.status())),
        }
    }

    fn deadline(&self) -> Option<Mono> {
        self.mesh.deadline()
    }
}
