//! Load and probe against a node that stalls: nothing it holds up may be missing from the figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use futures_util::StreamExt;
use loom_tui::client::Outcome;
use loom_tui::cluster::Member;
use loom_tui::probe::load::{LoadOp, Planner};
use loom_tui::probe::{
    Class, Clock, Load, Mix, Pace, Probe, ProbeOptions, ReadJob, Sent, Target, Until, WriteJob,
    Writes, load,
};
use loom_tui::stats::{Latencies, Quantile};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

const N1: Member = Member::Node(1);
const N2: Member = Member::Node(2);

/// Two nodes that share one graph and one feed; node-2 may be made to withhold events.
#[derive(Clone)]
struct Fake {
    events: broadcast::Sender<String>,
    stamps: Arc<AtomicU64>,
    /// Nothing is answered within this.
    stall: (Instant, Duration),
}

impl Fake {
    fn new(stall_after: Duration, stall: Duration) -> Self {
        Self {
            events: broadcast::Sender::new(10_000),
            stamps: Arc::new(AtomicU64::new(1)),
            stall: (Instant::now() + stall_after, stall),
        }
    }

    async fn create(State(fake): State<Self>, Json(body): Json<Value>) -> Response {
        let (from, length) = fake.stall;
        let now = Instant::now();
        if now >= from && now < from + length {
            tokio::time::sleep_until((from + length).into()).await;
        }
        let stamp = fake.stamps.fetch_add(1, Ordering::Relaxed);
        let id = &body["id"];
        let event = json!({
            "seq": stamp, "type": "node_created", "timestamp": 1, "nodeId": id, "state": stamp,
        });
        let _ = (fake.events).send(format!(
            "id: 1-{stamp}\nevent: node_created\ndata: {event}\n\n"
        ));
        let answer = json!({"success": true, "node": {"id": id, "state": stamp}});
        (StatusCode::CREATED, Json(answer)).into_response()
    }

    fn changes(fake: &Self, hides: &'static str) -> Response {
        let hello = "event: hello\ndata: {\"epoch\":\"1\",\"cursor\":\"1-0\"}\n\n".to_owned();
        let events = futures_util::stream::unfold(fake.events.subscribe(), async |mut events| {
            Some((events.recv().await.ok()?, events))
        });
        let events = events.filter(move |event| {
            let hidden = !hides.is_empty() && event.contains(hides);
            std::future::ready(!hidden)
        });
        let all = futures_util::stream::iter([hello]).chain(events);
        Body::from_stream(all.map(|text| Ok::<_, std::convert::Infallible>(Bytes::from(text))))
            .into_response()
    }

    async fn target(&self, member: Member, hides: &'static str) -> Target {
        let app = Router::new()
            .route("/nodes", post(Self::create))
            .route(
                "/changes",
                get(async move |State(fake): State<Self>| Self::changes(&fake, hides)),
            )
            .route("/canary", put(async || Json(json!({"success": true}))))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Target { member, url }
    }
}

fn plan(pace: Pace, until: Until) -> Load {
    Load {
        origins: vec![N1],
        pace,
        until,
        mix: Mix::default(),
        payload_bytes: 10,
        seed: 1,
        id_prefix: "x".to_owned(),
    }
}

async fn probe_of(fake: &Fake, hidden_from_2: &'static str) -> Probe {
    let targets = [
        fake.target(N1, "").await,
        fake.target(N2, hidden_from_2).await,
    ];
    let options = ProbeOptions {
        canary_every: None,
        ..ProbeOptions::default()
    };
    let probe = Probe::start(Clock::start(), &targets, &options).expect("two targets");
    while !probe.view().await.observers.iter().all(|o| o.feed_up) {
        tokio::task::yield_now().await;
    }
    probe
}

fn slower_than(latencies: &Latencies, bound: Duration) -> u64 {
    let histogram = latencies.histogram();
    histogram.len() - histogram.count_between(0, bound.as_micros() as u64)
}

#[tokio::test]
async fn a_stall_is_charged_to_every_write_it_held_up() {
    const STALL: Duration = Duration::from_secs(1);
    let fake = Fake::new(Duration::from_millis(700), STALL);
    let probe = probe_of(&fake, "").await;
    let mark = probe.mark().await;
    let plan = plan(Pace::Open { per_s: 100.0 }, Until::Count(250));
    let writes = Arc::new(probe.clone());
    let report = load::run(writes, probe.clock(), &plan, &CancellationToken::new()).await;
    assert_eq!(report.answers().acked, 250, "{:?}", report.complaints);
    let max = report.acks.max().unwrap();
    assert!(max > STALL * 8 / 10 && max < STALL * 2, "{max:?}");
    // A hundred were due during the stall; nine in ten of them waited a tenth of it or longer.
    let slow = slower_than(&report.acks, STALL / 10);
    assert!((70..=180).contains(&slow), "{slow} slow of 250");

    let within = Duration::from_secs(10);
    probe.await_quiet(&[], within).await.unwrap();
    let seen = probe.report(&mark).await.convergence(Class::User);
    assert_eq!((seen.count, seen.unseen), (250, 0));
    assert!(seen.p95.known().unwrap() > STALL * 5 / 10, "{seen:?}");
    assert!(seen.p50.known().unwrap() < STALL / 2, "{seen:?}");
}

#[tokio::test]
async fn a_closed_loop_shows_the_same_stall_once() {
    // Why there is an open loop: one client that waits for each answer hardly notices.
    let fake = Fake::new(Duration::from_millis(300), Duration::from_millis(500));
    let probe = probe_of(&fake, "").await;
    let until = Until::For(Duration::from_millis(1_200));
    let plan = plan(Pace::Closed { clients: 1 }, until);
    let writes = Arc::new(probe.clone());
    let report = load::run(writes, probe.clock(), &plan, &CancellationToken::new()).await;
    assert!(report.acks.len() > 100, "{}", report.acks.len());
    assert!(report.acks.max().unwrap() > Duration::from_millis(400));
    assert!(slower_than(&report.acks, Duration::from_millis(250)) < 5);
}

#[tokio::test]
async fn a_write_never_shown_is_reported_with_its_age_and_poisons_the_tail() {
    let fake = Fake::new(Duration::ZERO, Duration::ZERO);
    // Written in hexadecimal: the 7th, and 70th to 7fth; node-2 shows none of them.
    let probe = probe_of(&fake, "x-0-7").await;
    let mark = probe.mark().await;
    let plan = plan(Pace::Open { per_s: 500.0 }, Until::Count(200));
    let writes = Arc::new(probe.clone());
    load::run(writes, probe.clock(), &plan, &CancellationToken::new()).await;
    let on_one = probe.await_quiet(&[N1], Duration::from_secs(10)).await;
    on_one.unwrap();
    let patience = Duration::from_millis(300);
    let why = probe.await_quiet(&[], patience).await.unwrap_err();
    assert_eq!((why.in_flight, why.unseen, why.behind[&N2]), (0, 17, 17));
    assert!(why.oldest.unwrap() >= patience);
    assert_eq!(why.examples[0].to_string(), "nodes/x-0-7");
    assert!(why.to_string().contains("node-2 is behind by 17"), "{why}");

    let report = probe.report(&mark).await;
    assert_eq!(report.unseen.len(), 17);
    let seen = report.convergence(Class::User);
    assert_eq!((seen.count, seen.unseen), (183, 17));
    assert!(
        matches!(seen.p99, Quantile::AtLeast(age) if age >= patience),
        "{seen:?}"
    );
    assert!(seen.p50.known().is_some(), "{seen:?}");
    let later = probe.report(&mark).await.convergence(Class::User);
    assert!(later.oldest_unseen > seen.oldest_unseen, "it keeps ageing");
    let view = probe.view().await;
    assert_eq!(view.latency.unseen, 17);
    let two = view.observers.iter().find(|o| o.member == N2).unwrap();
    assert!(two.behind == 17 && two.lag >= Some(patience));
}

#[tokio::test]
async fn cancelling_a_load_tells_what_was_done() {
    let fake = Fake::new(Duration::ZERO, Duration::ZERO);
    let probe = probe_of(&fake, "").await;
    let cancel = CancellationToken::new();
    for pace in [Pace::Open { per_s: 200.0 }, Pace::Closed { clients: 3 }] {
        let plan = plan(pace, Until::For(Duration::from_secs(3_600)));
        let cancel = cancel.child_token();
        let stop = async {
            while probe.view().await.ops_per_s == 0.0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cancel.cancel();
        };
        let run = load::run(Arc::new(probe.clone()), probe.clock(), &plan, &cancel);
        let (report, ()) = tokio::join!(run, stop);
        assert!(report.answers().acked > 0);
    }
}

/// Takes longer than the pace and remembers what it was given.
#[derive(Default)]
struct Remember {
    jobs: std::sync::Mutex<Vec<WriteJob>>,
    reads: std::sync::Mutex<Vec<ReadJob>>,
    busy: std::sync::Mutex<std::collections::BTreeSet<usize>>,
}

#[async_trait::async_trait]
impl Writes for Remember {
    async fn write(&self, job: WriteJob) -> Sent {
        let sent = Sent {
            id: loom_tui::probe::WriteId(0),
            outcome: Outcome::Info("nobody there".to_owned()),
            done: job.intended,
        };
        let worker = job.worker;
        let idle = self.busy.lock().expect("no panics").insert(worker);
        assert!(idle, "worker {worker} does two things at a time");
        self.jobs.lock().expect("no panics").push(job);
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.busy.lock().expect("no panics").remove(&worker);
        sent
    }

    async fn read(&self, job: ReadJob) -> Outcome<()> {
        self.reads.lock().expect("no panics").push(job);
        Outcome::Ok(())
    }
}

#[tokio::test]
async fn an_open_loop_keeps_its_schedule_and_its_workers_do_one_thing_at_a_time() {
    let writes = Arc::new(Remember::default());
    let clock = Clock::start();
    let mut load = plan(Pace::Open { per_s: 1_000.0 }, Until::Count(300));
    load.origins = vec![N1, N2];
    let report = load::run(writes.clone(), clock, &load, &CancellationToken::new()).await;
    assert_eq!((report.sent(), report.answers().unknown), (300, 300));
    assert_eq!(
        report.unknown.len(),
        300,
        "unknown writes are part of the tail"
    );
    let mut jobs = writes.jobs.lock().unwrap();
    jobs.sort_by_key(|job| job.intended);
    let gaps = jobs.windows(2).map(|two| two[1].intended - two[0].intended);
    for gap in gaps {
        assert!(gap.abs_diff(Duration::from_millis(1)) < Duration::from_micros(2));
    }
    assert_eq!((jobs[0].origin, jobs[1].origin), (N1, N2));
    let workers: std::collections::BTreeSet<_> = jobs.iter().map(|job| job.worker).collect();
    assert!(workers.len() >= 10, "{}", workers.len());
}

#[tokio::test]
async fn reads_are_of_what_was_written_a_short_while_ago_and_count_apart() {
    let writes = Arc::new(Remember::default());
    let mut load = plan(Pace::Open { per_s: 10_000.0 }, Until::Count(1_000));
    load.origins = vec![N1, N2];
    load.mix = Mix {
        create: 2,
        update: 2,
        read: 4,
        ..Mix::default()
    };
    let report = load::run(
        writes.clone(),
        Clock::start(),
        &load,
        &CancellationToken::new(),
    )
    .await;
    let reads = writes.reads.lock().unwrap();
    assert_eq!(report.reads.acked, reads.len() as u64);
    assert_eq!(report.sent() + report.reads.acked, 1_000);
    assert!((400..600).contains(&reads.len()), "{}", reads.len());
    let jobs = writes.jobs.lock().unwrap();
    let made_at = |key| jobs.iter().find(|job| job.op.key().as_ref() == Some(key));
    let at_home = reads
        .iter()
        .filter(|read| made_at(&read.key).expect("it was written").origin == read.origin)
        .count();
    assert!(at_home > 100 && reads.len() - at_home > 100, "{at_home}");
}

#[test]
fn the_same_seed_makes_the_same_writes_whatever_is_answered() {
    let mut load = plan(Pace::Closed { clients: 1 }, Until::Count(1));
    load.mix = Mix {
        create: 5,
        update: 3,
        delete: 1,
        edge: 1,
        read: 0,
    };
    let make = |load: &Load, stream| {
        let mut planner = Planner::new(load, stream);
        let ops: Vec<_> = (0..2_000).map(|n| planner.next([N1, N2][n % 2])).collect();
        ops
    };
    assert_eq!(make(&load, 0), make(&load, 0));
    assert_ne!(make(&load, 0), make(&load, 1));
    let mut names = std::collections::BTreeMap::new();
    let mut created = std::collections::BTreeSet::new();
    for op in make(&load, 0) {
        let LoadOp::Write(op) = op else {
            panic!("no reads were asked for");
        };
        *names.entry(op.name()).or_insert(0) += 1;
        let key = op.key().unwrap();
        match op.name() {
            "create-node" => assert!(created.insert(key), "ids are never reused"),
            "delete-node" => assert!(created.remove(&key), "only what exists is deleted"),
            "put-node" => assert!(created.contains(&key), "only what exists is replaced"),
            _ => {}
        }
    }
    assert_eq!(names.len(), 4);
    assert!((900..1_150).contains(&names["create-node"]), "{names:?}");
    assert!((500..700).contains(&names["put-node"]), "{names:?}");
    load.seed = 2;
    assert_ne!(make(&load, 0), make(&plan(load.pace, load.until), 0));
}
