//! Promises about processes: started, ended, frozen, wiped.

use loom_tui::cluster::{Life, Link, Member, Usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::place::{ONE, Place, QUIET, RELAY, SOON, TWO, event, until};

pub(crate) async fn members_are_listed_in_order_with_what_is_known(place: &Place) {
    let members = place.backend.members().await;
    let names: Vec<Member> = members.iter().map(|status| status.member).collect();
    assert_eq!(names, [RELAY, ONE, TWO]);
    for status in &members {
        assert_eq!(status.life, Life::Up);
        assert_eq!(status.generation, 1);
        assert_eq!(status.last_exit, None);
        assert!(status.link.is_clear());
        assert!(status.url.starts_with("http://127.0.0.1:"), "{status:?}");
        assert!(status.pid.is_some());
    }
    assert!(place.backend.traffic(ONE).await.is_some());
    assert!(place.backend.traffic(RELAY).await.is_none());
    let kind = if place.in_containers() {
        "docker"
    } else {
        "local"
    };
    assert_eq!(place.backend.kind(), kind);
}

pub(crate) async fn what_a_member_costs_is_known_while_it_runs(place: &Place) {
    let known = async |member| {
        let usage = place.status(member).await.usage;
        usage.cpu.is_some() && usage.memory.is_some_and(|bytes| bytes > 500_000)
    };
    for member in [RELAY, ONE] {
        until("what it costs is known", async || known(member).await).await;
    }
    place.backend.kill(ONE).await.unwrap();
    assert_eq!(place.status(ONE).await.usage, Usage::default());
    place.backend.start(ONE).await.unwrap();
    until("it is known again", async || known(ONE).await).await;
}

pub(crate) async fn start_returns_when_the_member_answers(place: &Place) {
    place.backend.kill(ONE).await.unwrap();
    place.backend.start(ONE).await.unwrap();
    assert!(place.client(ONE).await.health().await.is_ok());
    assert_eq!(place.status(ONE).await.life, Life::Up);
    // Starting a running one changes nothing.
    let before = place.status(ONE).await.pid;
    place.backend.start(ONE).await.unwrap();
    let after = place.status(ONE).await;
    assert_eq!((after.pid, after.generation), (before, 2));
}

pub(crate) async fn kill_is_a_power_cut_and_may_be_repeated(place: &Place) {
    let mut events = place.backend.events();
    place.backend.kill(ONE).await.unwrap();
    let status = place.status(ONE).await;
    assert_eq!(status.life, Life::Dead);
    assert_eq!(status.last_exit.as_deref(), Some("signal 9 (SIGKILL)"));
    assert_eq!(status.pid, None);
    assert!(!event(&mut events, ONE, "killed").await.unexpected);
    let address = status.url.trim_start_matches("http://").to_owned();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "it still listens"
    );
    place.backend.kill(ONE).await.unwrap();
    place.backend.stop(ONE).await.unwrap();
}

pub(crate) async fn stop_is_orderly_and_may_be_repeated(place: &Place) {
    for member in [ONE, RELAY] {
        place.backend.stop(member).await.unwrap();
        let status = place.status(member).await;
        assert_eq!(status.life, Life::Stopped);
        assert_eq!(status.last_exit.as_deref(), Some("exit status 0"));
        place.backend.stop(member).await.unwrap();
        place.backend.kill(member).await.unwrap();
    }
}

pub(crate) async fn a_restarted_member_keeps_its_address_and_its_data(place: &Place) {
    let before = place.status(ONE).await;
    // Cut off, so that nobody else can have it.
    place
        .backend
        .set_link(ONE, Link::cut(), None)
        .await
        .unwrap();
    place.write(ONE, "kept").await;
    for round in 1..=3 {
        if round == 2 {
            place.backend.stop(ONE).await.unwrap();
        } else {
            place.backend.kill(ONE).await.unwrap();
        }
        place.backend.start(ONE).await.unwrap();
        let after = place.status(ONE).await;
        assert_eq!(after.url, before.url);
        assert_eq!(after.generation, round + 1);
        assert_ne!(after.pid, before.pid);
        assert!(place.has(ONE, "kept").await, "lost in round {round}");
    }
}

pub(crate) async fn suspend_keeps_connections_open_and_silent(place: &Place) {
    let url = place.status(ONE).await.url;
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    place.backend.suspend(ONE).await.unwrap();
    assert_eq!(place.status(ONE).await.life, Life::Suspended);
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: node\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    let heard = timeout(QUIET, stream.read(&mut answer)).await;
    assert!(heard.is_err(), "a frozen member said {heard:?}");
    place.backend.suspend(ONE).await.unwrap();
    place.backend.resume(ONE).await.unwrap();
    assert_eq!(place.status(ONE).await.life, Life::Up);
    let heard = timeout(SOON, stream.read_exact(&mut answer)).await;
    heard.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

pub(crate) async fn a_suspended_member_can_be_killed_stopped_and_started(place: &Place) {
    place.backend.suspend(ONE).await.unwrap();
    place.backend.kill(ONE).await.unwrap();
    assert_eq!(place.status(ONE).await.life, Life::Dead);
    place.backend.start(ONE).await.unwrap();

    place.backend.suspend(ONE).await.unwrap();
    place.backend.stop(ONE).await.unwrap();
    let status = place.status(ONE).await;
    assert_eq!(status.life, Life::Stopped);
    assert_eq!(status.last_exit.as_deref(), Some("exit status 0"));
    place.backend.start(ONE).await.unwrap();

    let before = place.status(ONE).await.pid;
    place.backend.suspend(ONE).await.unwrap();
    place.backend.start(ONE).await.unwrap();
    assert!(place.client(ONE).await.health().await.is_ok());
    assert_eq!(
        place.status(ONE).await.pid,
        before,
        "it was thawed, not replaced"
    );
}

pub(crate) async fn resume_never_fails_and_suspend_needs_a_running_member(place: &Place) {
    place.backend.resume(ONE).await.unwrap();
    place.backend.kill(ONE).await.unwrap();
    place.backend.resume(ONE).await.unwrap();
    assert_eq!(place.status(ONE).await.life, Life::Dead);
    let error = place.backend.suspend(ONE).await.unwrap_err();
    assert_eq!(error.doing, "suspend node-1");
    assert_eq!(error.next_step, "start it first");
}

pub(crate) async fn wipe_needs_a_member_that_is_down_and_deletes_what_it_stored(place: &Place) {
    place
        .backend
        .set_link(ONE, Link::cut(), None)
        .await
        .unwrap();
    place.write(ONE, "doomed").await;
    let error = place.backend.wipe(ONE).await.unwrap_err();
    assert_eq!(error.reason, "it is running");
    place.backend.kill(ONE).await.unwrap();
    place.backend.wipe(ONE).await.unwrap();
    place
        .backend
        .wipe(ONE)
        .await
        .expect("once more is no error");
    place.backend.start(ONE).await.unwrap();
    assert!(!place.has(ONE, "doomed").await);
}

pub(crate) async fn an_end_nobody_asked_for_is_an_event_with_its_status(place: &Place) {
    let mut events = place.backend.events();
    assert!(place.client(ONE).await.shutdown().await.is_ok());
    let exited = event(&mut events, ONE, "exited").await;
    assert!(exited.unexpected);
    assert!(exited.what.contains("exit status 0"), "{}", exited.what);
    assert!(
        exited.what.contains("it printed last:\n"),
        "{}",
        exited.what
    );
    let status = place.status(ONE).await;
    assert_eq!(status.life, Life::Dead);
    assert_eq!(status.last_exit.as_deref(), Some("exit status 0"));
    place.backend.start(ONE).await.unwrap();
}

pub(crate) async fn logs_are_in_a_file_and_at_hand(place: &Place) {
    for member in [RELAY, ONE] {
        // One that has ended prints nothing more between two looks.
        place.backend.stop(member).await.unwrap();
        let tail = place.backend.log_tail(member, 100).await;
        assert!(!tail.is_empty(), "{member} printed nothing");
        assert_eq!(
            place.backend.log_tail(member, 1).await,
            tail[tail.len() - 1..]
        );
        let file = place.backend.log_file(member).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&tail[0]), "{} differs", file.display());
    }
}

pub(crate) async fn a_member_that_is_not_there_is_refused_by_name(place: &Place) {
    let nine = Member::Node(9);
    let backend = &place.backend;
    let refused = [
        backend.start(nine).await,
        backend.stop(nine).await,
        backend.kill(nine).await,
        backend.suspend(nine).await,
        backend.resume(nine).await,
        backend.wipe(nine).await,
        backend.set_link(nine, Link::cut(), None).await,
    ];
    for outcome in refused {
        let error = outcome.unwrap_err();
        assert!(error.doing.contains("node-9"), "{error}");
        assert!(error.reason.contains("2 nodes"), "{error}");
    }
    assert!(backend.log_tail(nine, 10).await.is_empty());
    assert!(backend.log_file(nine).is_none());
    assert!(backend.traffic(nine).await.is_none());
}

pub(crate) async fn nodes_find_a_relay_that_was_killed_and_started(place: &Place) {
    place.connected().await;
    place.backend.kill(RELAY).await.unwrap();
    place.write(ONE, "meanwhile").await;
    until("the proxy has refused the node's dial", async || {
        let traffic = place.backend.traffic(ONE).await.unwrap();
        traffic.refused > 0
    })
    .await;
    place.backend.start(RELAY).await.unwrap();
    place.arrives(TWO, "meanwhile").await;
    place.connected().await;
}
