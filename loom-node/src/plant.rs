//! Faults built in on purpose, to prove that a tester finds them. Never on unless asked for, and
//! never to be asked for through the loom-node program: only through the library.

use clap::ValueEnum;

/// One way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Plant {
    /// Acknowledges one in five creates without keeping it.
    LoseAcked,
    /// Ignores one in five messages that bring other nodes' records, and those records for good.
    DropRemote,
    /// Keeps the loser when two nodes changed a record without knowing of each other.
    ReverseTie,
    /// Adds a record nobody wrote with every tenth write.
    Invent,
}

/// A planted fault and how often it could have struck.
#[derive(Debug)]
pub(crate) struct Saboteur {
    plant: Plant,
    chances: u64,
}

impl Saboteur {
    pub(crate) fn new(plant: Plant) -> Self {
        Self { plant, chances: 0 }
    }

    /// Whether this one is to be done wrong: every `nth` of those asked about `plant`.
    pub(crate) fn strikes(&mut self, plant: Plant) -> bool {
        if plant != self.plant {
            return false;
        }
        let nth = match plant {
            Plant::LoseAcked | Plant::DropRemote => 5,
            Plant::ReverseTie => 1,
            Plant::Invent => 10,
        };
        self.chances += 1;
        self.chances.is_multiple_of(nth)
    }
}
