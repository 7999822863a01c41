//! The kinds of faults there are. Each seed first draws which of them it has at all: a run with
//! everything at once never gets far enough to show what one of them does on its own.

use std::collections::BTreeSet;

use rand::RngExt as _;
use rand::rngs::SmallRng;

/// One way in which a world is not perfect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A link is cut both ways.
    Cut,
    /// A link is cut one way.
    CutOneWay,
    /// All links of a member are cut.
    Isolate,
    /// What is sent one way waits for a while, too short for the link to die of it.
    Hold,
    /// A connection ends; both ends notice at once.
    Reset,
    /// Links take long.
    Slow,
    /// Frames are lost.
    Lose,
    /// Frames arrive twice.
    Double,
    /// Frames overtake each other.
    Swap,
    /// Little fits on a link before the peer is hung up on.
    Narrow,
    /// A process dies and its peers are told.
    Crash,
    /// A machine loses power: its peers are not told.
    PowerLoss,
    /// What was being stored in a crash is stored in part.
    Torn,
    /// Disks take long.
    SlowDisk,
    /// Nothing fits on a disk: what it is given is refused until there is room again.
    FullDisk,
    /// A process dies and its disk is replaced.
    Wipe,
    /// A process is stopped where it stands, and goes on later.
    Pause,
    /// Wall clocks are wrong from the beginning.
    ClockOffset,
    /// Wall clocks are set while processes run.
    ClockJump,
    /// Wall clocks run too fast or too slow.
    ClockDrift,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Cut,
        Self::CutOneWay,
        Self::Isolate,
        Self::Hold,
        Self::Reset,
        Self::Slow,
        Self::Lose,
        Self::Double,
        Self::Swap,
        Self::Narrow,
        Self::Crash,
        Self::PowerLoss,
        Self::Torn,
        Self::SlowDisk,
        Self::FullDisk,
        Self::Wipe,
        Self::Pause,
        Self::ClockOffset,
        Self::ClockJump,
        Self::ClockDrift,
    ];

    /// Whether it is how the world is, and not something that happens now and then.
    pub(super) fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::Slow
                | Self::Lose
                | Self::Double
                | Self::Swap
                | Self::Narrow
                | Self::Torn
                | Self::SlowDisk
                | Self::ClockOffset
                | Self::ClockDrift
        )
    }
}

/// The kinds of faults a run has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(BTreeSet<Fault>);

impl Kinds {
    /// Each kind or not, with a chance that is drawn as well: some runs have hardly any.
    pub fn draw(rng: &mut SmallRng) -> Self {
        let chance = [0.1, 0.25, 0.5][rng.random_range(0..3)];
        let drawn = Fault::ALL.into_iter().filter(|_| rng.random_bool(chance));
        Self(drawn.collect())
    }

    /// Whether it is one of them.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Fault> {
        self.0.iter().copied()
    }
}

impl FromIterator<Fault> for Kinds {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}
