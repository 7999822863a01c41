//! A world for [`Machine`]s in which nothing is left to chance: virtual time, clocks that are
//! wrong, disks that forget, links that break, and one seed that decides all of it.
//!
//! [`World`] does to machines what [`crate::driver`] does, without sockets, threads or sleeping. It
//! decides nothing about what is right: a [`Watch`] sees every step and does. [`Nemesis`] draws
//! which kinds of faults a seed has at all and then makes them.
//!
//! What is left out on purpose, because no promise hangs on it: the bounds of the driver's inbox
//! and of the store's queue, which only slow a process down, and an fsync that fails, which ends
//! the process: that is a crash.

mod clock;
mod disk;
mod faults;
mod link;
mod nemesis;
mod trace;
mod world;

use std::time::Duration;

use bytes::Bytes;

use crate::clock::Now;
use crate::graph::Held;
use crate::machine::{Commit, Effect, Machine};
use crate::model::PeerId;

pub use self::clock::{START_MS, WallClock};
pub use self::disk::{Cells, Disk, Speed};
pub use self::faults::{Fault, Kinds};
pub use self::link::{FrameFaults, LinkId};
pub use self::nemesis::Nemesis;
pub use self::trace::Trace;
pub use self::world::{Pace, Step, World};

/// Virtual time since the world began.
pub type Time = Duration;

/// A member of a world, counted from 0.
pub type MemberId = usize;

/// Knows how members are started.
pub trait Cast {
    /// What all members are; where they differ it is an enum.
    type Machine: Machine;

    /// Starts a member with what its disk holds. `seed` is another one for each start.
    fn start(&mut self, member: MemberId, held: Held, seed: u64) -> Self::Machine;
}

/// What was fed to a machine.
#[derive(Clone, Debug)]
pub enum Fed {
    /// A link opened.
    Up(PeerId),
    /// A link closed.
    Down(PeerId),
    /// A frame arrived.
    Heard(PeerId, Bytes),
    /// Commits up to this one are stored, or said to be.
    Committed(Commit),
    /// Its store takes nothing, or takes everything again.
    Stalled(bool),
    /// The process wanted something.
    Command,
    /// Its deadline came.
    Deadline,
}

/// Looks at every step and says what is wrong with it.
pub trait Watch<M: Machine> {
    /// `member` was started with what `disk` holds.
    ///
    /// # Errors
    ///
    /// What is wrong.
    fn started(&mut self, member: MemberId, machine: &mut M, disk: &Disk) -> Result<(), String>;

    /// `member` took an input at `now` and wants `effects`; nothing of them has been done yet.
    ///
    /// # Errors
    ///
    /// What is wrong.
    fn stepped(
        &mut self,
        member: MemberId,
        machine: &mut M,
        fed: &Fed,
        now: Now,
        effects: &[Effect],
    ) -> Result<(), String>;

    /// `member`, which does not run, has lost its disk, or more of it than a store of the highest
    /// durability ever does; `disks` are everybody's.
    fn forgot(&mut self, member: MemberId, disks: &[&Disk]);

    /// The effects were carried out; `disk` is the member's. What it has told its clients is out.
    ///
    /// # Errors
    ///
    /// What is wrong.
    fn done(&mut self, member: MemberId, disk: &Disk) -> Result<(), String>;
}
