//! What is on the wire below the API: names, hashes.

use serde_json::{Value, json};

use crate::gun;
use crate::program::Program;
use crate::puppet::{Kind, Puppet};

#[tokio::test]
async fn both_sides_greet_and_the_relay_knows_its_client_by_the_name_it_gave_itself() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut client = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let name = client.pid().await;
    assert!(name.is_string(), "{name}");
    let known = |health: &Value| health["links"][0]["pid"] == name;
    relay.until_health(known).await;
    relay
        .until_health(|health| health["links"][0]["loom"] == false)
        .await;
}

#[tokio::test]
async fn answers_carry_the_hash_that_gun_computes_of_them() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let vertex =
        json!({ "text": "ü\u{1f600}\"\\\n", "n": 1e21, "tiny": 1e-7, "no": null, "b": true });
    writer.put(&["hashed"], vertex).await;
    writer.put(&["hashed", "link", "deep"], json!(1)).await;
    drop(writer);
    relay.until_health(|health| health["peers"] == 0).await;
    for get in [
        json!({ "#": "hashed" }),
        json!({ "#": "hashed", ".": "n" }),
        json!({ "#": "hashed/link" }),
    ] {
        // A fresh one each time, that has nothing to add.
        let mut asker = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
        let asked = asker.ask(get.clone()).await;
        let answer = asker
            .event_of(asked, "an answer", |event| event["put"].is_object())
            .await;
        assert!(answer["hash"].is_i64(), "{answer}");
        assert_eq!(answer["hash"], answer["ownHash"], "{get}: {answer}");
    }
}
