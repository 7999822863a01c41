//! GUN's conflict resolution (HAM), one field at a time.
//!
//! The whole decision table, first match wins (`docs/protocol.md`, vectors in
//! `tests/vectors/ham-vectors.json` recorded from gun.js):
//!
//! | condition                                              | decision |
//! |--------------------------------------------------------|----------|
//! | the news is stamped later than the local clock         | defer    |
//! | the news is older than what is held                    | keep     |
//! | same stamp, and the news' JSON text is not the greater | keep     |
//! | otherwise                                              | take     |

use crate::model::{Cell, Stamp};

/// What to do with one incoming field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Store it.
    Take,
    /// What is held stays.
    Keep,
    /// It comes from the future: decide again when the clock has reached this stamp.
    Defer(Stamp),
}

/// Decides between what a field holds and what a write brings, at local clock `clock`.
///
/// The order matters: a write from the future is deferred even when it would lose today.
pub fn decide(held: Option<&Cell>, news: &Cell, clock: Stamp) -> Decision {
    if news.stamp > clock {
        return Decision::Defer(news.stamp);
    }
    let Some(held) = held else {
        return Decision::Take;
    };
    let order = news
        .stamp
        .cmp(&held.stamp)
        // A tie: every peer must pick the same winner, so compare exactly as JavaScript does.
        .then_with(|| news.value.cmp(&held.value));
    if order.is_gt() {
        Decision::Take
    } else {
        Decision::Keep
    }
}
