//! The program among hostile peers: whatever they send or leave unsaid it stays up, serves the
//! others, stays within a stated amount of memory, and counts what it refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

use super::client::{Client, within};
use super::process::{Program, command};
use super::soon::until;

/// What the relay may take while it is attacked, in bytes, in a build without optimisation. Two
/// frames of the largest size that is read and thrown away are 128 MiB.
const RESIDENT_MAX: f64 = 320e6;

/// A relay, and two peers that only want to talk to each other.
struct Besieged {
    program: Program,
    http: reqwest::Client,
    writer: Client,
    reader: Client,
    rounds: u32,
}

impl Besieged {
    async fn start(program: Program) -> Self {
        let writer = Client::connect(program.address).await;
        let reader = Client::connect(program.address).await;
        let besieged = Self {
            program,
            http: reqwest::Client::new(),
            writer,
            reader,
            rounds: 0,
        };
        besieged.metrics().await;
        besieged
    }

    /// A write is acknowledged, and found by somebody else.
    async fn round_trip(&mut self) {
        self.rounds += 1;
        let name = format!("round-{}", self.rounds);
        self.writer.put(&name, "peace", "field", &name).await;
        let ack = self.writer.answer_to(&name).await;
        assert!(ack["err"].is_null(), "{ack}");
        let question = format!("get-{name}");
        self.reader.get(&question, "peace").await;
        let answer = self.reader.answer_to(&question).await;
        assert_eq!(answer["put"]["peace"]["field"], *name);
    }

    async fn metrics(&self) -> BTreeMap<String, f64> {
        let url = format!("http://{}/metrics", self.program.address);
        let page = within(self.http.get(url).send()).await.unwrap();
        let page = within(page.text()).await.unwrap();
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| line.rsplit_once(' ').unwrap());
        let samples = samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
        samples.collect()
    }

    async fn metric(&self, name: &str) -> f64 {
        self.metrics().await[&format!("loom_relay_{name}")]
    }

    /// Waits until a count has come to what it must come to.
    async fn until_counted(&self, name: &str, least: f64) {
        until(name, async || {
            (self.metric(name).await >= least).then_some(())
        })
        .await;
    }

    /// Serves as before, in the memory it may take.
    async fn assert_well(&mut self, after: &str) {
        self.round_trip().await;
        let metrics = self.metrics().await;
        if let Some(resident) = metrics.get("process_resident_memory_bytes") {
            println!("{after}: {} MB resident", resident / 1e6);
            assert!(
                *resident < RESIDENT_MAX,
                "{after}: {resident} bytes resident"
            );
        }
    }
}

/// A peer with nothing good in mind; what it hears it ignores.
async fn attacker(besieged: &Besieged) -> Client {
    Client::connect(besieged.program.address).await
}

#[tokio::test]
async fn what_no_peer_should_send_is_counted_and_costs_nobody_else_anything() {
    let mut besieged = Besieged::start(Program::start(&[]).await).await;
    let deep = 200_000;
    let long = "x".repeat(5_000);
    for (what, frames, counted, by) in [
        (
            "malformed JSON",
            vec![
                "{".into(),
                r##"{"#":"x","get""##.into(),
                "{\"a\":tru}".into(),
            ],
            "mesh_frames_malformed_total",
            3.0,
        ),
        (
            "a truncated array",
            vec![r##"[{"#":"q1","get":{"#":"x"}}"##.into(), "[1,2".into()],
            "mesh_frames_malformed_total",
            2.0,
        ),
        (
            "text that is no message",
            vec![" {}".into(), "hello".into(), "5".into(), String::new()],
            "mesh_frames_malformed_total",
            4.0,
        ),
        (
            "more messages than a frame may have",
            vec![format!("[{}]", vec!["{}"; 5_000].join(","))],
            "mesh_frames_malformed_total",
            1.0,
        ),
        (
            "service and opt",
            vec![
                r##"{"#":"s1","dam":"service","service":"install"}"##.into(),
                r##"{"#":"s2","dam":"opt","opt":{"peers":"http://127.0.0.1:1/gun"}}"##.into(),
            ],
            "mesh_dam_unknown_total",
            2.0,
        ),
        (
            "wrong types",
            wrong_types(),
            "mesh_messages_refused_total",
            wrong_types().len() as f64,
        ),
        (
            "deep nesting where nothing is read",
            vec![
                format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
                format!(
                    "{{\"nts\":1,\"a\":{}1{}}}",
                    "{\"a\":".repeat(deep),
                    "}".repeat(deep)
                ),
            ],
            "mesh_frames_in_total",
            2.0,
        ),
        (
            "deep nesting in a value",
            vec![format!(
                r##"{{"#":"d","put":{{"s":{{"_":{{"#":"s",">":{{"f":1}}}},"f":{}{}}}}}}}"##,
                "[".repeat(deep),
                "]".repeat(deep)
            )],
            "mesh_messages_refused_total",
            1.0,
        ),
        (
            "deep nesting that does not end",
            vec!["[".repeat(deep), "{\"a\":".repeat(deep)],
            "mesh_frames_malformed_total",
            2.0,
        ),
        (
            "names that are too long",
            vec![
                format!(
                    r##"{{"#":"n","put":{{"{long}":{{"_":{{"#":"{long}",">":{{"f":1}}}},"f":1}}}}}}"##
                ),
                format!(r##"{{"#":"{long}","get":{{"#":"s"}}}}"##),
            ],
            "mesh_messages_refused_total",
            2.0,
        ),
    ] {
        let before = besieged.metric(counted).await;
        let mut attacker = attacker(&besieged).await;
        for frame in frames {
            attacker.say(Message::text(frame)).await.unwrap();
        }
        besieged.until_counted(counted, before + by).await;
        besieged.assert_well(what).await;
        // The attacker was not hung up on: a mistake is no reason.
        let question = format!("after {what}");
        attacker.get(&question, "peace").await;
        attacker.answer_to(&question).await;
    }
}

/// Every member of a message, and of what is in one, as something else.
fn wrong_types() -> Vec<String> {
    let mut frames = Vec::new();
    // Null is a member that is not there.
    for (nth, wrong) in ["true", "[]", "{}", "\"\"", "1e999"]
        .into_iter()
        .enumerate()
    {
        frames.push(format!(r##"{{"#":{wrong},"get":{{"#":"s"}}}}"##));
        frames.push(format!(r##"{{"#":"answer-{nth}","@":{wrong},"ok":true}}"##));
    }
    let mut number = 0;
    let mut say = |body: String| {
        number += 1;
        frames.push(format!(r##"{{"#":"wrong-{number}",{body}}}"##));
    };
    for wrong in ["5", "true", "\"x\"", "[]"] {
        say(format!(r##""put":{wrong}"##));
        say(format!(r##""get":{wrong}"##));
        say(format!(r##""put":{{"s":{wrong}}}"##));
        say(format!(r##""put":{{"s":{{"_":{wrong},"f":1}}}}"##));
        say(format!(
            r##""put":{{"s":{{"_":{{"#":"s",">":{wrong}}},"f":1}}}}"##
        ));
    }
    for wrong in ["null", "5", "true", "\"other\"", "[]", "{}"] {
        say(format!(
            r##""put":{{"s":{{"_":{{"#":{wrong},">":{{"f":1}}}},"f":1}}}}"##
        ));
    }
    for wrong in ["null", "true", "\"1\"", "[]", "{}", "1e999"] {
        say(format!(
            r##""put":{{"s":{{"_":{{"#":"s",">":{{"f":{wrong}}}}},"f":1}}}}"##
        ));
    }
    for wrong in [
        "[]",
        "{}",
        "{\"#\":1}",
        "{\"#\":\"\"}",
        "{\"#\":\"t\",\"x\":1}",
        "1e999",
    ] {
        say(format!(
            r##""put":{{"s":{{"_":{{"#":"s",">":{{"f":1}}}},"f":{wrong}}}}}"##
        ));
    }
    for wrong in ["5", "true", "[]"] {
        say(format!(r##""get":{{"#":{wrong}}}"##));
        say(format!(r##""get":{{"#":"s",".":{wrong}}}"##));
        say(format!(r##""get":{{"#":{{"*":{wrong}}}}}"##));
    }
    frames
}

#[tokio::test]
async fn frames_above_the_limit_are_thrown_away_and_far_above_it_end_the_link() {
    let mut besieged = Besieged::start(Program::start(&[]).await).await;
    // Above what is read, up to what is thrown away, above what is even that.
    for (mib, counted) in [
        (17, "mesh_frames_oversize_total"),
        (31, "frames_oversized_total"),
    ] {
        let before = besieged.metric(counted).await;
        let mut attacker = attacker(&besieged).await;
        let frame = format!("{{\"x\":\"{}\"}}", "x".repeat(mib << 20));
        attacker.say(Message::text(frame)).await.unwrap();
        let complaint = loop {
            let message = attacker.next().await.expect("the link stays");
            if message["dam"] == "!" {
                break message;
            }
        };
        assert_eq!(complaint["err"], "Message too big!");
        assert_eq!(besieged.metric(counted).await, before + 1.0);
        besieged.assert_well(&format!("{mib} MiB")).await;
    }
    // Only announced: what is to be refused need not be sent.
    let before = besieged.metric("frames_oversized_total").await;
    let (mut raw, _) = within(tokio_tungstenite::connect_async(format!(
        "ws://{}/gun",
        besieged.program.address
    )))
    .await
    .unwrap();
    let mut head = vec![0x81, 0xff];
    head.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    tokio::io::AsyncWriteExt::write_all(raw.get_mut(), &head)
        .await
        .unwrap();
    within(async { while let Some(Ok(_)) = raw.next().await {} }).await;
    besieged
        .until_counted("frames_oversized_total", before + 1.0)
        .await;
    besieged.assert_well("a terabyte, announced").await;
}

#[tokio::test]
async fn binary_frames_are_ignored_and_counted() {
    let mut besieged = Besieged::start(Program::start(&[]).await).await;
    let mut attacker = attacker(&besieged).await;
    let put = r##"{"#":"b","put":{"peace":{"_":{"#":"peace",">":{"field":9e15}},"field":"war"}}}"##;
    for _ in 0..100 {
        attacker.say(Message::binary(put)).await.unwrap();
    }
    besieged.until_counted("frames_binary_total", 100.0).await;
    besieged.assert_well("binary frames").await;
}

#[tokio::test]
async fn a_million_tiny_messages_in_batches_and_as_many_in_frames_of_their_own_cost_no_memory() {
    const MESSAGES: usize = 1_000_000;
    const PER_BATCH: usize = 4_000;
    let mut besieged = Besieged::start(Program::start(&[]).await).await;
    for per_frame in [PER_BATCH, 1] {
        let before = besieged.metric("mesh_messages_in_total").await;
        let mut attacker = attacker(&besieged).await;
        let started = Instant::now();
        let flooding = tokio::spawn(async move {
            for first in (0..MESSAGES).step_by(per_frame) {
                let messages = (first..first + per_frame)
                    .map(|nth| format!("{{\"#\":\"{per_frame}-{nth}\",\"dam\":\"x\"}}"));
                let messages: Vec<_> = messages.collect();
                attacker
                    .feed(format!("[{}]", messages.join(",")))
                    .await
                    .unwrap();
            }
            attacker.get("end", "nothing").await;
            while let Some(message) = attacker.next().await {
                if message["@"] == "end" {
                    break;
                }
            }
        });
        // The others are served meanwhile, not only afterwards.
        let mut slowest = Duration::ZERO;
        while !flooding.is_finished() {
            let asked = Instant::now();
            besieged.round_trip().await;
            slowest = slowest.max(asked.elapsed());
        }
        flooding.await.unwrap();
        println!(
            "{per_frame} per frame: {:?}, slowest round trip {slowest:?}",
            started.elapsed()
        );
        let counted = besieged.metric("mesh_messages_in_total").await - before;
        assert!(counted >= MESSAGES as f64, "{counted}");
        assert!(
            besieged
                .metric("mesh_queue_len{queue=\"remembered_ids\"}")
                .await
                <= 262_144.0
        );
        besieged.assert_well("a million messages").await;
    }
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_hung_up_on_and_the_others_hear_everything() {
    // Only its queue may end the link here.
    let flags = ["--queue-bytes", "4194304", "--ping-timeout", "600s"];
    let mut besieged = Besieged::start(Program::start(&flags).await).await;
    let ended = "links_ended_total{reason=\"overflow\"}";
    let deaf = attacker(&besieged).await;
    besieged.until_counted("peers", 3.0).await;
    let value = "v".repeat(100_000);
    let mut published = 0;
    while besieged.metric(ended).await < 1.0 {
        assert!(
            published < 5_000,
            "half a gigabyte was queued for a peer that reads nothing"
        );
        for _ in 0..10 {
            published += 1;
            let name = format!("large-{published}");
            besieged.writer.put(&name, "large", "field", &value).await;
            besieged.writer.answer_to(&name).await;
            loop {
                let message = besieged.reader.next().await.expect("it reads");
                if message["#"] == *name {
                    break;
                }
            }
        }
    }
    besieged.assert_well("a peer that hears nothing").await;
    drop(deaf);

    // It may also ask, for ever, for what it does not read.
    let mut deaf = attacker(&besieged).await;
    let asking = tokio::spawn(async move {
        let mut nth = 0_u64;
        loop {
            nth += 1;
            let get = format!("{{\"#\":\"deaf-{nth}\",\"nts\":1,\"get\":{{\"#\":\"large\"}}}}");
            if deaf.say(Message::text(get)).await.is_err() {
                return;
            }
        }
    });
    besieged.until_counted(ended, 2.0).await;
    within(asking).await.unwrap();
    besieged.assert_well("a peer that only asks").await;
}

/// Test processes may hold fewer descriptors than these tests need.
fn raise_own_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[tokio::test]
async fn a_thousand_connections_of_one_peer_are_bounded_and_the_silent_ones_end() {
    raise_own_descriptors();
    let flags = ["--max-connections", "300", "--ping-timeout", "3s"];
    let mut besieged = Besieged::start(Program::start(&flags).await).await;
    let address = besieged.program.address;
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(within(TcpStream::connect(address)).await.unwrap());
    }
    let (mut links, mut refused) = (Vec::new(), 0);
    for nth in 0..500 {
        if nth % 50 == 0 {
            besieged.round_trip().await;
        }
        let url = format!("ws://{address}/gun");
        match within(tokio_tungstenite::connect_async(url)).await {
            Ok((link, _)) => links.push(link),
            Err(_) => refused += 1,
        }
    }
    // 556 connections: these and the besieged have them all.
    assert!((40..=60).contains(&links.len()), "{}", links.len());
    let counted = besieged.metric("connections_refused_total").await;
    assert_eq!(counted, f64::from(refused));
    besieged.assert_well("a thousand connections").await;
    // Nobody reads from the links, so they answer no ping.
    let dead = "links_ended_total{reason=\"dead\"}";
    besieged.until_counted(dead, links.len() as f64).await;
    besieged.assert_well("silent links").await;

    // With the silent sockets gone there is room for links, up to their own bound.
    silent.clear();
    besieged
        .until_counted("connections_refused_total", counted)
        .await;
    links.clear();
    let mut told = 0;
    within(async {
        while told == 0 {
            let url = format!("ws://{address}/gun");
            match tokio_tungstenite::connect_async(url).await {
                Ok((link, _)) => links.push(link),
                Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                    assert_eq!(answer.status(), 503);
                    told += 1;
                }
                // The silent ones may not be gone yet.
                Err(_) => {}
            }
        }
    })
    .await;
    assert!(besieged.metric("links_refused_total").await >= 1.0);
    besieged.assert_well("as many links as allowed").await;
}

#[tokio::test]
async fn without_file_descriptors_it_waits_without_spinning_and_goes_on() {
    let mut shell = Command::new("sh");
    let relay = command(&[]);
    let program = relay.as_std().get_program();
    shell
        .args(["-c", "ulimit -n 64 && exec \"$0\" --port 0"])
        .arg(program)
        .env_clear()
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    let mut besieged = Besieged::start(Program::of(shell).await).await;
    let address = besieged.program.address;
    let mut silent = Vec::new();
    for _ in 0..150 {
        silent.push(within(TcpStream::connect(address)).await.unwrap());
    }
    within(async {
        while let Some(line) = besieged.program.log.next_line().await.unwrap() {
            if line.contains("cannot accept connections right now") {
                return;
            }
        }
        panic!("it ended");
    })
    .await;
    let before = cpu_ticks(&besieged);
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        besieged.round_trip().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if let (Some(before), Some(after)) = (before, cpu_ticks(&besieged)) {
        // Of 200 ticks in two seconds.
        assert!(after - before < 60, "{} ticks", after - before);
    }
    drop(silent);
    within(Client::connect(address)).await;
    assert!(besieged.metric("accept_failures_total").await >= 1.0);
    besieged.assert_well("no file descriptors").await;
}

/// Processor time used so far, in hundredths of a second; `None` where `/proc` does not tell.
fn cpu_ticks(besieged: &Besieged) -> Option<u64> {
    let id = besieged.program.child.id()?;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}
