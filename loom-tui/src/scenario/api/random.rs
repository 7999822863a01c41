//! Chance that can be replayed.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rhai::{Array, Dynamic, EvalAltResult};

use super::{Api, Doc, Group};
use crate::scenario::trouble::Trouble;

pub(super) const GROUP: Group = Group {
    title: "Chance",
    about: "The same seed gives the same choices. `--seed` sets the run's; the report names it.",
    docs: &[
        Doc {
            usage: "random(seed)",
            about: "A source of chance; `random()` uses the run's own seed.",
        },
        Doc {
            usage: "r.int(from, to)",
            about: "A whole number, both ends included.",
        },
        Doc {
            usage: "r.float()",
            about: "A number from 0 up to, not including, 1.",
        },
        Doc {
            usage: "r.pick(array)",
            about: "One of its elements.",
        },
        Doc {
            usage: "r.shuffle(array)",
            about: "The same elements in another order.",
        },
    ],
};

type Result<T, E = Box<EvalAltResult>> = std::result::Result<T, E>;

/// A seeded source; copies share it.
#[derive(Clone, Debug)]
struct Chance(Arc<Mutex<StdRng>>);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) fn register(api: &mut Api<'_>) {
    api.engine.register_type_with_name::<Chance>("random");
    let seed = api.host.seed;
    api.engine
        .register_fn(api.named("random"), move || Chance::new(seed));
    api.engine.register_fn(api.named("random"), |seed: i64| {
        Chance::new(seed.cast_unsigned())
    });
    api.engine.register_fn(
        api.named("int"),
        |chance: Chance, from: i64, to: i64| -> Result<i64> {
            if from > to {
                let text = format!("there is no whole number from {from} to {to}");
                return Err(Trouble::mistake(text).into());
            }
            Ok(chance.with(|rng| rng.random_range(from..=to)))
        },
    );
    api.engine
        .register_fn(api.named("float"), |chance: Chance| -> f64 {
            chance.with(|rng| rng.random::<f64>())
        });
    api.engine.register_fn(
        api.named("pick"),
        |chance: Chance, array: Array| -> Result<Dynamic> {
            if array.is_empty() {
                return Err(Trouble::mistake("there is nothing to pick from").into());
            }
            let at = chance.with(|rng| rng.random_range(0..array.len()));
            Ok(array[at].clone())
        },
    );
    api.engine.register_fn(
        api.named("shuffle"),
        |chance: Chance, mut array: Array| -> Array {
            chance.with(|rng| {
                // Fisher and Yates.
                for last in (1..array.len()).rev() {
                    array.swap(last, rng.random_range(0..=last));
                }
            });
            array
        },
    );
}
