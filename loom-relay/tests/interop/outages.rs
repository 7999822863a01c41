//! Clients that come late or were away, and a relay that was.

use std::time::Duration;

use serde_json::{Value, json};

use crate::gun;
use crate::program::Program;
use crate::puppet::{Kind, Puppet};

#[tokio::test]
async fn a_late_joiner_gets_everything() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    for n in 0..50 {
        writer
            .put(&["log", &n.to_string()], json!({ "n": n }))
            .await;
    }
    // Only the relay is left to tell.
    drop(writer);
    relay.until_health(|health| health["peers"] == 0).await;
    let mut late = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let all = late.on(json!(["log", null])).await;
    for n in 0..50 {
        late.all_of(all, &[(&n.to_string(), json!({ "n": n }))])
            .await;
    }
}

#[tokio::test]
async fn what_was_written_while_a_client_was_away_reaches_it_when_it_is_back() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let mut away = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    writer.put(&["soul", "n"], json!("before")).await;
    let field = away.on(json!(["soul", "n"])).await;
    let vertex = away.on(json!(["whole"])).await;
    away.event_of(field, "before", |event| event["data"] == "before")
        .await;
    away.drop_links().await;
    writer.put(&["soul", "n"], json!("meanwhile")).await;
    writer.put(&["whole", "n"], json!("meanwhile")).await;
    assert!(
        away.is_offline().await,
        "the outage was too short to tell anything"
    );
    away.event_of(field, "the field", |event| event["data"] == "meanwhile")
        .await;
    away.event_of(vertex, "the vertex", |event| {
        event["data"]["n"] == "meanwhile"
    })
    .await;
}

#[tokio::test]
async fn writes_go_on_through_a_reconnect_and_all_arrive() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let mut reader = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let own = writer.on(json!(["stream"])).await;
    writer.put(&["stream", "first"], json!(true)).await;
    writer
        .event_of(own, "its own write", |event| event["data"]["first"] == true)
        .await;
    let mut written = 0;
    writer.drop_links().await;
    // Some offline, some while the link comes up, some after.
    while writer.is_offline().await || written < 50 {
        let field = format!("n{written}");
        writer.start_put(&["stream", &field], json!(written)).await;
        written += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let fields = reader.on(json!(["stream", null])).await;
    for n in 0..written {
        reader.all_of(fields, &[(&format!("n{n}"), json!(n))]).await;
    }
}

#[tokio::test]
async fn a_write_made_offline_arrives_after_the_reconnect() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    for kind in [Kind::Bare, Kind::Page] {
        let mut writer = Puppet::linked(&gun, kind, &relay.url()).await;
        let mut watcher = Puppet::linked(&gun, kind, &relay.url()).await;
        let soul = format!("offline {kind:?}");
        writer.put(&[&soul, "n"], json!("online")).await;
        let own = writer.on(json!([soul])).await;
        writer
            .event_of(own, "its own write", |event| event["data"]["n"] == "online")
            .await;
        let watched = watcher.on(json!([soul, "n"])).await;
        watcher
            .event_of(watched, "online", |event| event["data"] == "online")
            .await;
        writer.drop_links().await;
        writer.start_put(&[&soul, "n"], json!("offline")).await;
        assert!(
            writer.is_offline().await,
            "{kind:?}: the outage was too short"
        );
        watcher
            .event_of(watched, "offline", |event| event["data"] == "offline")
            .await;
    }
}

#[tokio::test]
async fn a_field_written_offline_arrives_although_only_that_field_is_followed() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let mut watcher = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let own = writer.on(json!(["app", "title"])).await;
    writer.put(&["app", "title"], json!("online")).await;
    writer
        .event_of(own, "its own write", |event| event["data"] == "online")
        .await;
    let watched = watcher.on(json!(["app", "title"])).await;
    watcher
        .event_of(watched, "online", |event| event["data"] == "online")
        .await;
    writer.drop_links().await;
    writer.start_put(&["app", "title"], json!("offline")).await;
    assert!(
        writer.is_offline().await,
        "the outage was too short to tell anything"
    );
    watcher
        .event_of(watched, "offline", |event| event["data"] == "offline")
        .await;
}

#[tokio::test]
async fn a_client_that_follows_nothing_need_not_write_again_what_it_wrote_offline() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut sensor = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let mut watcher = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let watched = watcher.on(json!(["sensor", "celsius"])).await;
    sensor.put(&["sensor", "celsius"], json!(20)).await;
    for celsius in [21, 22] {
        sensor.drop_links().await;
        sensor
            .start_put(&["sensor", "celsius"], json!(celsius))
            .await;
        assert!(
            sensor.is_offline().await,
            "the outage was too short to tell anything"
        );
        watcher
            .event_of(watched, "a reading", |event| event["data"] == celsius)
            .await;
    }
}

#[tokio::test]
async fn what_an_offline_write_links_to_is_kept_by_the_relay() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    writer.put(&["person", "name"], json!("Ada")).await;
    let own = writer.on(json!(["person", "name"])).await;
    writer
        .event_of(own, "its own write", |event| event["data"] == "Ada")
        .await;
    // Nested puts ask first, which takes an answer: it must have had one while it was online.
    assert_eq!(writer.once(&["person", "home"]).await, None);
    writer.drop_links().await;
    let home = json!({ "city": "London", "at": { "x": 1 } });
    writer.start_put(&["person", "home"], home).await;
    assert!(
        writer.is_offline().await,
        "the outage was too short to tell anything"
    );
    relay.until_health(|health| health["souls"] == 3).await;
    drop(writer);
    relay.until_health(|health| health["peers"] == 0).await;
    let mut late = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    assert_eq!(
        late.once(&["person", "home", "at", "x"]).await,
        Some(json!(1))
    );
}

#[tokio::test]
async fn an_item_added_to_a_set_offline_is_kept_by_the_relay() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    writer.set(&["list"], json!({ "n": 1 })).await;
    let own = writer.on(json!(["list", null])).await;
    writer
        .event_of(own, "its own item", |event| event["data"]["n"] == 1)
        .await;
    writer.drop_links().await;
    writer.start_set(&["list"], json!({ "n": 2 })).await;
    assert!(
        writer.is_offline().await,
        "the outage was too short to tell anything"
    );
    writer.links_up(2).await;
    // The list with two links, and two items.
    relay
        .until_health(|health| health["souls"] == 3 && health["fields"] == 4)
        .await;
    drop(writer);
    relay.until_health(|health| health["peers"] == 0).await;
    let mut late = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let items = late.on(json!(["list", null])).await;
    for n in [1, 2] {
        let item = |event: &Value| event["data"]["n"] == n;
        late.event_of(items, "an item", item).await;
    }
}

#[tokio::test]
async fn a_killed_relay_is_back_within_a_second_with_what_it_had_and_its_clients() {
    let Some(gun) = gun::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let mut relay = Program::kept_in(home.path()).await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let mut watcher = Puppet::linked(&gun, Kind::Page, &relay.url()).await;
    for n in 0..200 {
        writer.put(&["kept", &format!("n{n}")], json!(n)).await;
    }
    let watched = watcher.on(json!(["kept", null])).await;
    watcher
        .all_of(watched, &[("n0", json!(0)), ("n199", json!(199))])
        .await;
    let away = relay.kill_and_restart().await;
    assert!(away < Duration::from_secs(1), "{away:?}");
    for peer in [&mut writer, &mut watcher] {
        peer.links_down(1).await;
        peer.links_up(2).await;
    }
    writer.put(&["kept", "after"], json!("the kill")).await;
    watcher
        .all_of(watched, &[("after", json!("the kill"))])
        .await;
    drop((writer, watcher));
    relay.until_health(|health| health["peers"] == 0).await;
    let mut late = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let kept = late.on(json!(["kept"])).await;
    let whole = |event: &Value| {
        let fields = event["data"].as_object().map_or(0, |fields| fields.len());
        fields == 201 && event["data"]["n7"] == 7 && event["data"]["after"] == "the kill"
    };
    late.event_of(kept, "all that was written", whole).await;
}
