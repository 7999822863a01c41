//! Promises about clocks.

use crate::place::{ONE, Place, RELAY, TWO};

pub(crate) async fn a_wrong_clock_outlives_its_node_and_ends_with_heal(place: &Place) {
    place.connected().await;
    let backend = &place.backend;
    backend.set_clock(TWO, -300_000).await.unwrap();
    assert_eq!(place.status(TWO).await.clock_ms, -300_000);
    place.write(ONE, "early").await;
    place.write(TWO, "late").await;
    place.arrives(ONE, "late").await;
    place.stays_away(TWO, "early").await;

    backend.kill(TWO).await.unwrap();
    backend.start(TWO).await.unwrap();
    place.connected().await;
    place.write(ONE, "early too").await;
    place.write(TWO, "late too").await;
    place.arrives(ONE, "late too").await;
    place.stays_away(TWO, "early too").await;

    backend.heal().await.unwrap();
    assert_eq!(place.status(TWO).await.clock_ms, 0);
    place.arrives(TWO, "early").await;
    place.arrives(TWO, "early too").await;
}

pub(crate) async fn a_clock_that_nobody_can_set_now_is_refused_and_stays_as_it_is(place: &Place) {
    let backend = &place.backend;
    backend.suspend(TWO).await.unwrap();
    for (node, ahead_ms) in [(RELAY, 1), (TWO, 1), (ONE, i64::MAX)] {
        let why = backend.set_clock(node, ahead_ms).await.unwrap_err();
        assert!(why.refused, "{why}");
        assert_eq!(place.status(node).await.clock_ms, 0);
    }
}
