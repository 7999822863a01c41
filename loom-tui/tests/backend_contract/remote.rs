//! What a cluster of nothing but URLs has to promise: it sees who lives, and breaks nothing.

use loom_tui::cluster::remote::{RemoteCluster, Urls};
use loom_tui::cluster::{ClusterBackend as _, Life, Link, Member};

use crate::place::{ONE, Place, RELAY, TWO, event, until};

async fn remote(place: &Place) -> RemoteCluster {
    let urls = Urls {
        nodes: vec![
            place.status(ONE).await.url.parse().unwrap(),
            place.status(TWO).await.url.parse().unwrap(),
        ],
        relay: Some(place.status(RELAY).await.url.parse().unwrap()),
    };
    let remote = RemoteCluster::open(&urls, "needs more").unwrap();
    remote.await_answers().await.unwrap();
    remote
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn life_is_what_health_says_and_an_end_nobody_asked_for_here_is_an_event() {
    let place = Place::local().await;
    let remote = remote(&place).await;
    let mut events = remote.events();
    let members = remote.members().await;
    let listed: Vec<_> = members.iter().map(|status| status.member).collect();
    assert_eq!(listed, [RELAY, ONE, TWO]);
    assert!(members.iter().all(|status| status.life == Life::Up));

    place.backend.kill(TWO).await.unwrap();
    let ended = event(&mut events, TWO, "does not answer any more").await;
    assert!(ended.unexpected);
    let life = async || remote.members().await[2].life;
    assert_eq!(life().await, Life::Dead);
    // Started by somebody else, while it is waited for here.
    let (here, there) = tokio::join!(remote.start(TWO), place.backend.start(TWO));
    here.unwrap();
    there.unwrap();
    until("it is seen to be up", async || life().await == Life::Up).await;
    assert_eq!(remote.members().await[2].generation, 2);
    remote.shutdown().await.unwrap();
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_refused_and_leaves_no_trace() {
    let place = Place::local().await;
    let remote = remote(&place).await;
    assert_eq!(remote.without_faults(), Some("needs more"));
    for refused in [
        remote.kill(ONE).await,
        remote.stop(RELAY).await,
        remote.suspend(ONE).await,
        remote.wipe(ONE).await,
        remote.set_link(ONE, Link::cut(), None).await,
        remote.kill(Member::Node(9)).await,
    ] {
        let error = refused.unwrap_err();
        assert!(error.refused, "{error}");
    }
    remote.heal().await.unwrap();
    remote.resume(ONE).await.unwrap();
    remote.set_link(ONE, Link::default(), None).await.unwrap();
    remote.start(ONE).await.unwrap();
    for status in place.backend.members().await {
        assert_eq!(status.life, Life::Up, "{status:?}");
        assert_eq!(status.generation, 1, "{status:?}");
    }
    remote.shutdown().await.unwrap();
    place.end().await;
}
