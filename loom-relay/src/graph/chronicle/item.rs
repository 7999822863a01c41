//! What one item is called between peers.

use crate::graph::Root;
use crate::model::Stamp;

/// Stamp and hash of one (soul, field, state, value), as 32 bytes that sort by stamp.
///
/// The stamp is in the id because negentropy names items by id alone: whoever is asked for one finds
/// it by its place in the order. 192 bits of the hash are left, which is plenty against accidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId {
    stamp: u64,
    hash: [u8; 24],
}

/// Length of a [`Brief`] in bytes.
pub const BRIEF_BYTES: usize = 16;

/// The beginning of an id: enough to ask for an item. Should two begin alike, one of them comes,
/// and the next comparison finds the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Brief([u8; BRIEF_BYTES]);

impl ItemId {
    /// The id of the item that `root` is the root of.
    pub(in crate::graph) fn new(stamp: Stamp, root: Root) -> Self {
        let mut hash = [0; 24];
        hash.copy_from_slice(&root.bytes()[..24]);
        Self {
            stamp: ordered(stamp),
            hash,
        }
    }

    /// What it is stamped.
    pub fn stamp(self) -> Stamp {
        let bits = match self.stamp >> 63 {
            1 => self.stamp ^ (1 << 63),
            _ => !self.stamp,
        };
        Stamp::new(f64::from_bits(bits)).expect("made from a stamp")
    }

    /// Its beginning.
    pub fn brief(self) -> Brief {
        let mut brief = [0; BRIEF_BYTES];
        brief[..8].copy_from_slice(&self.stamp.to_be_bytes());
        brief[8..].copy_from_slice(&self.hash[..8]);
        Brief(brief)
    }

    /// The beginning of the item negentropy calls this.
    pub fn brief_of(id: &negentropy::Id) -> Brief {
        let id = id.as_bytes();
        let mut brief = [0; BRIEF_BYTES];
        brief[..8].copy_from_slice(&id[24..]);
        brief[8..].copy_from_slice(&id[..8]);
        Brief(brief)
    }

    /// As negentropy sees it. The hash goes first: bounds between items of one stamp are cut after
    /// the first byte that differs.
    pub(super) fn to_negentropy(self) -> negentropy::Item {
        let mut id = [0; negentropy::ID_SIZE];
        id[..24].copy_from_slice(&self.hash);
        id[24..].copy_from_slice(&self.stamp.to_be_bytes());
        negentropy::Item::with_timestamp_and_id(self.stamp, negentropy::Id::from_byte_array(id))
    }
}

impl Brief {
    /// Reads one.
    pub fn new(bytes: [u8; BRIEF_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; BRIEF_BYTES] {
        &self.0
    }

    /// The least id that begins like this.
    pub(super) fn least(self) -> ItemId {
        let (stamp, start) = self.0.split_at(8);
        let mut hash = [0; 24];
        hash[..8].copy_from_slice(start);
        ItemId {
            stamp: u64::from_be_bytes(stamp.try_into().expect("eight bytes")),
            hash,
        }
    }
}

/// A stamp as a number that sorts the same.
pub(super) fn ordered(stamp: Stamp) -> u64 {
    let bits = stamp.ms().to_bits();
    match bits >> 63 {
        0 => bits | 1 << 63,
        _ => !bits,
    }
}
