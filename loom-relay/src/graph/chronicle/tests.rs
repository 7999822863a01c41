use std::collections::BTreeMap;

use negentropy::{Bound, NegentropyStorageBase as _, NegentropyStorageVector};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::item::ordered;
use super::*;
use crate::model::{Cell, Value};

fn cell(ms: f64, n: u32) -> Cell {
    Cell {
        stamp: Stamp::new(ms).unwrap(),
        value: Value::text(&n.to_string()),
    }
}

fn root(field: &Field, cell: &Cell) -> Root {
    Root::of(&"s".into(), field, cell)
}

/// A chronicle after random insertions and removals, and what it should list.
fn random(seed: u64, steps: u32) -> (Chronicle, BTreeMap<ItemId, (Stamp, Root)>) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut chronicle = Chronicle::default();
    let mut listed = BTreeMap::new();
    let takes_out = rng.random_range(0..45);
    for n in 0..steps {
        if rng.random_range(0..100) < takes_out
            && let Some(nth) = listed.len().checked_sub(1)
        {
            let nth = rng.random_range(0..=nth);
            let (id, (stamp, root)) = listed.iter().nth(nth).map(|(id, it)| (*id, *it)).unwrap();
            chronicle.remove(stamp, root);
            listed.remove(&id);
            continue;
        }
        // Mostly the newest, some of one stamp, some before 1970.
        let ms = match rng.random_range(0..10) {
            0 => -f64::from(rng.random_range(0..1_000_u32)) / 7.0,
            1..4 => f64::from(rng.random_range(0..5_u32)),
            _ => 1_800_000_000_000.0 + f64::from(n),
        };
        let (field, cell) = (Field::from(n.to_string()), cell(ms, n));
        let root = root(&field, &cell);
        chronicle.insert("s".into(), field, cell.stamp, root);
        listed.insert(ItemId::new(cell.stamp, root), (cell.stamp, root));
    }
    (chronicle, listed)
}

#[test]
fn it_lists_what_was_put_in_and_not_taken_out_in_order() {
    for seed in 0..30 {
        let (chronicle, listed) = random(seed, 3_000);
        let entries = chronicle.chunks.iter().flat_map(|chunk| &chunk.entries);
        let ids: Vec<_> = entries.map(|entry| entry.id).collect();
        assert_eq!(ids, listed.keys().copied().collect::<Vec<_>>(), "{seed}");
        let mut sum = Root::default();
        listed.values().for_each(|(_, root)| sum.add(*root));
        assert_eq!(chronicle.root(), sum, "{seed}");
        for chunk in &chronicle.chunks {
            assert_eq!(chunk.first, chunk.entries[0].id, "{seed}");
            assert!(chunk.entries.len() <= CHUNK_MAX, "{seed}");
        }
    }
}

#[test]
fn every_item_is_found_by_its_beginning_and_no_other() {
    let (chronicle, listed) = random(7, 2_000);
    for id in listed.keys() {
        assert_eq!(chronicle.find(id.brief()).unwrap().id, *id);
        let negentropy = id.to_negentropy();
        assert_eq!(ItemId::brief_of(&negentropy.id), id.brief());
        let mut other = *id.brief().bytes();
        other[15] ^= 1;
        assert!(chronicle.find(Brief::new(other)).is_none());
    }
    assert!(
        Chronicle::default()
            .find(Brief::new([0; BRIEF_BYTES]))
            .is_none()
    );
}

#[test]
fn ids_sort_as_stamps_do_and_give_them_back() {
    let stamps = [f64::MIN, -1.5, -0.0, 0.0, 1e-300, 1.5, 1.8e12, f64::MAX];
    let stamps: Vec<_> = stamps.iter().map(|ms| Stamp::new(*ms).unwrap()).collect();
    for pair in stamps.windows(2) {
        assert!(ordered(pair[0]) <= ordered(pair[1]), "{pair:?}");
    }
    for stamp in stamps {
        assert_eq!(ItemId::new(stamp, Root::default()).stamp(), stamp);
    }
}

#[test]
fn a_window_reads_as_negentropys_own_storage_does() {
    for seed in 0..20 {
        let (chronicle, listed) = random(seed, 1_500);
        let from = [None, Stamp::new(3.0), Stamp::new(1.9e12)][seed as usize % 3];
        let window = chronicle.window(from);
        let mut vector = NegentropyStorageVector::new();
        let shown = listed
            .iter()
            .filter(|(_, (stamp, _))| from.is_none_or(|from| *stamp >= from));
        for (id, _) in shown {
            let item = id.to_negentropy();
            vector.insert(item.timestamp, item.id).unwrap();
        }
        vector.seal().unwrap();
        let len = vector.size().unwrap();
        assert_eq!(window.size().unwrap(), len);
        let mut rng = SmallRng::seed_from_u64(seed);
        for _ in 0..50 {
            let index = rng.random_range(0..=len);
            let item = vector.get_item(index).unwrap();
            assert_eq!(window.get_item(index).unwrap(), item);
            let end = rng.random_range(index..=len);
            let sums = [
                window.fingerprint(index, end).unwrap().to_bytes(),
                vector.fingerprint(index, end).unwrap().to_bytes(),
            ];
            assert_eq!(sums[0], sums[1]);
            let bound = item.map_or_else(|| Bound::with_timestamp(5), |it| Bound::from_item(&it));
            let places = [
                window.find_lower_bound(end.min(index / 2), len, &bound),
                vector.find_lower_bound(end.min(index / 2), len, &bound),
            ];
            assert_eq!(places[0], places[1]);
        }
    }
}

#[test]
fn chunks_stay_reasonably_full() {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut chronicle = Chronicle::default();
    let mut held = Vec::new();
    for n in 0..20_000 {
        let (field, cell) = (Field::from(n.to_string()), cell(f64::from(n), n));
        let root = root(&field, &cell);
        chronicle.insert("s".into(), field.clone(), cell.stamp, root);
        held.push((cell.stamp, root));
    }
    // As when old vertices are written again: a random one out, the newest in.
    for n in 20_000..60_000 {
        let (field, cell) = (Field::from(n.to_string()), cell(f64::from(n), n));
        let news = (cell.stamp, root(&field, &cell));
        chronicle.insert("s".into(), field, news.0, news.1);
        let nth = rng.random_range(0..held.len());
        let (stamp, root) = std::mem::replace(&mut held[nth], news);
        chronicle.remove(stamp, root);
    }
    let per_item = chronicle.bytes() / held.len();
    assert!(
        per_item <= 2 * size_of::<Entry>(),
        "{per_item} bytes an item"
    );
}
