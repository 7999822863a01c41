//! What only containers have to promise: somebody else may do things to them, and is seen.

use std::sync::Arc;
use std::time::Instant;

use bollard::models::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use bollard::query_parameters::KillContainerOptions;
use loom_tui::cluster::docker::{DockerCluster, DockerConfig, clusters};
use loom_tui::cluster::{ClusterBackend as _, Life, Link};

use crate::engine::{engine, left};
use crate::place::{ONE, Place, RELAY, TWO, event, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_killed_from_outside_is_seen_as_an_unexpected_death() {
    let Some(place) = Place::docker().await else {
        return;
    };
    let (engine, name) = place.engine.as_ref().unwrap();
    let mut events = place.backend.events();
    let killed = Instant::now();
    let container = format!("{name}-node-1");
    let options = None::<KillContainerOptions>;
    engine
        .docker
        .kill_container(&container, options)
        .await
        .unwrap();
    let seen = event(&mut events, ONE, "exited: signal 9 (SIGKILL)").await;
    println!("seen after {:?}", killed.elapsed());
    assert!(seen.unexpected);
    assert_eq!(place.status(ONE).await.life, Life::Dead);

    engine
        .docker
        .start_container(&container, None)
        .await
        .unwrap();
    event(&mut events, ONE, "started from outside").await;
    until("it is up again", async || {
        place.status(ONE).await.life == Life::Up
    })
    .await;
    engine.docker.pause_container(&container).await.unwrap();
    event(&mut events, ONE, "suspended from outside").await;
    place.backend.heal().await.unwrap();
    assert_eq!(place.status(ONE).await.life, Life::Up);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_by_hand_is_seen_and_healed_like_any_other() {
    let Some(place) = Place::docker().await else {
        return;
    };
    place.connected().await;
    let (engine, name) = place.engine.as_ref().unwrap();
    let (network, container) = (format!("{name}-network"), format!("{name}-node-2"));
    let mut events = place.backend.events();
    let leave = || NetworkDisconnectRequest {
        container: container.clone(),
        force: None,
    };
    engine
        .docker
        .disconnect_network(&network, leave())
        .await
        .unwrap();
    assert!(event(&mut events, TWO, "link cut").await.unexpected);
    assert_eq!(place.status(TWO).await.link, Link::cut());
    place.write(ONE, "by-hand").await;
    place.stays_away(TWO, "by-hand").await;

    let join = NetworkConnectRequest {
        container: container.clone(),
        endpoint_config: None,
    };
    engine.docker.connect_network(&network, join).await.unwrap();
    event(&mut events, TWO, "link healed").await;
    place.arrives(TWO, "by-hand").await;

    engine
        .docker
        .disconnect_network(&network, leave())
        .await
        .unwrap();
    event(&mut events, TWO, "link cut").await;
    place.write(ONE, "again").await;
    place.backend.heal().await.unwrap();
    place.arrives(TWO, "again").await;
    place.end().await;
}

/// Another controller of the same containers.
async fn attach(place: &Place) -> Arc<DockerCluster> {
    let (engine, name) = place.engine.as_ref().unwrap();
    let found = clusters(&engine.docker).await.unwrap();
    let found = found.iter().find(|it| it.name == *name).unwrap();
    let folder = place.folder.path().join("attached");
    DockerCluster::attach(engine, found, &folder, |_| None)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_attaches_undoes_what_a_controller_that_is_gone_has_done_and_ends_nothing() {
    let Some(place) = Place::docker().await else {
        return;
    };
    place.connected().await;
    let first = attach(&place).await;
    let slow = "2s".to_owned();
    first.set_link(ONE, Link::cut(), None).await.unwrap();
    let mut up = Link::default();
    up.up.cut = true;
    first.set_link(TWO, up, None).await.unwrap();
    place.write(TWO, &slow).await;
    place.stays_away(ONE, &slow).await;
    // As a SIGKILL would: nothing is healed.
    drop(first);

    let second = attach(&place).await;
    until("its faults are gone", async || {
        let members = second.members().await;
        members
            .iter()
            .all(|it| it.link.is_clear() && it.life == Life::Up)
    })
    .await;
    place.arrives(ONE, &slow).await;
    second.kill(ONE).await.unwrap();
    second.start(ONE).await.unwrap();
    second.suspend(RELAY).await.unwrap();
    second.shutdown().await.unwrap();
    let error = second.start(ONE).await.unwrap_err();
    assert!(error.reason.contains("shut down"), "{error}");
    until("everything runs on", async || {
        let members = place.backend.members().await;
        members.iter().all(|it| it.life == Life::Up)
    })
    .await;
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_controller_that_is_gone_has_left_in_a_frozen_process_ends_with_heal() {
    let Some(place) = Place::docker().await else {
        return;
    };
    place.connected().await;
    let first = attach(&place).await;
    until("it has seen them", async || {
        let members = first.members().await;
        members.iter().all(|it| it.life == Life::Up)
    })
    .await;
    first.set_clock(TWO, -300_000).await.unwrap();
    let mut up = Link::default();
    up.up.cut = true;
    first.set_link(TWO, up, None).await.unwrap();
    first.suspend(TWO).await.unwrap();
    drop(first);

    let second = attach(&place).await;
    second.heal().await.unwrap();
    // Nothing is mended later, by a controller that stays.
    drop(second);
    // By a clock that is behind, this would wait for five minutes.
    place.write(ONE, "from one").await;
    place.arrives(TWO, "from one").await;
    place.write(TWO, "from two").await;
    place.arrives(ONE, "from two").await;
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_somebody_else_has_is_refused_and_nothing_is_removed() {
    let Some((engine, image)) = engine().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = DockerConfig {
        nodes: 1,
        image: Some(image),
        ..DockerConfig::new(folder.path().to_owned()).on_its_own()
    };
    let network = format!("{}-network", config.name);
    let request = NetworkCreateRequest {
        name: network.clone(),
        ..NetworkCreateRequest::default()
    };
    engine.docker.create_network(request).await.unwrap();
    let error = DockerCluster::open(&engine, config.clone())
        .await
        .unwrap_err();
    assert!(error.reason.contains("somebody else"), "{error}");
    assert!(error.next_step.contains(&network), "{error}");
    assert_eq!(left(&engine, &config.name).await, [""; 0]);
    engine.docker.remove_network(&network).await.unwrap();
}
