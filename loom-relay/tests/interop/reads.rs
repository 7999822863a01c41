//! What gun.js asks for and follows.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gun;
use crate::program::Program;
use crate::puppet::{Kind, Puppet};

#[tokio::test]
async fn once_of_what_nobody_has_returns_promptly() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut other = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    other.put(&["known", "field"], json!(1)).await;
    for kind in [Kind::Bare, Kind::Page, Kind::ServerAxe, Kind::ServerFlood] {
        let mut asker = Puppet::linked(&gun, kind, &relay.url()).await;
        let before = Instant::now();
        assert_eq!(asker.once(&["nothing"]).await, None, "{kind:?}");
        assert_eq!(asker.once(&["nothing", "at all"]).await, None, "{kind:?}");
        assert_eq!(asker.once(&["known", "unknown"]).await, None, "{kind:?}");
        // gun.js itself takes a tenth of a second to decide, each time.
        let took = before.elapsed();
        assert!(took < Duration::from_secs(3), "{kind:?}: {took:?}");
    }
}

#[tokio::test]
async fn what_only_another_client_has_is_found() {
    let Some(gun) = gun::find() else { return };
    let first = Program::start().await;
    let second = Program::start().await;
    // It holds what it wrote when it knew the other relay only.
    let mut holder = Puppet::start(&gun, Kind::Bare, &[&first.url()]).await;
    holder.links_up(1).await;
    holder.put(&["rare", "field"], json!("here")).await;
    holder.add_peer(&second.url()).await;
    holder.links_up(2).await;
    let mut asker = Puppet::linked(&gun, Kind::Bare, &second.url()).await;
    assert_eq!(asker.once(&["rare", "field"]).await, Some(json!("here")));
}

#[tokio::test]
async fn on_is_told_of_every_update_of_a_vertex_and_of_a_field() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    for kind in [Kind::Bare, Kind::Page, Kind::ServerAxe] {
        let mut watcher = Puppet::linked(&gun, kind, &relay.url()).await;
        let soul = format!("watched {kind:?}");
        let vertex = watcher.on(json!([soul])).await;
        let field = watcher.on(json!([soul, "n"])).await;
        for n in 0..20 {
            writer.put(&[&soul, "n"], json!(n)).await;
            let seen = |event: &Value| event["data"] == n;
            watcher.event_of(field, "the field", seen).await;
            let seen = |event: &Value| event["data"]["n"] == n;
            watcher.event_of(vertex, "the vertex", seen).await;
        }
    }
}

#[tokio::test]
async fn map_on_is_told_of_what_is_there_and_of_what_comes() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    writer
        .put(&["many"], json!({ "a": 1, "b": { "deep": 2 } }))
        .await;
    let mut watcher = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let all = watcher.on(json!(["many", null])).await;
    watcher
        .all_of(all, &[("a", json!(1)), ("b", json!({ "deep": 2 }))])
        .await;
    writer.put(&["many", "c"], json!("new")).await;
    writer.put(&["many", "a"], json!("changed")).await;
    writer.put(&["many", "b", "deep"], json!(3)).await;
    let comes = [
        ("c", json!("new")),
        ("a", json!("changed")),
        ("b", json!({ "deep": 3 })),
    ];
    watcher.all_of(all, &comes).await;
}

#[tokio::test]
async fn lexical_queries_find_what_they_ask_for() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let vertex = json!({ "a1": 1, "a2": 2, "b1": 3, "b2": 4, "c1": 5 });
    writer.put(&["lex"], vertex).await;
    let cases = [
        (json!({ ".": { "*": "a" } }), &["a1", "a2"][..]),
        (
            json!({ ".": { ">": "a2", "<": "b2" } }),
            &["a2", "b1", "b2"],
        ),
        (json!({ ".": { ">": "b2" } }), &["b2", "c1"]),
        (json!({ ".": { "<": "a2" } }), &["a1", "a2"]),
        (
            json!({ ".": { "*": "b", "-": 1 }, "%": 50_000 }),
            &["b1", "b2"],
        ),
    ];
    for (lex, wanted) in cases {
        // A fresh one each time, which holds nothing that it could answer itself with.
        let mut asker = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
        let found = asker.once_each(json!(["lex", lex, null])).await;
        for key in wanted {
            asker
                .event_of(found, key, |event| event["key"] == *key)
                .await;
        }
        let mut keys = asker.keys_of(found);
        keys.sort_unstable();
        assert_eq!(keys, wanted, "{lex}");
    }
}

#[tokio::test]
async fn patterns_for_souls_find_vertices_and_a_get_of_no_soul_finds_nothing() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    let mut writer = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    for soul in ["chat/1", "chat/2", "other"] {
        writer.put(&[soul, "m"], json!(soul)).await;
    }
    let mut asker = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
    let chats = asker
        .ask(json!({ "#": { "*": "chat/" }, "%": 50_000 }))
        .await;
    let answer = asker
        .event_of(chats, "an answer", |event| event["put"].is_object())
        .await;
    let souls: Vec<_> = answer["put"].as_object().unwrap().keys().collect();
    assert_eq!(souls, ["chat/1", "chat/2"]);
    // What the public API makes of a pattern for souls.
    let none = asker.ask(json!({ "*": "chat/" })).await;
    let answer = asker.event_of(none, "an answer", |_| true).await;
    assert!(answer["put"].is_null(), "{answer}");
}
