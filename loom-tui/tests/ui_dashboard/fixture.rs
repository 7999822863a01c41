//! Snapshots that tell one consistent story, and some that no engine should ever publish.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use loom_tui::cluster::{Flow, Life, Link, Member, MemberStatus, Usage};
use loom_tui::snapshot::{
    EventLine, LATENCY_BINS, LagSeries, LatencyWindow, Level, Mark, MemberLog, MemberRow, Phase,
    ScenarioRow, ScenarioState, Snapshot, Verdict,
};
use loom_tui::ui::app::App;
use loom_tui::ui::update::{Msg, update};
use ratatui::layout::Size;

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The age of the engine in most stories: 12:41.
const NOW: Duration = s(761);

/// An app that has just received `snapshot`.
pub(crate) fn app(snapshot: Snapshot, width: u16, height: u16) -> App {
    let mut app = App::new(Size::new(width, height));
    update(&mut app, Msg::Snapshot(Arc::new(snapshot)));
    app
}

pub(crate) fn member(member: Member) -> MemberRow {
    let (number, port) = match member {
        Member::Relay => (0, 8765),
        Member::Node(number) => (u64::from(number), 3000 + u16::from(number)),
    };
    let node = member != Member::Relay;
    MemberRow {
        status: MemberStatus {
            member,
            life: Life::Up,
            url: format!("http://127.0.0.1:{port}"),
            pid: Some(41_200 + u32::from(port)),
            generation: 1,
            last_exit: None,
            link: Link::default(),
            usage: Usage {
                cpu: Some(4 + number as u32),
                memory: Some((14 + number) << 20),
            },
            clock_ms: 0,
        },
        connected: Some(true),
        fault_since: None,
        lag: node.then(|| ms(3 + number)),
        lag_growing: false,
        catch_up: None,
        behind: 0,
        rtt: Some(Duration::from_micros(280 + 70 * number)),
        p99: node.then(|| ms(24 + 3 * number)),
        spark: (0..60)
            .map(|i| node.then(|| ms(3 + (i * (number + 3)) % 11)))
            .collect(),
        records: node.then_some(8_412),
    }
}

/// A bell around 8 ms, with a second small one around `tail`.
fn bins(tail: usize) -> Vec<u64> {
    (0..LATENCY_BINS)
        .map(|i| {
            let near = |centre: usize, width: f64, height: f64| {
                let off = (i as f64 - centre as f64) / width;
                (height * (-off * off).exp()) as u64
            };
            near(18, 3.5, 420.0) + near(tail, 2.0, 22.0)
        })
        .collect()
}

fn lag_series(number: u8, fault: Option<(u64, u64)>, unknown: Option<(u64, u64)>) -> LagSeries {
    let from = NOW.as_secs() - 299;
    let value = |at: u64| {
        if unknown.is_some_and(|(a, b)| (a..b).contains(&at)) {
            return None;
        }
        match fault {
            Some((start, end)) if (start..end).contains(&at) => Some(s(at - start) + ms(9)),
            Some((_, end)) if (end..end + 3).contains(&at) => Some(ms(900 >> (at - end))),
            _ => Some(ms(4 + (at * u64::from(number) * 7) % 9)),
        }
    };
    LagSeries {
        member: Member::Node(number),
        points: (from..=NOW.as_secs())
            .map(|at| (s(at), value(at)))
            .collect(),
    }
}

fn event(at: Duration, level: Level, source: &str, text: &str) -> EventLine {
    EventLine {
        at,
        level,
        source: source.to_owned(),
        text: text.to_owned(),
    }
}

fn catalogue() -> Vec<ScenarioRow> {
    [
        ("basic-sync", "all nodes see a new record within 2 s"),
        (
            "concurrent-updates",
            "the same id updated on three nodes ends with one winner",
        ),
        (
            "cross-node-edges",
            "edges between nodes that were made elsewhere",
        ),
        ("high-volume", "many records from all nodes at once"),
        ("sync-latency", "p50 < 500 ms, p95 < 1 s, p99 < 2 s"),
        (
            "partition",
            "writes on both sides of a cut, heal, all arrive",
        ),
        (
            "chaos-kill",
            "SIGKILL a node, write elsewhere, restart, all arrive",
        ),
        ("throughput", "at least 50 operations a second"),
    ]
    .map(|(name, about)| ScenarioRow {
        name: name.to_owned(),
        about: about.to_owned(),
        state: ScenarioState::Never,
    })
    .into()
}

/// Nothing was ever broken.
pub(crate) fn healthy() -> Snapshot {
    Snapshot {
        at: NOW,
        backend: "local",
        phase: Phase::Ready,
        offers_local: false,
        members: [
            Member::Relay,
            Member::Node(1),
            Member::Node(2),
            Member::Node(3),
        ]
        .map(member)
        .into(),
        ops_per_s: 120.3,
        latency: LatencyWindow {
            span: s(60),
            count: 7_204,
            p50: Some(ms(8)),
            p95: Some(ms(19)),
            p99: Some(ms(31)),
            max: Some(ms(190)),
            bins: bins(24),
            above: 0,
            unseen: 0,
            oldest_unseen: None,
        },
        lag: vec![
            lag_series(1, None, None),
            lag_series(2, None, None),
            lag_series(3, None, None),
        ],
        marks: VecDeque::new(),
        scenarios: catalogue(),
        events: [
            event(
                ms(120),
                Level::Info,
                "rig",
                "relay listens on 127.0.0.1:8765",
            ),
            event(ms(480), Level::Info, "node-1", "up"),
            event(ms(510), Level::Info, "node-2", "up"),
            event(ms(530), Level::Info, "node-3", "up"),
        ]
        .into(),
        log: None,
    }
}

/// What node-2 prints around a cut, `times` over.
pub(crate) fn member_log(times: usize) -> Arc<MemberLog> {
    let told = [
        "2026-11-25T10:06:14.217030Z  INFO loom_node::run: listening address=127.0.0.1:3002",
        "2026-11-25T10:06:14.219214Z  INFO loom_relay::driver::dial: linked relay=ws://127.0.0.1:8765/gun",
        "2026-11-25T10:06:21.004113Z  WARN loom_relay::driver::dial: the link is lost reason=\"the peer was silent for 6 s\"",
        "2026-11-25T10:06:21.504910Z ERROR loom_node::run: nothing more to try",
    ];
    let lines = (0..times).flat_map(|_| told.map(str::to_owned));
    Arc::new(MemberLog {
        member: Member::Node(2),
        lines: lines.collect(),
        file: Some("/var/tmp/loom/node-2.log".into()),
    })
}

/// node-2 cut 42 s ago, node-3 suspended 12 s ago.
pub(crate) fn broken() -> Snapshot {
    let mut snapshot = healthy();
    let (cut_at, susp_at) = (NOW - s(42), NOW - s(12));
    let node = &mut snapshot.members[2];
    node.status.link = Link::cut();
    node.connected = Some(false);
    node.fault_since = Some(s(42));
    node.lag = Some(s(42));
    node.lag_growing = true;
    node.behind = 5_038;
    node.p99 = None;
    node.spark = (0..60)
        .map(|i: u64| Some(if i < 18 { ms(5) } else { s(i - 18) + ms(9) }))
        .collect();
    let node = &mut snapshot.members[3];
    node.status.life = Life::Suspended;
    node.connected = None;
    node.fault_since = Some(s(12));
    node.lag = Some(s(12));
    node.lag_growing = true;
    node.behind = 1_437;
    node.rtt = None;
    node.p99 = None;
    node.status.usage.cpu = Some(0);
    node.spark = (0..60).map(|i: u64| (i < 48).then(|| ms(6))).collect();
    snapshot.latency = LatencyWindow {
        count: 2_391,
        p95: Some(ms(44)),
        p99: Some(ms(312)),
        max: Some(ms(1_900)),
        bins: bins(33),
        unseen: 6_475,
        oldest_unseen: Some(s(42)),
        ..snapshot.latency
    };
    let (cut_s, susp_s) = (cut_at.as_secs(), susp_at.as_secs());
    snapshot.lag = vec![
        lag_series(1, None, None),
        lag_series(2, Some((cut_s, NOW.as_secs() + 1)), None),
        lag_series(
            3,
            Some((susp_s - 130, susp_s - 104)),
            Some((susp_s, NOW.as_secs() + 1)),
        ),
    ];
    let mark = |at: Duration, number: u8, letter: char| Mark {
        at,
        member: Some(Member::Node(number)),
        letter,
    };
    snapshot.marks = [
        mark(susp_at - s(130), 3, 'K'),
        mark(susp_at - s(104), 3, 'R'),
        mark(cut_at, 2, 'C'),
        mark(susp_at, 3, 'S'),
    ]
    .into();
    snapshot.events.extend([
        event(
            susp_at - s(130),
            Level::Info,
            "you",
            "killed node-3 (SIGKILL)",
        ),
        event(
            susp_at - s(129),
            Level::Warn,
            "node-3",
            "exited: signal 9 (SIGKILL)",
        ),
        event(susp_at - s(104), Level::Info, "you", "restarted node-3"),
        event(
            cut_at + ms(200),
            Level::Info,
            "you",
            "cut the link of node-2",
        ),
        event(cut_at + s(1), Level::Warn, "node-2", "lag above 1 s"),
        event(susp_at + ms(400), Level::Info, "you", "suspended node-3"),
        event(susp_at + s(1), Level::Warn, "node-3", "no answer for 1 s"),
    ]);
    snapshot
}

/// `partition` runs while node-1 is behind a slow link.
pub(crate) fn scenario() -> Snapshot {
    let mut snapshot = healthy();
    let slow = Flow {
        latency: ms(80),
        jitter: ms(10),
        ..Flow::default()
    };
    let node = &mut snapshot.members[1];
    node.status.link = Link {
        up: slow,
        down: slow,
    };
    node.fault_since = Some(s(70));
    node.lag = Some(ms(184));
    node.p99 = Some(ms(204));
    let node = &mut snapshot.members[3];
    node.status.link.down.cut = true;
    node.fault_since = Some(s(9));
    node.lag = Some(ms(9_200));
    node.lag_growing = true;
    node.behind = 214;
    let done = |verdict, took, note: &str| ScenarioState::Done {
        verdict,
        took,
        note: note.to_owned(),
    };
    let states = [
        done(Verdict::Pass, ms(840), "seen everywhere after 9 ms"),
        done(Verdict::Fail, s(31), "2 replicas differ at concurrent-7"),
        done(Verdict::Unknown, ms(2_310), "nothing was measured"),
        ScenarioState::Never,
        ScenarioState::Never,
        ScenarioState::Running {
            since: NOW - s(23),
            step: "write on both sides of the cut".to_owned(),
            steps: 3,
        },
        ScenarioState::Queued,
        ScenarioState::Queued,
    ];
    for (row, state) in snapshot.scenarios.iter_mut().zip(states) {
        row.state = state;
    }
    snapshot.events.extend([
        event(
            NOW - s(23),
            Level::Info,
            "scenario",
            "partition: cut node-3",
        ),
        event(
            NOW - s(9),
            Level::Info,
            "scenario",
            "partition: write on both sides of the cut",
        ),
        event(
            NOW - s(2),
            Level::Error,
            "node-1",
            "exited: panicked at 'index out of bounds'",
        ),
    ]);
    snapshot
}

/// The relay is being started.
pub(crate) fn starting() -> Snapshot {
    let mut snapshot = healthy();
    snapshot.at = ms(640);
    snapshot.phase = Phase::Starting("waiting for node-3 to answer /health".to_owned());
    snapshot.members[3].status.life = Life::Starting;
    snapshot.members[3].connected = None;
    snapshot
}

/// The rig gave up.
pub(crate) fn failed() -> Snapshot {
    let reason = "starting the relay: port 8765 is taken by another process and no free port was \
        found in 20 tries; end the other process (`ss -ltnp` shows it) or name a port with --port";
    let mut snapshot = Snapshot {
        at: s(3),
        backend: "local",
        phase: Phase::Failed(reason.to_owned()),
        ..Snapshot::default()
    };
    snapshot.events = [
        event(ms(20), Level::Info, "rig", "starting the relay"),
        event(
            s(3),
            Level::Error,
            "rig",
            "the relay did not answer within 3 s",
        ),
    ]
    .into();
    snapshot
}

/// Everything is as large, as long or as absent as its type allows.
pub(crate) fn hostile() -> Vec<Snapshot> {
    let long = "ノード\u{200d}\u{1b}[31m\t\n".repeat(30) + "x".repeat(300).as_str();
    let huge = || {
        let mut snapshot = broken();
        snapshot.at = Duration::MAX;
        snapshot.ops_per_s = f64::INFINITY;
        snapshot.latency = LatencyWindow {
            span: Duration::MAX,
            count: u64::MAX,
            p50: Some(Duration::MAX),
            p95: Some(Duration::MAX),
            p99: Some(Duration::MAX),
            max: Some(Duration::MAX),
            bins: vec![u64::MAX; LATENCY_BINS * 3],
            above: u64::MAX,
            unseen: u64::MAX,
            oldest_unseen: Some(Duration::MAX),
        };
        for row in &mut snapshot.members {
            row.lag = Some(Duration::MAX);
            row.behind = u64::MAX;
            row.status.usage.cpu = Some(u32::MAX);
            row.spark = (0..500).map(|_| Some(Duration::MAX)).collect();
            row.status.url = long.clone();
            row.status.last_exit = Some(long.clone());
            row.status.link.up.bandwidth = Some(u64::MAX);
            row.status.link.up.latency = Duration::MAX;
            row.fault_since = Some(Duration::MAX);
        }
        for row in &mut snapshot.scenarios {
            row.name.push_str(&long);
            row.about.clone_from(&long);
            row.state = ScenarioState::Running {
                since: Duration::MAX,
                step: long.clone(),
                steps: u32::MAX,
            };
        }
        for line in &mut snapshot.events {
            line.source.clone_from(&long);
            line.text.clone_from(&long);
        }
        snapshot.log = Some(Arc::new(MemberLog {
            member: Member::Node(2),
            lines: vec![long.clone(); 1_000],
            file: Some(long.clone().into()),
        }));
        snapshot.marks.extend((0..400).map(|i| Mark {
            at: s(i),
            member: None,
            letter: '\u{7}',
        }));
        snapshot
    };
    let many = || {
        let mut snapshot = broken();
        snapshot.members = (0..=40)
            .map(|n| {
                if n == 0 {
                    Member::Relay
                } else {
                    Member::Node(n)
                }
            })
            .map(member)
            .collect();
        for (i, row) in snapshot.members.iter_mut().enumerate() {
            row.status.life = [
                Life::Up,
                Life::Dead,
                Life::Suspended,
                Life::Stopped,
                Life::Starting,
            ][i % 5];
            row.status.link.up.cut = i % 3 == 0;
        }
        snapshot.lag = (1..=40).map(|n| lag_series(n, None, None)).collect();
        snapshot
    };
    let unknown = || {
        let mut snapshot = healthy();
        snapshot.latency = LatencyWindow::default();
        for row in &mut snapshot.members {
            row.connected = None;
            row.lag = None;
            row.rtt = None;
            row.p99 = None;
            row.records = None;
            row.status.usage.cpu = None;
            row.spark.clear();
            row.status.pid = None;
            row.status.usage.memory = None;
        }
        for series in &mut snapshot.lag {
            series.points.clear();
        }
        snapshot.scenarios.clear();
        snapshot.events.clear();
        snapshot
    };
    let failed_badly = || Snapshot {
        phase: Phase::Failed(long.clone()),
        ..huge()
    };
    let empty = || Snapshot {
        phase: Phase::Ready,
        ..Snapshot::default()
    };
    vec![
        Snapshot::default(),
        empty(),
        unknown(),
        many(),
        huge(),
        failed_badly(),
        starting(),
    ]
}
