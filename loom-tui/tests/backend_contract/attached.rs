//! What only a cluster in another process has to promise: faults end with whoever made them.

use loom_tui::cluster::attached::AttachedCluster;
use loom_tui::cluster::{ClusterBackend as _, Life, Link};
use loom_tui::control::Client;
use loom_tui::control::wire::Ask;

use crate::place::{ONE, Place, RELAY, TWO, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_end_with_the_connection_that_made_them_and_no_others() {
    let place = Place::attached().await;
    let passer_by = Client::connect(&place.socket(), false).await.unwrap();
    let cut = Ask::SetLink {
        node: ONE,
        link: Link::cut(),
        lease_ms: None,
    };
    passer_by.ask::<()>(cut).await.unwrap();
    drop(passer_by);

    let run = AttachedCluster::connect(&place.socket()).await.unwrap();
    run.set_link(TWO, Link::cut(), None).await.unwrap();
    run.suspend(RELAY).await.unwrap();
    assert_eq!(place.status(RELAY).await.life, Life::Suspended);
    drop(run);
    until("its faults are gone", async || {
        let relay = place.status(RELAY).await.life;
        relay == Life::Up && place.status(TWO).await.link.is_clear()
    })
    .await;
    assert_eq!(place.status(ONE).await.link, Link::cut());
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_from_outside_ends_only_what_was_done_from_there() {
    let place = Place::attached().await;
    let run = AttachedCluster::connect(&place.socket()).await.unwrap();
    run.set_link(TWO, Link::cut(), None).await.unwrap();
    run.shutdown().await.unwrap();
    assert!(place.status(TWO).await.link.is_clear());
    assert_eq!(place.status(ONE).await.life, Life::Up);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_is_gone_is_an_error_with_a_next_step() {
    let mut place = Place::attached().await;
    place.server.take().unwrap().close().await;
    let error = place.backend.kill(ONE).await.unwrap_err();
    assert!(error.reason.contains("connection"), "{error}");
    let members = place.backend.members().await;
    assert_eq!(members.len(), 3, "what was last seen is still shown");
    let error = Client::connect(&place.socket(), false).await.unwrap_err();
    assert!(error.to_string().contains("loom-tui up"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn down_ends_the_cluster_and_tells_the_controller() {
    let place = Place::attached().await;
    let client = Client::connect(&place.socket(), false).await.unwrap();
    client
        .ask::<()>(Ask::Down { volumes: false })
        .await
        .unwrap();
    place.server.as_ref().unwrap().down().await;
    assert_eq!(place.status(RELAY).await.life, Life::Stopped);
    place.end().await;
}
