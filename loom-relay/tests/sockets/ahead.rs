//! Links that are there before their machine.

use futures_util::{SinkExt as _, StreamExt as _};
use loom_relay::driver::{DriverConfig, DriverError};
use loom_relay::machine::Side;
use loom_relay::model::PeerId;
use loom_relay::store::StoreError;
use tokio::sync::mpsc::error::TryRecvError;
use tokio_tungstenite::tungstenite::Message;

use super::rig::{Client, Rig, Saw, connect, quick, within};

/// The next text a client hears; pings are answered meanwhile.
async fn text(client: &mut Client) -> String {
    within(async {
        loop {
            match client.next().await.unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await
}

/// Waits until the driver has counted what it must.
async fn until(is: impl Fn() -> bool) {
    within(async {
        while !is() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn heard(peer: u64, frame: &str) -> Saw {
    Saw::Heard(PeerId(peer), frame.to_owned().into())
}

#[tokio::test]
async fn links_are_greeted_at_once_and_what_they_say_waits_in_order_for_the_machine() {
    let (mut rig, come) = Rig::start_ahead(quick());
    let address = rig.serve().await;
    let stats = rig.hub.stats().clone();
    let mut stays = connect(address).await;
    assert_eq!(text(&mut stays).await, "{\"hello\":1}");
    stays.send(Message::text("one")).await.unwrap();
    until(|| stats.frames_heard.get() == 1).await;
    let mut goes = connect(address).await;
    assert_eq!(text(&mut goes).await, "{\"hello\":2}");
    goes.send(Message::text("two")).await.unwrap();
    goes.close(None).await.unwrap();
    until(|| stats.closed.get() == 1).await;
    // Whoever says nothing and leaves was never there.
    let mut silent = connect(address).await;
    assert_eq!(text(&mut silent).await, "{\"hello\":3}");
    silent.close(None).await.unwrap();
    until(|| stats.closed.get() == 2).await;
    stays.send(Message::text("three")).await.unwrap();
    until(|| stats.frames_heard.get() == 3).await;
    assert_eq!(rig.saw.try_recv(), Err(TryRecvError::Empty));

    come.send(Ok(())).unwrap();
    for wanted in [
        Saw::Up(PeerId(1), Side::Accepted),
        heard(1, "one"),
        Saw::Up(PeerId(2), Side::Accepted),
        heard(2, "two"),
        Saw::Down(PeerId(2)),
        heard(1, "three"),
    ] {
        assert_eq!(rig.next().await, wanted);
    }
    // From here on it is a driver like any other.
    stays.send(Message::text("four")).await.unwrap();
    assert_eq!(rig.next().await, heard(1, "four"));
    let links = rig.hub.links().await;
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].peer, PeerId(1));
}

#[tokio::test]
async fn what_there_is_no_room_for_is_not_read_and_not_lost() {
    const FRAMES: u64 = 1_000;
    let config = DriverConfig {
        inbox_len_max: 10,
        ..quick()
    };
    let (mut rig, come) = Rig::start_ahead(config);
    let mut client = connect(rig.serve().await).await;
    for nth in 0..FRAMES {
        client.feed(Message::text(nth.to_string())).await.unwrap();
    }
    client.flush().await.unwrap();
    // Its opening, nine frames, ten more in the inbox, and one that waits to get in.
    let stats = rig.hub.stats().clone();
    until(|| stats.frames_heard.get() == 20).await;
    // The link lives although nobody reads it: a peer that is made to wait is not silent.
    let patience = tokio::time::timeout(quick().ping_timeout * 3, async {
        until(|| stats.frames_heard.get() > 20 || stats.dead.get() > 0).await;
    });
    assert!(patience.await.is_err(), "{stats:?}");

    come.send(Ok(())).unwrap();
    assert_eq!(rig.next().await, Saw::Up(PeerId(1), Side::Accepted));
    for nth in 0..FRAMES {
        assert_eq!(rig.next().await, heard(1, &nth.to_string()));
    }
}

#[tokio::test]
async fn a_driver_that_is_stopped_does_not_wait_for_its_machine() {
    let (rig, _come) = Rig::start_ahead(quick());
    let mut client = connect(rig.serve().await).await;
    text(&mut client).await;
    within(rig.driver.shutdown()).await.unwrap();
    within(async { while let Some(Ok(_)) = client.next().await {} }).await;
}

#[tokio::test]
async fn a_machine_that_cannot_come_fails_the_driver_with_the_reason() {
    let (mut rig, come) = Rig::start_ahead(quick());
    let error = StoreError::new("reading the store", "it is garbled");
    come.send(Err(error)).unwrap();
    let failed = within(rig.driver.failed()).await;
    assert!(matches!(&failed, DriverError::Load(_)), "{failed:?}");
    assert_eq!(failed.to_string(), "reading the store: it is garbled");
}
