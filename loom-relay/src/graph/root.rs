//! A set's fingerprint that is kept up to date item by item: the sum of its items' hashes.

use std::fmt::Write as _;

use crate::model::{Cell, Field, Soul};

/// The wrapping 256-bit sum of BLAKE3 over every (soul, field, state, value), and their number.
///
/// Order does not matter and an item can be taken out again, so a graph knows its root at any
/// time. Sums of 256-bit hashes resist accidents; they do not resist somebody who searches for
/// collisions on purpose, which would take a cluster's member to make its own replica differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Root {
    /// Least significant first.
    sum: [u64; 4],
    count: u64,
}

impl Root {
    /// The root of exactly one item.
    pub fn of(soul: &Soul, field: &Field, cell: &Cell) -> Self {
        let mut hasher = blake3::Hasher::new();
        let state = cell.stamp.ms().to_le_bytes();
        // Lengths first: otherwise ("a", "bc") and ("ab", "c") would be the same item.
        for part in [
            soul.as_bytes(),
            field.as_bytes(),
            &state,
            cell.value.json().as_bytes(),
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let hash = hasher.finalize();
        let mut sum = [0; 4];
        for (limb, bytes) in sum.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            *limb = u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
        }
        Self { sum, count: 1 }
    }

    /// Puts the items of `other` in.
    pub fn add(&mut self, other: Self) {
        let mut carry = false;
        for (limb, more) in self.sum.iter_mut().zip(other.sum) {
            let (partial, first) = limb.overflowing_add(more);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *limb = total;
            carry = first || second;
        }
        self.count += other.count;
    }

    /// Takes the items of `other`, which must be in, out.
    pub fn subtract(&mut self, other: Self) {
        let mut borrow = false;
        for (limb, less) in self.sum.iter_mut().zip(other.sum) {
            let (partial, first) = limb.overflowing_sub(less);
            let (total, second) = partial.overflowing_sub(u64::from(borrow));
            *limb = total;
            borrow = first || second;
        }
        self.count -= other.count;
    }

    /// As a store keeps it: the sum, then the number, least significant first.
    pub fn to_row(&self) -> [u8; 40] {
        let mut row = [0; 40];
        row[..32].copy_from_slice(&self.bytes());
        row[32..].copy_from_slice(&self.count.to_le_bytes());
        row
    }

    /// What [`Self::to_row`] made; `None` for anything of another length.
    pub fn from_row(row: &[u8]) -> Option<Self> {
        let row: &[u8; 40] = row.try_into().ok()?;
        let number = |part: &[u8]| part.try_into().ok().map(u64::from_le_bytes);
        let mut sum = [0; 4];
        for (limb, part) in sum.iter_mut().zip(row.chunks_exact(8)) {
            *limb = number(part)?;
        }
        Some(Self {
            sum,
            count: number(&row[32..])?,
        })
    }

    /// How many items are in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum's bytes; for one item they are its hash.
    pub fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (part, limb) in bytes.chunks_exact_mut(8).zip(self.sum) {
            part.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// The sum as 64 hex digits, most significant first.
    pub fn hex(&self) -> String {
        let mut hex = String::with_capacity(64);
        for limb in self.sum.iter().rev() {
            let _ = write!(hex, "{limb:016x}");
        }
        hex
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Stamp, Value};

    fn item(soul: &str, field: &str, ms: f64, value: &str) -> Root {
        let cell = Cell {
            stamp: Stamp::new(ms).unwrap(),
            value: Value::text(value),
        };
        Root::of(&soul.into(), &field.into(), &cell)
    }

    #[test]
    fn order_does_not_matter_and_what_was_added_can_be_taken_out() {
        let items: Vec<_> = (0..100)
            .map(|n| item("s", &n.to_string(), 1.0, "v"))
            .collect();
        let mut forward = Root::default();
        let mut backward = Root::default();
        items.iter().for_each(|one| forward.add(*one));
        items.iter().rev().for_each(|one| backward.add(*one));
        assert_eq!(forward, backward);
        assert_eq!(forward.count(), 100);
        items.iter().for_each(|one| forward.subtract(*one));
        assert_eq!(forward, Root::default());
    }

    #[test]
    fn every_part_of_an_item_counts() {
        let base = item("ab", "c", 1.0, "v");
        for other in [
            item("a", "bc", 1.0, "v"),
            item("ab", "d", 1.0, "v"),
            item("ab", "c", 1.001, "v"),
            item("ab", "c", 1.0, "w"),
        ] {
            assert_ne!(base.hex(), other.hex());
        }
    }

    #[test]
    fn sums_carry_over_every_limb() {
        let mut most = Root {
            sum: [u64::MAX; 4],
            count: 1,
        };
        let one = Root {
            sum: [1, 0, 0, 0],
            count: 1,
        };
        most.add(one);
        assert_eq!(most.sum, [0; 4]);
        most.subtract(one);
        assert_eq!(most.sum, [u64::MAX; 4]);
    }
}
