//! Many wishes at once, in any order.

use loom_tui::cluster::{Life, Link, Member};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::place::{ONE, Place, RELAY, SOON, TWO};

pub(crate) async fn wishes_in_any_order_are_settled_and_leave_a_cluster_that_works(place: &Place) {
    let seed =
        std::env::var("LOOM_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    // Shown only if the test fails. Timing is the machine's, so a replay is likely, not certain.
    println!(
        "replay: LOOM_SEED={seed} cargo test -p loom-tui --test backend_contract wishes_in_any"
    );
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut wishes = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let backend = place.backend.clone();
        let member: Member = *[RELAY, ONE, TWO].choose(&mut rng).unwrap();
        let wish = rng.random_range(0..8);
        wishes.spawn(async move {
            // Refusals are fine here (nobody suspends the dead); hanging and panicking are not.
            let _ = match wish {
                0 => backend.start(member).await,
                1 => backend.stop(member).await,
                2 => backend.kill(member).await,
                3 => backend.suspend(member).await,
                4 => backend.resume(member).await,
                5 => backend.set_link(member, Link::cut(), None).await,
                6 => backend.heal().await,
                _ => backend.start(member).await,
            };
        });
    }
    let settled = tokio::time::timeout(SOON, async {
        while let Some(done) = wishes.join_next().await {
            done.unwrap();
        }
    });
    settled.await.expect("every wish is settled");
    place.backend.heal().await.unwrap();
    for member in [RELAY, ONE, TWO] {
        place.backend.start(member).await.unwrap();
        assert_eq!(place.status(member).await.life, Life::Up);
    }
    place.write(ONE, "calm-again").await;
    place.arrives(TWO, "calm-again").await;
}
