//! What a program of somebody else's writes into the mesh: values that are no records, and stamps
//! that no clock shows.

use loom_node::record::Table;
use loom_relay::model::{Cell, Field, Soul, Stamp, Value, Write};
use loom_relay::sim::START_MS;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::client::SHARED_IDS;
use crate::ledger::Ledger;

/// Stamps that GUN takes like any other.
const ODD_MS: [f64; 7] = [
    -1.0,
    0.0,
    5e-324,
    0.1,
    1.0,
    1e9,
    START_MS as f64 + 0.123_456,
];

impl Ledger {
    /// Draws a write of a foreigner whose clock shows `wall_ms`. Only a tie with what others wrote
    /// needs to know of that.
    pub(crate) fn draw_foreign(&self, rng: &mut SmallRng, wall_ms: u64) -> Write {
        let tied = match rng.random_range(0..4) {
            0 => self.draw_issued(rng),
            _ => None,
        };
        let (soul, field, stamp_ms) =
            tied.unwrap_or_else(|| (soul(rng), field(rng), stamp_ms(rng, wall_ms)));
        Write {
            soul,
            field,
            cell: Cell {
                stamp: Stamp::new(stamp_ms).expect("all of them are finite"),
                value: value(rng),
            },
        }
    }
}

fn soul(rng: &mut SmallRng) -> Soul {
    match rng.random_range(0..4) {
        0 => "somebody/else".into(),
        1 => Table::Edges.soul().into(),
        _ => Table::Nodes.soul().into(),
    }
}

fn field(rng: &mut SmallRng) -> Field {
    format!("r{}", rng.random_range(0..SHARED_IDS)).into()
}

fn stamp_ms(rng: &mut SmallRng, wall_ms: u64) -> f64 {
    match rng.random_range(0..10) {
        // The near future.
        0..2 => wall_ms as f64 + f64::from(rng.random_range(0..9_000_u32)),
        // So few that they are the same again and again.
        2..5 => START_MS as f64 - f64::from(rng.random_range(0..3_u32)),
        5 => START_MS as f64 + f64::from(rng.random_range(0..4_000_u32)) / 4.0,
        6 => ODD_MS[rng.random_range(0..ODD_MS.len())],
        _ => wall_ms as f64,
    }
}

fn value(rng: &mut SmallRng) -> Value {
    match rng.random_range(0..12) {
        // JavaScript orders the last two in another way than bytes do.
        text @ 0..5 => Value::text(["", "a", "b", "\u{ffee}", "😀"][text]),
        5 => Value::null(),
        6 => Value::from(true),
        7 => Value::number(1e21).expect("it is finite"),
        8 => Value::number(-0.5).expect("it is finite"),
        9 => Value::link(&"somebody/else".into()),
        _ => Value::text(r#"{"type":"t0","properties":{"by":"somebody else"}}"#),
    }
}
