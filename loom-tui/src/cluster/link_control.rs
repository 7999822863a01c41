//! A link that is set from outside the process it belongs to: what a node in a container has.
//!
//! The local backend's proxies live in the controller. A container's cannot: its proxy runs in
//! the node's own process, in front of every relay it dials ([`dial_through`]), and is asked and
//! set over HTTP on a port of its own: `GET /link` and `PUT /link`. [`LinkClient`] is the other
//! end. A lease runs in the node, so that it ends also when the controller is gone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use loom_relay::driver::PeerUrl;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::proxy::{LinkProxy, Target};
use super::{Link, Traffic};

/// How long the other side may take to answer: it answers from memory.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How long a link that begins cut stays so by itself.
const HELD_FOR: Duration = Duration::from_secs(30);

/// What is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetLink {
    /// What the link is to look like, exactly.
    #[serde(default)]
    pub link: Link,
    /// After how many milliseconds it clears by itself; never if absent.
    #[serde(default)]
    pub lease_ms: Option<u64>,
    /// Also let go of the connections there are: their sockets cannot work any more.
    #[serde(default)]
    pub hang_up: bool,
}

/// What is answered, to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkState {
    /// What it looks like.
    pub link: Link,
    /// What it has carried since the process began.
    pub traffic: Traffic,
}

/// Puts a proxy in front of each peer, serves `control`, and returns what to dial instead.
///
/// With `held` the links begin cut, until they are set or [`HELD_FOR`] is over: whoever is to set
/// them cannot before the process is there.
///
/// # Errors
///
/// When `control` or a loopback port cannot be bound.
pub async fn dial_through(
    peers: &[PeerUrl],
    control: SocketAddr,
    held: bool,
) -> io::Result<Vec<PeerUrl>> {
    let mut links = Vec::with_capacity(peers.len());
    let mut instead = Vec::with_capacity(peers.len());
    for peer in peers {
        let proxy = LinkProxy::open(Target::Name(peer.address().to_owned())).await?;
        instead.push(peer.at(proxy.address()));
        links.push(proxy);
    }
    let listener = TcpListener::bind(control).await?;
    let desk = Arc::new(Desk {
        links,
        lease: watch::Sender::new(None),
    });
    if held {
        desk.set(SetLink {
            link: Link::cut(),
            lease_ms: u64::try_from(HELD_FOR.as_millis()).ok(),
            hang_up: false,
        });
    }
    tokio::spawn(Arc::clone(&desk).end_leases());
    let routes = Router::new()
        .route("/link", get(look).put(set))
        .with_state(desk);
    tokio::spawn(async move {
        // It ends with the process, as the node does.
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "the link of this node cannot be set any more");
        }
    });
    tracing::info!("the link to the relay is set at http://{control}/link");
    Ok(instead)
}

/// All links of one node: they are always alike.
struct Desk {
    links: Vec<LinkProxy>,
    lease: watch::Sender<Option<Instant>>,
}

impl Desk {
    fn state(&self) -> LinkState {
        let mut traffic = Traffic::default();
        for link in &self.links {
            traffic += link.traffic();
        }
        let link = self.links.first().map(LinkProxy::link);
        LinkState {
            link: link.unwrap_or_default(),
            traffic,
        }
    }

    fn set(&self, wanted: SetLink) {
        for link in &self.links {
            if wanted.hang_up {
                link.hang_up();
            }
            link.set(wanted.link);
        }
        let lease = wanted.lease_ms.map(Duration::from_millis);
        // A lease of centuries is none.
        let until = lease.and_then(|lease| Instant::now().checked_add(lease));
        self.lease.send_replace(until);
    }

    async fn end_leases(self: Arc<Self>) {
        let mut lease = self.lease.subscribe();
        loop {
            let until = *lease.borrow_and_update();
            let ended = async {
                match until {
                    Some(until) => sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = lease.changed() => if changed.is_err() { return },
                () = ended => {
                    tracing::info!("link healed: its lease ran out");
                    self.set(SetLink::default());
                }
            }
        }
    }
}

async fn look(State(desk): State<Arc<Desk>>) -> Json<LinkState> {
    Json(desk.state())
}

async fn set(State(desk): State<Arc<Desk>>, Json(wanted): Json<SetLink>) -> Json<LinkState> {
    desk.set(wanted);
    tracing::info!("link {}", wanted.link);
    Json(desk.state())
}

/// Asks and sets the link of a node somewhere else.
#[derive(Clone, Debug)]
pub struct LinkClient {
    http: reqwest::Client,
    url: String,
}

impl LinkClient {
    /// Of the node whose control is at `base`, such as `http://127.0.0.1:9000`.
    pub fn new(http: reqwest::Client, base: &str) -> Self {
        let url = format!("{}/link", base.trim_end_matches('/'));
        Self { http, url }
    }

    /// What the link looks like, and what it has carried.
    ///
    /// # Errors
    ///
    /// What went wrong on the way.
    pub async fn look(&self) -> Result<LinkState, reqwest::Error> {
        self.send(self.http.get(&self.url)).await
    }

    /// Makes the link look like this.
    ///
    /// # Errors
    ///
    /// What went wrong on the way; the link may have been set all the same.
    pub async fn set(&self, wanted: &SetLink) -> Result<LinkState, reqwest::Error> {
        self.send(self.http.put(&self.url).json(wanted)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<LinkState, reqwest::Error> {
        let answered = request.timeout(ANSWER_WITHIN).send().await?;
        answered.error_for_status()?.json().await
    }
}
