//! Who is in a world, and who dials whom.

use std::ops::Range;

use loom_relay::sim::MemberId;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};

/// The members of one run: relays first, then nodes, then foreigners.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) form: Form,
    relays: usize,
    nodes: usize,
    foreigners: usize,
    /// Who dials whom.
    pub(crate) links: Vec<(MemberId, MemberId)>,
}

/// How relays are peered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// There is one.
    Alone,
    /// One of two dials the other.
    Pair,
    /// Each of two dials the other.
    BothWays,
    /// Three, one after the other.
    Chain,
    /// Three, two of which know only the third.
    Star,
    /// Three, each with both others.
    Ring,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Passes on what it hears.
    Relay,
    /// Has clients.
    Node,
    /// Writes what no node would.
    Foreigner,
}

impl Form {
    pub(crate) const ALL: [Self; 6] = [
        Self::Alone,
        Self::Pair,
        Self::BothWays,
        Self::Chain,
        Self::Star,
        Self::Ring,
    ];

    fn draw(rng: &mut SmallRng) -> Self {
        match rng.random_range(0..20) {
            0..8 => Self::Alone,
            8..11 => Self::Pair,
            11 => Self::BothWays,
            12..14 => Self::Chain,
            14..16 => Self::Star,
            _ => Self::Ring,
        }
    }

    fn relays(self) -> usize {
        match self {
            Self::Alone => 1,
            Self::Pair | Self::BothWays => 2,
            Self::Chain | Self::Star | Self::Ring => 3,
        }
    }

    fn links(self, rng: &mut SmallRng) -> Vec<(MemberId, MemberId)> {
        match self {
            Self::Alone => Vec::new(),
            Self::Pair => vec![(1, 0)],
            Self::BothWays => vec![(1, 0), (0, 1)],
            Self::Chain => vec![(1, 0), (2, 1)],
            Self::Star if rng.random_bool(0.5) => vec![(1, 0), (2, 0)],
            Self::Star => vec![(0, 1), (0, 2)],
            Self::Ring if rng.random_bool(0.5) => vec![(1, 0), (2, 1), (0, 2)],
            Self::Ring => vec![(1, 0), (2, 1), (2, 0)],
        }
    }
}

impl Shape {
    pub(crate) fn draw(rng: &mut SmallRng) -> Self {
        let form = Form::draw(rng);
        let mut links = form.links(rng);
        let mut shape = Self {
            form,
            relays: form.relays(),
            nodes: rng.random_range(2..5),
            foreigners: usize::from(rng.random_bool(0.4)),
            links: Vec::new(),
        };
        for member in shape.relays..shape.members() {
            let mut relays: Vec<_> = (0..shape.relays).collect();
            relays.shuffle(rng);
            let dialled = relays.iter().enumerate();
            let dialled = dialled.filter(|(nth, _)| *nth == 0 || rng.random_bool(0.2));
            links.extend(dialled.map(|(_, relay)| (member, *relay)));
        }
        shape.links = links;
        shape
    }

    /// How many there are.
    pub(crate) fn members(&self) -> usize {
        self.relays + self.nodes + self.foreigners
    }

    pub(crate) fn nodes(&self) -> Range<MemberId> {
        self.relays..self.relays + self.nodes
    }

    pub(crate) fn role(&self, member: MemberId) -> Role {
        match member {
            relay if relay < self.relays => Role::Relay,
            node if self.nodes().contains(&node) => Role::Node,
            _ => Role::Foreigner,
        }
    }

    /// One of those who write.
    pub(crate) fn draw_writer(&self, rng: &mut impl Rng) -> MemberId {
        rng.random_range(self.relays..self.members())
    }
}
