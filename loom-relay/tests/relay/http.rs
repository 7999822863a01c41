//! `loom_relay::serve` in this process: what each request is answered, and what survives it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use loom_relay::config::StoreConfig;
use loom_relay::driver::PeerUrl;
use loom_relay::store::Durability;
use loom_relay::{RelayConfig, ServeError, serve};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Error;

use super::client::{Client, within};

struct Relay {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Relay {
    async fn start(config: RelayConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, config, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop,
            serving,
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.serving).await.unwrap().unwrap();
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.address);
        within(reqwest::get(url)).await.unwrap()
    }

    /// What it says of itself once it has read its store.
    async fn health(&self) -> Value {
        within(async {
            loop {
                let health: Value = self.get("/health").await.json().await.unwrap();
                if health["status"] != "loading" {
                    return health;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Waits until `/health` is as it should be.
    async fn until(&self, is: impl Fn(&Value) -> bool) -> Value {
        within(async {
            loop {
                let health = self.health().await;
                if is(&health) {
                    return health;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

fn kept_in(directory: &Path) -> RelayConfig {
    RelayConfig {
        store: Some(StoreConfig {
            directory: directory.to_owned(),
            durability: Durability::Sync,
        }),
        ..RelayConfig::default()
    }
}

#[tokio::test]
async fn health_tells_the_graph_and_every_link() {
    let relay = Relay::start(RelayConfig::default()).await;
    let empty = relay.health().await;
    assert_eq!(empty["status"], "healthy");
    assert_eq!(empty["durability"], "memory");
    for (name, number) in [("peers", 0), ("souls", 0), ("fields", 0), ("deferred", 0)] {
        assert_eq!(empty[name], number, "{name}");
    }
    assert!(empty["uptime_s"].is_u64() && empty["pid"].is_string());

    let mut client = Client::connect(relay.address).await;
    client.put("1", "soul", "field", "value").await;
    client.put("2", "soul", "other", "value").await;
    client.answer_to("2").await;
    let health = relay.health().await;
    for (name, number) in [("peers", 1), ("souls", 1), ("fields", 2)] {
        assert_eq!(health[name], number, "{name}");
    }
    let link = &health["links"][0];
    assert_eq!(link["side"], "accepted");
    assert_eq!(link["pid"], Value::Null);
    assert_eq!(link["queued_bytes"], 0);
    assert!(
        link["up_s"].is_u64() && link["silent_ms"].is_u64(),
        "{link}"
    );
    assert!(link["far"].as_str().unwrap().starts_with("127.0.0.1:"));
    drop(client);
    relay.until(|health| health["peers"] == 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn metrics_are_well_formed_and_count() {
    let relay = Relay::start(RelayConfig::default()).await;
    let mut client = Client::connect(relay.address).await;
    client.put("1", "soul", "field", "value").await;
    client.answer_to("1").await;

    let answer = relay.get("/metrics").await;
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let page = answer.text().await.unwrap();
    let mut families = BTreeSet::new();
    let mut family = "";
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(families.insert(name), "{name} comes twice");
            assert!(!text.is_empty());
            family = name;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family);
            let is_counter = kind == "counter";
            assert!(is_counter || kind == "gauge", "{line}");
            assert_eq!(is_counter, name.ends_with("_total"), "{line}");
        } else {
            let (name, number) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next(), Some(family), "{line}");
            number.parse::<f64>().unwrap();
        }
    }
    for line in [
        "loom_relay_peers 1",
        "loom_relay_fields 1",
        "loom_relay_links_accepted_total 1",
        "loom_relay_mesh_puts_in_total 1",
        "loom_relay_links_ended_total{reason=\"overflow\"} 0",
    ] {
        assert!(page.lines().any(|it| it == line), "no {line:?} in\n{page}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn what_is_not_for_a_relay_is_answered_with_a_sentence() {
    let relay = Relay::start(RelayConfig::default()).await;
    for path in ["/", "/gun", "/anything/else"] {
        let answer = relay.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.text().await.unwrap();
        assert_eq!(text.trim_end(), "GUN Relay Server Running", "{path}");
    }
    let url = format!("http://{}/", relay.address);
    let answer = reqwest::Client::new().post(url).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    for path in ["/", "/Gun", "/gun/", "/health"] {
        let url = format!("ws://{}{path}", relay.address);
        let refused = within(tokio_tungstenite::connect_async(url)).await;
        let Err(Error::Http(answer)) = refused else {
            panic!("{path} should have been refused, not {refused:?}");
        };
        if path != "/health" {
            assert_eq!(answer.status(), 400, "{path}");
            let body = answer.into_body().unwrap();
            let sentence = String::from_utf8(body).unwrap();
            assert!(
                sentence.contains("/gun") && sentence.contains(path),
                "{sentence}"
            );
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_put_reaches_the_others_and_is_found_again_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let relay = Relay::start(kept_in(home.path())).await;
    let mut writer = Client::connect(relay.address).await;
    let mut reader = Client::connect(relay.address).await;
    relay.until(|health| health["peers"] == 2).await;
    writer.put("p1", "soul", "field", "kept").await;
    let ack = writer.answer_to("p1").await;
    assert!(ack["err"].is_null(), "{ack}");
    loop {
        let message = reader.next().await.unwrap();
        if message["#"] == "p1" {
            assert_eq!(message["put"]["soul"]["field"], "kept");
            break;
        }
    }
    assert_eq!(relay.health().await["durability"], "sync");
    let stopping = tokio::spawn(relay.stop());
    assert!(reader.sees_close().await, "websockets are closed, not cut");
    within(stopping).await.unwrap();

    let relay = Relay::start(kept_in(home.path())).await;
    let mut reader = Client::connect(relay.address).await;
    reader.get("g1", "soul").await;
    let answer = reader.answer_to("g1").await;
    assert_eq!(answer["put"]["soul"]["field"], "kept");
    relay.stop().await;
}

#[tokio::test]
async fn an_acknowledged_write_from_the_future_waits_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(kept_in(folder.path())).await;
    let mut client = Client::connect(relay.address).await;
    let due = 4_000_000_000_000;
    client.put_at("1", "soul", "field", "value", due).await;
    assert_eq!(client.answer_to("1").await["ok"], true);
    drop(client);
    relay.stop().await;

    let relay = Relay::start(kept_in(folder.path())).await;
    let health = relay.health().await;
    assert_eq!(
        (&health["fields"], &health["deferred"]),
        (&0.into(), &1.into())
    );
    assert_eq!(health["deferred_earliest"].as_f64(), Some(due as f64));
    let metrics = relay.get("/metrics").await.text().await.unwrap();
    assert!(
        metrics.contains("\nloom_relay_deferred_earliest_seconds 4000000000\n"),
        "{metrics}"
    );
    relay.stop().await;
}

#[tokio::test]
async fn relays_link_to_relays_and_share_what_they_hold() {
    let first = Relay::start(RelayConfig::default()).await;
    let mut writer = Client::connect(first.address).await;
    writer.put("1", "soul", "before", "the link").await;
    writer.answer_to("1").await;
    let url = format!("http://{}", first.address);
    let second = Relay::start(RelayConfig {
        peers: vec![PeerUrl::parse(&url).unwrap()],
        ..RelayConfig::default()
    })
    .await;
    second.until(|health| health["fields"] == 1).await;
    writer.put("2", "soul", "after", "the link").await;
    let health = second.until(|health| health["fields"] == 2).await;
    let link = &health["links"][0];
    assert_eq!(
        (&link["side"], &link["loom"]),
        (&"dialled".into(), &true.into()),
        "{link}"
    );
    assert_eq!(link["far"], format!("ws://{}/gun", first.address));
    assert_eq!(link["pid"], first.health().await["pid"]);
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn a_directory_in_use_ends_a_relay() {
    let home = tempfile::tempdir().unwrap();
    let relay = Relay::start(kept_in(home.path())).await;
    relay.health().await;
    let second = Relay::start(kept_in(home.path())).await;
    let error = within(second.serving)
        .await
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(error.contains("another process is using it"), "{error}");
    relay.stop().await;
}
