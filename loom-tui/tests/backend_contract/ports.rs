//! What only a cluster on this machine has to promise: somebody else may want its ports.

use std::net::TcpListener;

use loom_tui::cluster::Member;

use crate::place::{ONE, Place, RELAY, TWO, event};

/// Takes the port of a dead member, as an unlucky other program would.
async fn take_port(place: &Place, member: Member) -> (TcpListener, String) {
    place.backend.kill(member).await.unwrap();
    let url = place.status(member).await.url;
    let stranger = TcpListener::bind(url.trim_start_matches("http://")).unwrap();
    (stranger, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_lost_while_its_member_was_dead_is_replaced_and_said() {
    let place = Place::local().await;
    place.connected().await;
    let mut events = place.backend.events();
    for member in [ONE, RELAY] {
        let (_stranger, url) = take_port(&place, member).await;
        place.backend.start(member).await.unwrap();
        assert!(
            event(&mut events, member, "was taken meanwhile")
                .await
                .unexpected
        );
        assert_ne!(place.status(member).await.url, url);
    }
    // Nodes find the relay where it is now.
    place.write(ONE, "found").await;
    place.arrives(TWO, "found").await;
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_that_want_the_same_ports_live_side_by_side() {
    let first = Place::local().await;
    let urls = |members: Vec<loom_tui::cluster::MemberStatus>| {
        let ports = members.into_iter().map(|status| status.url);
        ports.collect::<Vec<String>>()
    };
    let wanted = urls(first.backend.members().await);
    let second = Place::local_on(&wanted).await;
    let used = urls(second.backend.members().await);
    assert!(
        wanted.iter().all(|url| !used.contains(url)),
        "{wanted:?} {used:?}"
    );
    // The first one's members come back to their own ports with the second one running.
    first.backend.kill(ONE).await.unwrap();
    first.backend.start(ONE).await.unwrap();
    assert_eq!(urls(first.backend.members().await), wanted);
    first.end().await;
    second.end().await;
}
