//! Several relays, and gun.js peers that are relays themselves.

use serde_json::{Value, json};

use crate::gun;
use crate::program::Program;
use crate::puppet::{Kind, Puppet};

#[tokio::test]
async fn two_peered_relays_carry_writes_between_peers_of_either() {
    let Some(gun) = gun::find() else { return };
    let first = Program::start().await;
    let second = Program::with(&["--peers", &first.url()]).await;
    second
        .until_health(|health| health["links"][0]["loom"] == true)
        .await;
    let mut here = Puppet::linked(&gun, Kind::Bare, &first.url()).await;
    let mut there = Puppet::linked(&gun, Kind::Bare, &second.url()).await;
    let watched_here = here.on(json!(["both", null])).await;
    let watched_there = there.on(json!(["both", null])).await;
    for n in 0..10 {
        let (mine, theirs) = (format!("here{n}"), format!("there{n}"));
        here.put(&["both", &mine], json!(n)).await;
        there.put(&["both", &theirs], json!(n)).await;
        there.all_of(watched_there, &[(&mine, json!(n))]).await;
        here.all_of(watched_here, &[(&theirs, json!(n))]).await;
    }
    let mut late = Puppet::linked(&gun, Kind::Bare, &second.url()).await;
    let all = late.on(json!(["both"])).await;
    let whole = |event: &Value| event["data"].as_object().is_some_and(|all| all.len() == 20);
    late.event_of(all, "everything", whole).await;
}

#[tokio::test]
async fn server_builds_write_and_follow_with_axe_on_and_off() {
    let Some(gun) = gun::find() else { return };
    let relay = Program::start().await;
    for kind in [Kind::ServerAxe, Kind::ServerFlood] {
        let mut server = Puppet::linked(&gun, kind, &relay.url()).await;
        let mut client = Puppet::linked(&gun, Kind::Bare, &relay.url()).await;
        let soul = format!("served {kind:?}");
        let seen_by_server = server.on(json!([soul, "from client"])).await;
        let seen_by_client = client.on(json!([soul, "from server"])).await;
        for n in 0..10 {
            let seen = |event: &Value| event["data"] == n;
            client.put(&[&soul, "from client"], json!(n)).await;
            server
                .event_of(seen_by_server, "the client's write", seen)
                .await;
            // By now the relay has asked the server for the soul, which AXE takes for interest;
            // it sends writes to nobody else.
            server.put(&[&soul, "from server"], json!(n)).await;
            client
                .event_of(seen_by_client, "the server's write", seen)
                .await;
        }
    }
}

#[tokio::test]
async fn a_client_of_two_relays_carries_between_them() {
    let Some(gun) = gun::find() else { return };
    let first = Program::start().await;
    let second = Program::start().await;
    let mut bridge = Puppet::start(&gun, Kind::Bare, &[&first.url(), &second.url()]).await;
    bridge.links_up(2).await;
    let mut here = Puppet::linked(&gun, Kind::Bare, &first.url()).await;
    let mut there = Puppet::linked(&gun, Kind::Bare, &second.url()).await;
    let watched = there.on(json!(["bridged", "field"])).await;
    here.put(&["bridged", "field"], json!("over")).await;
    there
        .event_of(watched, "the write", |event| event["data"] == "over")
        .await;
    assert_eq!(there.once(&["bridged", "field"]).await, Some(json!("over")));
}
