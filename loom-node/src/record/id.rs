//! Ids for records whose writer gave none.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::Table;

/// Makes ids no other source makes: the time, so that they sort by age, and 62 random bits.
#[derive(Debug)]
pub struct IdSource(StdRng);

impl IdSource {
    /// Draws from `rng`.
    pub fn new(rng: StdRng) -> Self {
        Self(rng)
    }

    /// An id such as `node-mwssqa3v-7ub3k0d1x2yz`.
    pub fn next(&mut self, table: Table, wall_ms: u64) -> String {
        let mut id = format!("{}-", table.singular());
        push_base36(&mut id, wall_ms, 8);
        id.push('-');
        push_base36(&mut id, self.0.random::<u64>() >> 2, 12);
        id
    }
}

fn push_base36(text: &mut String, number: u64, digits: u32) {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    for place in (0..digits).rev() {
        let digit = number / 36_u64.pow(place) % 36;
        text.push(char::from(DIGITS[digit as usize]));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn ids_of_one_millisecond_are_all_different_and_sort_after_older_ones() {
        let mut source = IdSource::new(StdRng::seed_from_u64(1));
        let ids: BTreeSet<_> = (0..10_000)
            .map(|_| source.next(Table::Nodes, 1_800_000_000_000))
            .collect();
        assert_eq!(ids.len(), 10_000);
        let older = source.next(Table::Nodes, 1_799_999_999_999);
        assert!(older < *ids.first().unwrap(), "{older}");
        assert!(ids.iter().all(|id| id.len() == "node-".len() + 8 + 1 + 12));
    }
}
