//! The feed client against scripted servers: it resumes, and where it cannot it says so and lists.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use loom_tui::client::feed::{Feed, FeedChange, FeedItem, FeedOptions};
use loom_tui::client::{NodeClient, http};
use tokio::net::TcpListener;

const WITHIN: Duration = Duration::from_secs(10);

/// How one connection to `/changes` goes.
#[derive(Clone, Debug)]
enum Act {
    /// Says these pieces, this far apart, then ends the stream.
    Say(Vec<Vec<u8>>, Duration),
    /// Says this and then nothing.
    SayAndHang(String),
    /// Refuses.
    Status(StatusCode),
}

/// The acts to come and how each connection was asked for.
#[derive(Debug, Default)]
struct Script {
    acts: VecDeque<Act>,
    asked: Vec<String>,
}

type Stage = Arc<Mutex<Script>>;

async fn changes(State(stage): State<Stage>, request: Request) -> Response {
    let act = {
        let mut script = stage.lock().expect("no test panics with the lock");
        let id = request.headers().get("last-event-id");
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or("-");
        let query = request.uri().query().unwrap_or("");
        let since_now = query.split('&').any(|pair| pair == "since=now");
        script.asked.push(format!("{id} now={since_now}"));
        script.acts.pop_front()
    };
    match act {
        Some(Act::Say(pieces, apart)) => {
            let stream = futures_util::stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(apart).await;
                Ok::<_, Infallible>(Bytes::from(piece))
            });
            Body::from_stream(stream).into_response()
        }
        Some(Act::SayAndHang(text)) => {
            let text = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from(text))]);
            Body::from_stream(text.chain(futures_util::stream::pending())).into_response()
        }
        Some(Act::Status(status)) => status.into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn nodes() -> &'static str {
    r#"{"success":true,"count":1,"nodes":[{"id":"held","type":"custom","state":5.5}],"next":null}"#
}

async fn edges() -> &'static str {
    r#"{"success":true,"count":0,"edges":[],"next":null}"#
}

struct Play {
    stage: Stage,
    feed: Feed,
}

impl Play {
    async fn of(acts: impl IntoIterator<Item = Act>, options: FeedOptions) -> Self {
        let stage = Stage::default();
        stage.lock().expect("fresh").acts.extend(acts);
        let app = Router::new()
            .route("/changes", get(changes))
            .route("/nodes", get(nodes))
            .route("/edges", get(edges))
            .with_state(Arc::clone(&stage));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = NodeClient::new(http().expect("HTTP"), &url);
        Self {
            stage,
            feed: Feed::new(client, options),
        }
    }

    /// The next items in short words, until `count` came.
    async fn told(&mut self, count: usize) -> Vec<String> {
        let mut told = Vec::new();
        while told.len() < count {
            let item = tokio::time::timeout(WITHIN, self.feed.next()).await;
            match item.unwrap_or_else(|_| panic!("only {told:?}")) {
                FeedItem::Open { epoch, resumed } => {
                    told.push(format!("open {epoch} resumed={resumed}"));
                }
                FeedItem::Changes { changes, .. } => {
                    for change in changes {
                        told.push(match change {
                            FeedChange::Record(record) => format!(
                                "{} {}",
                                record.key().expect("events name their record"),
                                record.state.expect("events carry a state").0
                            ),
                            FeedChange::Canary { origin, value } => format!("{origin}: {value}"),
                        });
                    }
                }
                FeedItem::Listed { vertices, .. } => {
                    told.push(format!("listed {}", vertices[0].record.id));
                }
                FeedItem::Lost { gap, .. } => told.push(format!("lost gap={gap}")),
            }
        }
        told
    }

    fn asked(&self) -> Vec<String> {
        self.stage
            .lock()
            .expect("no test panics with it")
            .asked
            .clone()
    }
}

fn hello(epoch: u32, seq: u32) -> String {
    format!(
        "retry: 250\nid: {epoch}-{seq}\nevent: hello\n\
         data: {{\"type\":\"hello\",\"epoch\":\"{epoch}\",\"cursor\":\"{epoch}-{seq}\"}}\n\n"
    )
}

fn created(epoch: u32, seq: u32) -> String {
    format!(
        "id: {epoch}-{seq}\nevent: node_created\ndata: {{\"seq\":{seq},\"type\":\"node_created\",\
         \"timestamp\":1,\"origin\":\"local\",\"nodeId\":\"v{seq}\",\"node\":{{\"ü\":\"😀\"}},\
         \"state\":{seq}.5}}\n\n"
    )
}

fn say(text: &[String]) -> Act {
    Act::Say(vec![text.concat().into_bytes()], Duration::ZERO)
}

#[tokio::test]
async fn it_resumes_behind_the_last_event_it_passed_on() {
    let acts = [
        say(&[hello(1, 5), created(1, 6), created(1, 7)]),
        Act::Status(StatusCode::SERVICE_UNAVAILABLE),
        say(&[hello(1, 7), created(1, 8)]),
    ];
    let mut play = Play::of(acts, FeedOptions::default()).await;
    assert_eq!(
        play.told(7).await,
        [
            "open 1 resumed=false",
            "nodes/v6 6.5",
            "nodes/v7 7.5",
            "lost gap=false",
            "lost gap=false",
            "open 1 resumed=true",
            "nodes/v8 8.5",
        ]
    );
    assert_eq!(
        play.asked(),
        ["- now=true", "1-7 now=false", "1-7 now=false"]
    );
}

#[tokio::test]
async fn it_resumes_from_the_greeting_when_nothing_else_was_heard() {
    let acts = [say(&[hello(1, 5)]), say(&[hello(1, 5), created(1, 6)])];
    let mut play = Play::of(acts, FeedOptions::default()).await;
    play.told(4).await;
    assert_eq!(play.asked(), ["- now=true", "1-5 now=false"]);
}

#[tokio::test]
async fn what_cannot_be_resumed_is_a_gap_that_a_list_fills() {
    let acts = [
        say(&[hello(1, 5), created(1, 6)]),
        Act::Status(StatusCode::GONE),
        say(&[hello(2, 0), created(2, 1)]),
    ];
    let mut play = Play::of(acts, FeedOptions::default()).await;
    let told = play.told(7).await;
    assert_eq!(
        told[..4],
        [
            "open 1 resumed=false",
            "nodes/v6 6.5",
            "lost gap=false",
            "lost gap=true",
        ]
    );
    // The list may be fetched before or after changes that arrived meanwhile; both must come.
    let mut rest = told[4..].to_vec();
    rest.sort();
    assert_eq!(
        rest,
        ["listed held", "nodes/v1 1.5", "open 2 resumed=false"]
    );
    assert_eq!(play.asked(), ["- now=true", "1-6 now=false", "- now=true"]);
}

#[tokio::test]
async fn a_reset_is_a_gap_that_a_list_fills() {
    let reset = "event: reset\ndata: {\"type\":\"reset\",\"cursor\":\"1-900\"}\n\n".to_owned();
    let acts = [
        say(&[hello(1, 5), created(1, 6), reset]),
        Act::SayAndHang(hello(1, 900)),
    ];
    let mut play = Play::of(acts, FeedOptions::default()).await;
    assert_eq!(
        play.told(5).await,
        [
            "open 1 resumed=false",
            "nodes/v6 6.5",
            "lost gap=true",
            "open 1 resumed=false",
            "listed held",
        ]
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_a_gap_and_never_skipped() {
    let nonsense = "id: 1-6\nevent: node_created\ndata: {\"type\":\n\n".to_owned();
    let giant = format!("data: {}\n\n", "x".repeat(5_000));
    for bad in [nonsense, giant] {
        let acts = [
            say(&[hello(1, 5), bad, created(1, 7)]),
            Act::SayAndHang(hello(1, 7)),
        ];
        let options = FeedOptions {
            line_len_max: 4_000,
            ..FeedOptions::default()
        };
        let mut play = Play::of(acts, options).await;
        assert_eq!(
            play.told(4).await,
            [
                "open 1 resumed=false",
                "lost gap=true",
                "open 1 resumed=false",
                "listed held",
            ]
        );
    }
}

#[tokio::test]
async fn heartbeats_keep_a_quiet_feed_and_silence_ends_it() {
    let beats = std::iter::once(hello(1, 5))
        .chain(std::iter::repeat_n(": heartbeat\n\n".to_owned(), 12))
        .chain([created(1, 6)]);
    let acts = [
        Act::Say(
            beats.map(String::into_bytes).collect(),
            Duration::from_millis(100),
        ),
        Act::SayAndHang(hello(1, 6)),
        Act::SayAndHang(hello(1, 6)),
    ];
    let options = FeedOptions {
        silence: Duration::from_millis(600),
        ..FeedOptions::default()
    };
    let mut play = Play::of(acts, options).await;
    assert_eq!(
        play.told(6).await,
        [
            "open 1 resumed=false",
            "nodes/v6 6.5",
            "lost gap=false",
            "open 1 resumed=true",
            "lost gap=false",
            "open 1 resumed=true",
        ]
    );
}

#[tokio::test]
async fn events_may_be_split_anywhere() {
    let text = [hello(1, 5), created(1, 6), created(1, 7)].concat();
    // One byte at a time splits characters of several bytes.
    let bytes = text.bytes().map(|byte| vec![byte]).collect();
    let acts = [Act::Say(bytes, Duration::from_micros(10))];
    let mut play = Play::of(acts, FeedOptions::default()).await;
    assert_eq!(
        play.told(3).await,
        ["open 1 resumed=false", "nodes/v6 6.5", "nodes/v7 7.5"]
    );
}

#[tokio::test]
async fn dropping_the_wait_loses_nothing() {
    let pieces = (6..60).map(|seq| created(1, seq).into_bytes());
    let pieces = std::iter::once(hello(1, 5).into_bytes()).chain(pieces);
    let acts = [Act::Say(pieces.collect(), Duration::from_millis(3))];
    let mut play = Play::of(acts, FeedOptions::default()).await;
    let mut seqs = Vec::new();
    while seqs.len() < 54 {
        // Far shorter than it takes: most waits are dropped.
        let waited = tokio::time::timeout(Duration::from_millis(1), play.feed.next()).await;
        if let Ok(FeedItem::Changes { changes, .. }) = waited {
            seqs.extend(changes.iter().map(|change| match change {
                FeedChange::Record(record) => record.state.unwrap().0,
                FeedChange::Canary { .. } => panic!("no canaries here"),
            }));
        }
    }
    let expected: Vec<_> = (6..60).map(|seq| f64::from(seq) + 0.5).collect();
    assert_eq!(seqs, expected);
}

#[tokio::test]
async fn it_waits_for_a_node_that_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = NodeClient::new(http().unwrap(), &format!("http://{address}"));
    let mut feed = Feed::new(client, FeedOptions::default());
    assert!(matches!(
        feed.next().await,
        FeedItem::Lost { gap: false, .. }
    ));
    let stage = Stage::default();
    let act = Act::SayAndHang(hello(1, 0));
    stage.lock().unwrap().acts.push_back(act);
    let app = Router::new()
        .route("/changes", get(changes))
        .with_state(stage);
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let opened = async { while !matches!(feed.next().await, FeedItem::Open { .. }) {} };
    tokio::time::timeout(WITHIN, opened).await.unwrap();
}
