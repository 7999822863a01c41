//! Promises about links: cut, degraded, leased, healed. Proven with real records over real nodes.

use std::time::{Duration, Instant};

use loom_tui::cluster::{Direction, Flow, Life, Link};

use crate::place::{ONE, Place, QUIET, RELAY, TWO, event, until};

pub(crate) async fn nothing_crosses_a_cut_and_everything_arrives_after_it(place: &Place) {
    place.connected().await;
    place.write(ONE, "before").await;
    place.arrives(TWO, "before").await;

    place
        .backend
        .set_link(TWO, Link::cut(), None)
        .await
        .unwrap();
    assert_eq!(place.status(TWO).await.link, Link::cut());
    let before = place.backend.traffic(TWO).await.unwrap();
    place.write(ONE, "from-1").await;
    place.write(TWO, "from-2").await;
    place.stays_away(TWO, "from-1").await;
    assert!(!place.has(ONE, "from-2").await);
    let after = place.backend.traffic(TWO).await.unwrap();
    assert_eq!(
        (after.up_bytes, after.down_bytes),
        (before.up_bytes, before.down_bytes),
        "the fault did not bite"
    );

    let clear = Link::default();
    place.backend.set_link(TWO, clear, None).await.unwrap();
    place.arrives(TWO, "from-1").await;
    place.arrives(ONE, "from-2").await;
}

pub(crate) async fn a_cut_one_way_acts_one_way(place: &Place) {
    for direction in [Direction::Up, Direction::Down] {
        place.connected().await;
        let mut link = Link::default();
        match direction {
            Direction::Up => link.up.cut = true,
            Direction::Down => link.down.cut = true,
        }
        place.backend.set_link(TWO, link, None).await.unwrap();
        let before = place.backend.traffic(TWO).await.unwrap();
        let from_one = format!("from-1-{direction:?}");
        let from_two = format!("from-2-{direction:?}");
        place.write(ONE, &from_one).await;
        place.write(TWO, &from_two).await;
        match direction {
            Direction::Up => {
                place.arrives(TWO, &from_one).await;
                place.stays_away(ONE, &from_two).await;
            }
            Direction::Down => {
                place.arrives(ONE, &from_two).await;
                place.stays_away(TWO, &from_one).await;
            }
        }
        let after = place.backend.traffic(TWO).await.unwrap();
        let (open, shut) = match direction {
            Direction::Up => (
                after.down_bytes - before.down_bytes,
                after.up_bytes - before.up_bytes,
            ),
            Direction::Down => (
                after.up_bytes - before.up_bytes,
                after.down_bytes - before.down_bytes,
            ),
        };
        assert!(open > 0, "{direction:?} cut the other way too");
        assert_eq!(shut, 0, "{direction:?} did not bite");
        place.backend.heal().await.unwrap();
        place.arrives(ONE, &from_two).await;
        place.arrives(TWO, &from_one).await;
    }
}

pub(crate) async fn a_cut_outlives_its_node(place: &Place) {
    place.connected().await;
    place
        .backend
        .set_link(TWO, Link::cut(), None)
        .await
        .unwrap();
    place.backend.kill(TWO).await.unwrap();
    place.write(ONE, "while-dead").await;
    place.backend.start(TWO).await.unwrap();
    assert_eq!(place.status(TWO).await.link, Link::cut());
    place.stays_away(TWO, "while-dead").await;
    let health = place.client(TWO).await.health().await.ok().unwrap();
    assert!(!health.sync.connected, "it claims to be connected");
    place.backend.heal().await.unwrap();
    place.arrives(TWO, "while-dead").await;
}

fn slow(latency: Duration) -> Link {
    let flow = Flow {
        latency,
        ..Flow::default()
    };
    Link {
        up: flow,
        down: flow,
    }
}

pub(crate) async fn set_link_replaces_what_was_there(place: &Place) {
    place.connected().await;
    place
        .backend
        .set_link(TWO, Link::cut(), None)
        .await
        .unwrap();
    let latency = Duration::from_millis(400);
    place
        .backend
        .set_link(TWO, slow(latency), None)
        .await
        .unwrap();
    assert_eq!(place.status(TWO).await.link, slow(latency));
    let written = Instant::now();
    place.write(ONE, "slow").await;
    place.arrives(TWO, "slow").await;
    assert!(written.elapsed() >= latency, "no latency was added");
}

pub(crate) async fn a_lease_that_runs_out_heals_and_says_so(place: &Place) {
    place.connected().await;
    let mut events = place.backend.events();
    let lease = Duration::from_millis(500);
    let begun = Instant::now();
    place
        .backend
        .set_link(TWO, Link::cut(), Some(lease))
        .await
        .unwrap();
    place.write(ONE, "leased").await;
    event(&mut events, TWO, "link cut for 500ms").await;
    event(&mut events, TWO, "lease ran out").await;
    assert!(begun.elapsed() >= lease, "it ran out early");
    assert!(place.status(TWO).await.link.is_clear());
    place.arrives(TWO, "leased").await;
}

pub(crate) async fn a_lease_is_renewed_by_the_next_call(place: &Place) {
    let short = Some(Duration::from_millis(300));
    let long = Some(Duration::from_secs(3600));
    for renewed in [long, None] {
        for lease in [short, renewed] {
            place
                .backend
                .set_link(TWO, Link::cut(), lease)
                .await
                .unwrap();
        }
        tokio::time::sleep(QUIET).await;
        assert_eq!(place.status(TWO).await.link, Link::cut());
    }
}

pub(crate) async fn heal_ends_every_fault_and_leaves_the_dead_dead(place: &Place) {
    place.connected().await;
    place
        .backend
        .set_link(ONE, Link::cut(), None)
        .await
        .unwrap();
    let slow = slow(Duration::from_secs(60));
    place.backend.set_link(TWO, slow, None).await.unwrap();
    place.backend.suspend(RELAY).await.unwrap();
    place.backend.suspend(ONE).await.unwrap();
    place.backend.kill(TWO).await.unwrap();
    place.backend.heal().await.unwrap();
    for status in place.backend.members().await {
        assert!(status.link.is_clear(), "{status:?}");
        let dead = status.member == TWO;
        assert_eq!(status.life, if dead { Life::Dead } else { Life::Up });
    }
    place.backend.start(TWO).await.unwrap();
    place.write(ONE, "healed").await;
    place.arrives(TWO, "healed").await;
    // Healing what is healthy is no event.
    let mut events = place.backend.events();
    place.backend.heal().await.unwrap();
    assert!(events.try_recv().is_err());
}

pub(crate) async fn the_relay_has_no_link_of_its_own(place: &Place) {
    let error = place.backend.set_link(RELAY, Link::cut(), None).await;
    let error = error.unwrap_err();
    assert!(error.next_step.contains("suspend the relay"), "{error}");
    until("and it is still up", async || {
        place.status(RELAY).await.life == Life::Up
    })
    .await;
}
