//! Since when two sides may differ: when each peer last held what is held here, and the oldest stamp
//! taken in since.
//!
//! Of two peers that held the same, whatever one lacks was taken in by the other after that moment.
//! Its oldest stamp bounds the window that has to be compared, however long the link was down and
//! however old what arrived meanwhile. Known as long as both processes live.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::clock::Mono;
use crate::model::Stamp;
use crate::wire::loom::Since;

/// Most peers remembered; those that agreed longest ago are forgotten.
pub const PEERS_MAX: usize = 1_024;

/// Moments are kept to the second.
const GRAIN_MS: u64 = 1_000;

/// Most moments kept; the oldest two become one.
const MOMENTS_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(in crate::mesh) struct Common {
    agreed: BTreeMap<Arc<str>, Mono>,
    /// Moments and the oldest stamp taken in from each on, in order of both.
    oldest: VecDeque<(u64, Stamp)>,
}

impl Common {
    /// Something stamped so was taken in.
    pub(in crate::mesh) fn took(&mut self, now: Mono, stamp: Stamp) {
        let moment = grain(now);
        while self.oldest.back().is_some_and(|(_, last)| *last >= stamp) {
            self.oldest.pop_back();
        }
        // The same second has an older one already.
        if self.oldest.back().is_some_and(|(last, _)| *last == moment) {
            return;
        }
        self.oldest.push_back((moment, stamp));
        if self.oldest.len() > MOMENTS_MAX
            && let Some((_, stamp)) = self.oldest.pop_front()
            && let Some(next) = self.oldest.front_mut()
        {
            next.1 = stamp;
        }
    }

    /// How many peers it is known of when they agreed.
    pub(in crate::mesh) fn peers(&self) -> usize {
        self.agreed.len()
    }

    /// This peer held all of what was held here at `moment`, and nothing else.
    pub(in crate::mesh) fn agreed(&mut self, peer: &Arc<str>, moment: Mono) {
        if let Some(known) = self.agreed.get_mut(peer) {
            *known = moment.max(*known);
            return;
        }
        if self.agreed.len() == PEERS_MAX {
            let longest = self.agreed.iter().min_by_key(|(_, moment)| **moment);
            if let Some(longest) = longest.map(|(peer, _)| peer.clone()) {
                self.agreed.remove(&longest);
            }
        }
        self.agreed.insert(peer.clone(), moment);
    }

    /// What was taken in since this peer held the same.
    pub(in crate::mesh) fn since(&self, peer: Option<&Arc<str>>) -> Since {
        let Some(moment) = peer.and_then(|peer| self.agreed.get(peer)) else {
            return Since::Unknown;
        };
        let moment = grain(*moment);
        let first = self.oldest.partition_point(|(at, _)| *at < moment);
        match self.oldest.get(first) {
            Some((_, stamp)) => Since::Oldest(*stamp),
            None => Since::Nothing,
        }
    }
}

fn grain(moment: Mono) -> u64 {
    moment.0.as_millis() as u64 / GRAIN_MS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn at(ms: u64) -> Mono {
        Mono(Duration::from_millis(ms))
    }

    fn stamp(ms: u64) -> Stamp {
        Stamp::new(ms as f64).unwrap()
    }

    #[test]
    fn the_oldest_stamp_since_a_moment_is_never_missed_and_hardly_ever_older() {
        let mut rng = SmallRng::seed_from_u64(1);
        let peers: Vec<Arc<str>> = (0..5).map(|n| Arc::from(n.to_string())).collect();
        for _ in 0..50 {
            let mut common = Common::default();
            let mut taken = Vec::new();
            let mut agreed = BTreeMap::new();
            let mut now = 0;
            for _ in 0..400 {
                now += rng.random_range(0..700);
                if rng.random_bool(0.1) {
                    let peer = &peers[rng.random_range(0..peers.len())];
                    common.agreed(peer, at(now));
                    agreed.insert(peer.clone(), now);
                } else {
                    let late = rng.random_range(0..100_000);
                    common.took(at(now), stamp(1_000_000 + now - late));
                    taken.push((now, stamp(1_000_000 + now - late)));
                }
            }
            for (peer, moment) in agreed {
                let since = |from: u64| {
                    let since = taken.iter().filter(|(at, _)| *at >= from);
                    since.map(|(_, stamp)| *stamp).min()
                };
                let expected = [since(moment), since(moment / GRAIN_MS * GRAIN_MS)];
                match common.since(Some(&peer)) {
                    Since::Oldest(stamp) => {
                        assert!(expected[0].is_none_or(|oldest| stamp <= oldest));
                        assert_eq!(Some(stamp), expected[1]);
                    }
                    Since::Nothing => assert_eq!(expected, [None, None]),
                    Since::Unknown => panic!("it agreed"),
                }
            }
        }
    }

    #[test]
    fn a_long_time_costs_little_and_errs_on_the_old_side() {
        let mut common = Common::default();
        let peer: Arc<str> = "p".into();
        common.agreed(&peer, at(0));
        for second in 0..3 * MOMENTS_MAX as u64 {
            common.took(at(second * 1_000), stamp(second));
        }
        assert!(common.oldest.len() <= MOMENTS_MAX);
        assert_eq!(common.since(Some(&peer)), Since::Oldest(stamp(0)));
    }

    #[test]
    fn peers_that_agreed_longest_ago_are_forgotten_first() {
        let mut common = Common::default();
        for n in 0..=PEERS_MAX as u64 {
            common.agreed(&Arc::from(n.to_string()), at(n));
        }
        assert_eq!(common.since(Some(&"0".into())), Since::Unknown);
        assert_eq!(common.since(Some(&"1".into())), Since::Nothing);
        assert_eq!(common.since(None), Since::Unknown);
    }
}
