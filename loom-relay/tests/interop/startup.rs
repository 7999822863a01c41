//! Clients of a relay that is back before it has read its store.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use loom_relay::graph::{Graph, Held};
use loom_relay::model::{Cell, Stamp, Value as Kept, Write};
use loom_relay::serve::serve_from;
use loom_relay::store::Reading;
use loom_relay::store::memory::MemoryStore;
use loom_relay::{RelayConfig, ServeError, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::soon::until;
use crate::gun;
use crate::program::metric;
use crate::puppet::{Kind, Puppet};

/// A relay in this process.
struct Relay {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Relay {
    async fn in_memory() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        Self {
            address,
            stop,
            serving: tokio::spawn(serve(listener, RelayConfig::default(), stopped)),
        }
    }

    /// One with a store that is being read until the sender says what was in it.
    async fn reading(address: SocketAddr) -> (Self, mpsc::Sender<Graph>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let (tell, read) = mpsc::channel();
        let open = move |reading: Arc<Reading>| {
            reading.one_more()?;
            let graph: Graph = read.recv().expect("the test says what there is");
            let store = Box::<MemoryStore>::default();
            Ok((Held::from(graph), Some(store as _)))
        };
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let serving = serve_from(open, listener, RelayConfig::default(), stopped);
        let relay = Self {
            address,
            stop,
            serving: tokio::spawn(serving),
        };
        (relay, tell)
    }

    fn url(&self) -> String {
        format!("http://{}/gun", self.address)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await;
        let answer = answer.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// `/health` once it is as wanted.
    async fn until_health(&self, wanted: impl Fn(&Value) -> bool) -> (u16, Value) {
        until("the relay is as wanted", async || {
            let (status, health) = self.get("/health").await;
            let health = serde_json::from_str(&health).unwrap();
            wanted(&health).then_some((status, health))
        })
        .await
    }

    /// Frames it has read so far.
    async fn heard(&self) -> u64 {
        let (_, metrics) = self.get("/metrics").await;
        metric(&metrics, "loom_relay_frames_heard_total") as u64
    }

    async fn until_heard(&self, frames: u64) -> u64 {
        until("links are read while the store is", async || {
            let heard = self.heard().await;
            (heard >= frames).then_some(heard)
        })
        .await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

fn write(field: &str, value: &str, ms: f64) -> Write {
    Write {
        soul: "kept".into(),
        field: field.into(),
        cell: Cell {
            stamp: Stamp::new(ms).unwrap(),
            value: Kept::text(value),
        },
    }
}

#[tokio::test]
async fn clients_are_back_before_the_store_is_read_and_nothing_is_decided_without_it() {
    let Some(gun) = gun::find() else { return };
    let relay = Relay::in_memory().await;
    let (url, address) = (relay.url(), relay.address);
    let mut client = Puppet::linked(&gun, Kind::Bare, &url).await;
    let mut page = Puppet::linked(&gun, Kind::Page, &url).await;
    relay.stop().await;
    let (relay, read) = Relay::reading(address).await;
    for peer in [&mut client, &mut page] {
        peer.links_down(1).await;
        peer.links_up(2).await;
    }
    let (status, health) = relay.until_health(|health| health["peers"] == 2).await;
    assert_eq!((status, &health["status"]), (503, &json!("loading")));
    assert_eq!(health["loaded"], 1);
    let (status, metrics) = relay.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("\nloom_relay_loading 1\n"), "{metrics}");

    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ms = now_ms.as_millis() as f64;
    // One of these is older than what the store has, the other newer; one asks for it.
    // Both have answered its greeting.
    let heard = relay.until_heard(2).await;
    let older = client
        .put_at(
            &["kept", "newer in store"],
            json!("client"),
            now_ms - 9_000.0,
        )
        .await;
    let heard = relay.until_heard(heard + 1).await;
    let newer = client
        .put_at(
            &["kept", "older in store"],
            json!("client"),
            now_ms - 1_000.0,
        )
        .await;
    let heard = relay.until_heard(heard + 1).await;
    let asked = page.on(json!(["kept", "only in store"])).await;
    let heard = relay.until_heard(heard + 1).await;
    page.start_put(&["kept", "new"], json!("page")).await;
    relay.until_heard(heard + 1).await;
    for call in [older, newer] {
        assert!(!client.has_called_back(call), "decided without the store");
    }

    let mut graph = Graph::default();
    for (field, ms) in [
        ("newer in store", now_ms - 5_000.0),
        ("older in store", now_ms - 5_000.0),
        ("only in store", now_ms - 5_000.0),
    ] {
        graph.load(write(field, "store", ms));
    }
    read.send(graph).unwrap();
    client.acked(older).await;
    client.acked(newer).await;
    page.event_of(asked, "what the store has", |event| {
        event["data"] == "store"
    })
    .await;
    let (status, health) = relay.until_health(|health| health["fields"] == 4).await;
    assert_eq!((status, &health["status"]), (200, &json!("healthy")));
    let mut late = Puppet::linked(&gun, Kind::Bare, &url).await;
    let kept = late.on(json!(["kept"])).await;
    let wanted = json!({
        "newer in store": "store",
        "older in store": "client",
        "only in store": "store",
        "new": "page",
    });
    late.event_of(kept, "what won", |event| event["data"] == wanted)
        .await;
    relay.stop().await;
}
