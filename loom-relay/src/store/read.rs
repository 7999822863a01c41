//! Reads a whole store at start, on all cores: one thread walks the database, others make fields of
//! what it finds.
//!
//! The one door is [`fields`].

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::row;
use crate::graph::{Graph, Loader};

/// Bytes of rows that are handed over at once.
const STRETCH_BYTES: usize = 1 << 18;

/// Stretches that wait, for each thread; whoever walks the database waits when there are more.
const STRETCHES_WAITING: usize = 4;

/// The graph of these rows, each a key and a value. `garbled` says that the row with this key makes
/// no sense.
///
/// # Errors
///
/// Whatever reading gives as one, or the first garbled row.
pub(super) fn fields<B: AsRef<[u8]>, E: Send>(
    rows: impl Iterator<Item = Result<(B, B), E>>,
    garbled: impl Fn(&[u8]) -> E + Sync,
) -> Result<Graph, E> {
    let mut stretches = Stretches(rows);
    let Some(first) = stretches.next().transpose()? else {
        return Ok(Graph::default());
    };
    let Some(second) = stretches.next().transpose()? else {
        return Ok(first.load(&garbled)?.finish());
    };
    let stretches = [first, second].into_iter().map(Ok).chain(stretches);
    let mut loaded = load_all(stretches, &garbled)?;
    loaded.sort_unstable_by_key(|(nth, _)| *nth);
    let mut loader = Loader::default();
    for (_, stretch) in loaded {
        loader.append(stretch?);
    }
    Ok(loader.finish())
}

/// What became of which stretch.
type Loaded<E> = Vec<(usize, Result<Loader, E>)>;

fn load_all<E: Send>(
    stretches: impl Iterator<Item = Result<Stretch, E>>,
    garbled: &(impl Fn(&[u8]) -> E + Sync),
) -> Result<Loaded<E>, E> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (queue, waiting) = mpsc::sync_channel(STRETCHES_WAITING * threads);
    let waiting = Arc::new(Mutex::new(waiting));
    thread::scope(|scope| {
        let start = |_| {
            let waiting = Arc::clone(&waiting);
            scope.spawn(move || load_waiting(&waiting, garbled))
        };
        let threads: Vec<_> = (0..threads).map(start).collect();
        drop(waiting);
        for (nth, stretch) in stretches.enumerate() {
            // Nobody takes it once each of them has come upon something garbled.
            if queue.send((nth, stretch?)).is_err() {
                break;
            }
        }
        drop(queue);
        let loaded = threads.into_iter().map(|thread| thread.join());
        Ok(loaded
            .flat_map(|loaded| loaded.expect("rows are read without a panic"))
            .collect())
    })
}

fn load_waiting<E>(
    waiting: &Mutex<Receiver<(usize, Stretch)>>,
    garbled: &impl Fn(&[u8]) -> E,
) -> Loaded<E> {
    let mut loaded = Vec::new();
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok((nth, stretch)) = next else {
            return loaded;
        };
        let result = stretch.load(garbled);
        let is_over = result.is_err();
        loaded.push((nth, result));
        if is_over {
            return loaded;
        }
    }
}

/// Rows next to each other, copied: what the database hands out keeps a whole block of it, and is
/// counted, which threads would quarrel about.
#[derive(Debug, Default)]
struct Stretch {
    bytes: Vec<u8>,
    /// Where each row's key and value end.
    ends: Vec<(usize, usize)>,
}

impl Stretch {
    fn load<E>(&self, garbled: impl Fn(&[u8]) -> E) -> Result<Loader, E> {
        let mut loader = Loader::default();
        let mut soul = None;
        let mut start = 0;
        for (key_end, end) in &self.ends {
            let (key, value) = (&self.bytes[start..*key_end], &self.bytes[*key_end..*end]);
            start = *end;
            let write = row::decode(key, value, soul.as_ref()).ok_or_else(|| garbled(key))?;
            soul = Some(write.soul.clone());
            loader.load(write);
        }
        Ok(loader)
    }
}

struct Stretches<I>(I);

impl<B: AsRef<[u8]>, E, I: Iterator<Item = Result<(B, B), E>>> Iterator for Stretches<I> {
    type Item = Result<Stretch, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut stretch = Stretch::default();
        while stretch.bytes.len() < STRETCH_BYTES {
            let (key, value) = match self.0.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(row)) => row,
            };
            if stretch.ends.is_empty() {
                stretch.bytes.reserve(STRETCH_BYTES * 5 / 4);
            }
            stretch.bytes.extend_from_slice(key.as_ref());
            let key_end = stretch.bytes.len();
            stretch.bytes.extend_from_slice(value.as_ref());
            stretch.ends.push((key_end, stretch.bytes.len()));
        }
        (!stretch.ends.is_empty()).then_some(Ok(stretch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, Field, Soul, Stamp, Value};

    type Row = Result<(Vec<u8>, Vec<u8>), String>;

    fn rows(count: usize) -> Vec<Row> {
        let value = Value::text(&"v".repeat(100));
        let row = |nth: usize| {
            let soul = Soul::from(["a", "b"][nth % 2]);
            let field = Field::from(format!("{nth:06}"));
            let stamp = Stamp::new(nth as f64).unwrap();
            let value = value.clone();
            row::encode(&soul, &field, &Cell { stamp, value })
        };
        let mut rows: Vec<_> = (0..count).map(row).collect();
        rows.sort();
        rows.into_iter().map(Ok).collect()
    }

    fn read(rows: Vec<Row>) -> Result<Graph, String> {
        fields(rows.into_iter(), |key| format!("garbled: {key:?}"))
    }

    #[test]
    fn every_row_is_read_once_however_many_stretches_they_make() {
        for count in [0, 1, 2_000, 20_000] {
            let graph = read(rows(count)).unwrap();
            assert_eq!(graph.len(), count as u64);
            let mut one_by_one = Graph::default();
            for row in rows(count) {
                let (key, value) = row.unwrap();
                one_by_one.load(row::decode(&key, &value, None).unwrap());
            }
            assert_eq!(graph.root(), one_by_one.root(), "{count}");
        }
    }

    #[test]
    fn the_first_row_that_makes_no_sense_is_named() {
        for count in [10, 20_000] {
            let mut rows = rows(count);
            let mut expected = None;
            // More of them than there can be threads: none must be waited for.
            for row in rows.iter_mut().skip(count / 2) {
                let (key, value) = row.as_mut().unwrap();
                value.truncate(3);
                expected.get_or_insert(format!("garbled: {key:?}"));
            }
            assert_eq!(read(rows).map(|_| ()), Err(expected.unwrap()));
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_left_out() {
        for count in [10, 20_000] {
            let mut rows = rows(count);
            rows[count * 3 / 4] = Err("the disk is broken".to_owned());
            assert_eq!(read(rows).map(|_| ()), Err("the disk is broken".to_owned()));
        }
    }
}
