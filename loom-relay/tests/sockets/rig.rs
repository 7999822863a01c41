//! A machine that tells the test everything it hears and says what the test tells it to, and the
//! smallest server around it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State, WebSocketUpgrade};
use axum::routing::any;
use bytes::Bytes;
use loom_relay::clock::{Mono, Now};
use loom_relay::driver::{self, Caller, Driver, DriverConfig, Hub};
use loom_relay::machine::{Commit, Effect, Input, Machine, Side};
use loom_relay::model::{Cell, Change, PeerId, Stamp, Value, Write};
use loom_relay::store::{Store, StoreError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// What a test asks of its machine.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Send a frame.
    Say(PeerId, Bytes),
    /// Close a link.
    Hangup(PeerId),
    /// Store one change; answered when it is committed.
    Write(oneshot::Sender<Commit>),
    /// Answered when this much time has passed on the machine's clock.
    Wake(Duration, oneshot::Sender<()>),
    /// Break an own promise.
    Panic,
}

/// What a machine saw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Saw {
    Up(PeerId, Side),
    Down(PeerId),
    Heard(PeerId, Bytes),
    Oversized(PeerId),
    Committed(Commit),
    Stalled(String),
    Resumed,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Puppet {
    saw: mpsc::UnboundedSender<Saw>,
    /// Whether each frame heard is stored.
    keeps: bool,
    last: Commit,
    writes: BTreeMap<Commit, oneshot::Sender<Commit>>,
    alarm: Option<(Mono, oneshot::Sender<()>)>,
}

impl Puppet {
    fn new(keeps: bool) -> (Self, mpsc::UnboundedReceiver<Saw>) {
        let (tell, saw) = mpsc::unbounded_channel();
        let puppet = Self {
            saw: tell,
            keeps,
            last: Commit::default(),
            writes: BTreeMap::new(),
            alarm: None,
        };
        (puppet, saw)
    }

    fn persist(&mut self, effects: &mut Vec<Effect>) -> Commit {
        self.last.0 += 1;
        let number = self.last.0;
        effects.push(Effect::Persist {
            commit: self.last,
            batch: vec![change(number)].into(),
        });
        self.last
    }
}

/// A change that belongs to commit `number`.
pub(crate) fn change(number: u64) -> Change {
    Change {
        write: Write {
            soul: "soul".into(),
            field: number.to_string().into(),
            cell: Cell {
                stamp: Stamp::new(number as f64).unwrap(),
                value: Value::null(),
            },
        },
        was: None,
        from: None,
    }
}

impl Machine for Puppet {
    type Command = Ask;

    fn handle(&mut self, input: Input<Ask>, now: Now, effects: &mut Vec<Effect>) {
        let saw = match input {
            Input::PeerUp { peer, side } => Saw::Up(peer, side),
            Input::PeerDown { peer } => Saw::Down(peer),
            Input::Heard { peer, frame } => {
                if self.keeps {
                    self.persist(effects);
                }
                Saw::Heard(peer, frame)
            }
            Input::Oversized { peer } => Saw::Oversized(peer),
            Input::Stalled(why) => Saw::Stalled(why.to_string()),
            Input::Resumed => Saw::Resumed,
            Input::Committed(commit) => {
                let later = self.writes.split_off(&Commit(commit.0 + 1));
                for (_, reply) in std::mem::replace(&mut self.writes, later) {
                    let _ = reply.send(commit);
                }
                Saw::Committed(commit)
            }
            Input::Command(ask) => {
                match ask {
                    Ask::Say(peer, frame) => effects.push(Effect::Send { peer, frame }),
                    Ask::Hangup(peer) => effects.push(Effect::Hangup {
                        peer,
                        reason: "the test said so",
                    }),
                    Ask::Write(reply) => {
                        let commit = self.persist(effects);
                        self.writes.insert(commit, reply);
                    }
                    Ask::Wake(after, reply) => self.alarm = Some((now.mono.after(after), reply)),
                    Ask::Panic => panic!("told to"),
                }
                return;
            }
            Input::Deadline => {
                if let Some((at, reply)) = self.alarm.take() {
                    assert!(now.mono >= at, "woken too early");
                    let _ = reply.send(());
                }
                return;
            }
        };
        let _ = self.saw.send(saw);
    }

    fn deadline(&self) -> Option<Mono> {
        self.alarm.as_ref().map(|(at, _)| *at)
    }
}

/// A running driver around a [`Puppet`], and what the puppet saw.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) hub: Hub<Ask>,
    pub(crate) driver: Driver,
    pub(crate) saw: mpsc::UnboundedReceiver<Saw>,
}

impl Rig {
    pub(crate) fn start(config: DriverConfig) -> Self {
        Self::start_with(config, None, false)
    }

    pub(crate) fn start_with(
        config: DriverConfig,
        store: Option<Box<dyn Store>>,
        keeps: bool,
    ) -> Self {
        let (puppet, saw) = Puppet::new(keeps);
        let (hub, driver) = driver::spawn(puppet, config, store);
        Self { hub, driver, saw }
    }

    /// One whose machine comes when the test says so, or says why it does not.
    pub(crate) fn start_ahead(
        config: DriverConfig,
    ) -> (Self, oneshot::Sender<Result<(), StoreError>>) {
        let (puppet, saw) = Puppet::new(false);
        let (say, said) = oneshot::channel();
        let coming = async {
            said.await.expect("the test says something")?;
            Ok((puppet, None))
        };
        let mut greeted = 0;
        let greet = move || {
            greeted += 1;
            format!("{{\"hello\":{greeted}}}").into()
        };
        let (hub, driver) = driver::spawn_ahead(config, greet, coming);
        (Self { hub, driver, saw }, say)
    }

    /// The next thing the machine saw.
    pub(crate) async fn next(&mut self) -> Saw {
        within(self.saw.recv()).await.expect("the machine is gone")
    }

    pub(crate) async fn next_up(&mut self) -> PeerId {
        match self.next().await {
            Saw::Up(peer, _) => peer,
            other => panic!("a link should have come up, not {other:?}"),
        }
    }

    /// Serves `/gun` on a free port until the test ends.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = self.hub.listen(listener, Duration::from_secs(30));
        let app = Router::new()
            .route("/gun", any(upgrade))
            .with_state(self.hub.clone())
            .into_make_service_with_connect_info::<Caller>();
        let serving = axum::serve(listener, app);
        tokio::spawn(async move { serving.await });
        address
    }
}

async fn upgrade(
    State(hub): State<Hub<Ask>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    hub.upgrade(caller, upgrade)
}

pub(crate) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn connect(address: SocketAddr) -> Client {
    let url = format!("ws://{address}/gun");
    within(tokio_tungstenite::connect_async(url))
        .await
        .unwrap()
        .0
}

/// Fails the test instead of hanging it.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("took longer than 20 s")
}

/// A configuration that finds dead links quickly.
pub(crate) fn quick() -> DriverConfig {
    DriverConfig {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_millis(500),
        dial_timeout: Duration::from_millis(300),
        ..DriverConfig::default()
    }
}
