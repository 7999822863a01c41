//! Users who sign what they write, and somebody who writes in their name.

use serde_json::{Value, json};

use crate::gun;
use crate::program::Program;
use crate::puppet::{Kind, Puppet};

/// What a value of user space looks like to a gun.js that knows nothing of SEA.
fn signed(text: &Value) -> (Value, Value) {
    let parts: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    (parts[":"].clone(), parts["~"].clone())
}

#[tokio::test]
async fn users_sign_up_sign_in_and_read_each_other_through_a_relay_that_checks() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::with(&["--verify-sea"]).await;
    let mut ada = Puppet::linked(&gun, Kind::Signed, &relay.url()).await;
    let key = ada.sign_up("ada", "correct horse").await;
    ada.put(&["~", "name"], json!("Ada")).await;
    ada.put(
        &["~", "profile"],
        json!({ "city": "London", "at": { "x": 1.5 } }),
    )
    .await;
    let own = format!("~{key}");
    let mut friend = Puppet::linked(&gun, Kind::Signed, &relay.url()).await;
    let watched = friend.on(json!([own, "name"])).await;
    let is = |name: &'static str| move |event: &Value| event["data"] == name;
    friend.event_of(watched, "her name", is("Ada")).await;
    assert_eq!(
        friend.once(&[&own, "profile", "at", "x"]).await,
        Some(json!(1.5))
    );
    // Her account is known to nobody but the relay now.
    drop(ada);
    let mut elsewhere = Puppet::linked(&gun, Kind::Signed, &relay.url()).await;
    assert_eq!(elsewhere.sign_in("ada", "correct horse").await, key);
    elsewhere.put(&["~", "name"], json!("Ada L.")).await;
    friend.event_of(watched, "her new name", is("Ada L.")).await;
    elsewhere.put(&["~", "name"], Value::Null).await;
    let deleted = |event: &Value| event.get("data") == Some(&Value::Null);
    friend.event_of(watched, "the deletion", deleted).await;
    relay.until_health(|health| health["unverified"] == 0).await;
}

#[tokio::test]
async fn what_others_write_in_a_users_name_is_refused_and_nobody_sees_it() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::with(&["--verify-sea"]).await;
    let mut ada = Puppet::linked(&gun, Kind::Signed, &relay.url()).await;
    let own = format!("~{}", ada.sign_up("ada", "correct horse").await);
    ada.put(&["~", "name"], json!("Ada")).await;
    let mut mallory = Puppet::linked(&gun, Kind::Signed, &relay.url()).await;
    let hers = format!("~{}", mallory.sign_up("mallory", "battery staple").await);
    mallory.put(&["~", "name"], json!("Eve")).await;
    // Neither of these two checks anything itself.
    let mut watcher = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let mut forger = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let watched = watcher.on(json!([own, null])).await;
    let of = |name: &'static str| {
        move |event: &Value| event["key"] == "name" && signed(&event["data"]).0 == name
    };
    let genuine = watcher.event_of(watched, "her name", of("Ada")).await;
    let genuine = genuine["data"].clone();
    let by_mallory = forger.once(&[&hers, "name"]).await.unwrap();
    let (_, signature) = signed(&genuine);
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = now_ms.unwrap().as_millis() as f64;
    let tampered = json!(json!({ ":": "Eve", "~": signature }).to_string());
    let forgeries = [
        ("name", json!("Eve")),
        ("name", tampered),
        // Signed for another state, for another field, and by somebody else.
        ("name", genuine.clone()),
        ("nickname", genuine.clone()),
        ("name", by_mallory),
    ];
    for (field, value) in &forgeries {
        let call = forger.put_at(&[&own, field], value.clone(), now_ms).await;
        let why = forger.refused(call).await;
        assert!(why.contains(field) && why.contains("sign"), "{why}");
    }
    relay
        .until_health(|health| health["unverified"] == forgeries.len())
        .await;
    // Her own writes go on, and whoever comes late finds them.
    ada.put(&["~", "name"], json!("Ada L.")).await;
    watcher
        .event_of(watched, "her new name", of("Ada L."))
        .await;
    let names = watcher.data_of(watched, "name");
    let names: Vec<Value> = names.iter().map(|data| signed(data).0).collect();
    assert_eq!(names, ["Ada", "Ada L."]);
    assert!(!watcher.keys_of(watched).contains(&"nickname"));
    let mut late = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let found = late.once(&[&own, "name"]).await.unwrap();
    assert_eq!(signed(&found).0, "Ada L.");
    assert_eq!(late.once(&[&own, "nickname"]).await, None);
}

#[tokio::test]
async fn a_relay_that_does_not_check_carries_signed_data_as_it_is() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut ada = Puppet::linked(&gun, Kind::Signed, &relay.url()).await;
    let own = format!("~{}", ada.sign_up("ada", "correct horse").await);
    ada.put(&["~", "text"], json!("ü\u{1f600}\"\n")).await;
    let written = ada.graph_of(&own).await;
    drop(ada);
    relay.until_health(|health| health["peers"] == 0).await;
    let mut late = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    for field in ["alias", "auth", "epub", "pub", "text"] {
        let (value, state) = late.asked(&own, field).await;
        assert_eq!(value, written["data"][field], "{field}");
        assert_eq!(Some(state), written["states"][field].as_f64(), "{field}");
    }
    // Others' gun.js with SEA agree that it is hers.
    let mut friend = Puppet::linked(&gun, Kind::Signed, &relay.url()).await;
    let text = friend.once(&[&own, "text"]).await;
    assert_eq!(text, Some(json!("ü\u{1f600}\"\n")));
}
