//! How writes that wait for the clock lie in the database, and the sum that says whether all of them
//! are there.
//!
//! That a write waits, or waits no more, may be said any number of times: after a failed write all of
//! it is said again. So whether it goes into the sum is decided by what the database holds, and the
//! sum is kept beside the database it describes. Only writes that wait pay for that look.

use std::collections::BTreeMap;

use fjall::{Keyspace, OwnedWriteBatch as WriteBatch};

use crate::graph::Root;
use crate::machine::Deferral;
use crate::model::Write;
use crate::store::row;

/// Puts what a commit says about writes that wait into `entries`, and returns what all of them come
/// to then, after `root`.
pub(super) fn put(
    entries: &mut WriteBatch,
    keyspace: &Keyspace,
    deferrals: &[Deferral],
    mut root: Root,
) -> fjall::Result<Root> {
    // Of two entries with one key within one batch of the database either may win: only the last
    // goes in.
    let last: BTreeMap<_, _> = deferrals
        .iter()
        .map(|deferral| {
            let (Deferral::Waits(write) | Deferral::Over(write)) = deferral;
            let (key, value) = row::encode_deferred(write);
            (key, (value, deferral))
        })
        .collect();
    for (key, (value, deferral)) in last {
        let is_held = keyspace.contains_key(&key)?;
        // Written also when it is held: what was read after a failed write need not be on disk.
        match deferral {
            Deferral::Waits(write) => {
                if !is_held {
                    root.add(item(write));
                }
                entries.insert(keyspace, key, value);
            }
            Deferral::Over(write) => {
                if is_held {
                    root.subtract(item(write));
                }
                entries.remove(keyspace, key);
            }
        }
    }
    Ok(root)
}

/// What these writes come to.
pub(super) fn sum<'a>(writes: impl IntoIterator<Item = &'a Write>) -> Root {
    let mut root = Root::default();
    for write in writes {
        root.add(item(write));
    }
    root
}

fn item(write: &Write) -> Root {
    Root::of(&write.soul, &write.field, &write.cell)
}
