//! Bytes that are no request, or only half of one, connections without any, and a relay that is no
//! friend.

use futures_util::{SinkExt as _, StreamExt as _};
use loom_node::NodeConfig;
use loom_relay::driver::PeerUrl;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::soon::until;
use crate::support::{Node, SOON, address};

/// Sends bytes as they are; gives back the answer.
async fn raw(node: &Node, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address(&node.url)).await.unwrap();
    // The node may hang up before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    // Refusals of the HTTP library have no body and end the connection; ours end with an object.
    while !answer.ends_with(b"}") {
        let read = tokio::time::timeout(SOON, stream.read(&mut chunk)).await;
        match read.expect("an answer soon") {
            Ok(0) | Err(_) => break,
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn nonsense_is_refused_and_the_node_goes_on() {
    let node = Node::alone().await;
    let head = "POST /nodes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    for (bytes, wanted) in [
        (b"\x00\x01\x02\r\n\r\n".to_vec(), "400"),
        (
            format!("{head}Content-Length: -1\r\n\r\n{{}}").into_bytes(),
            "400",
        ),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
            "400",
        ),
        (
            format!("{head}Content-Length: 2\r\nIf-None-Match: \x7f\r\n\r\n{{}}").into_bytes(),
            "400",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)).into_bytes(),
            "4",
        ),
        (
            [
                head.as_bytes(),
                b"Content-Length: 11\r\n\r\n{\"id\":\"\xff\xfe\"}",
            ]
            .concat(),
            "400",
        ),
    ] {
        let answer = raw(&node, &bytes).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {wanted}")),
            "{answer}"
        );
    }
    assert_eq!(node.get("/nodes").await["count"], 0);
    node.stop().await;
}

#[tokio::test]
async fn half_a_body_creates_nothing_and_does_not_keep_the_node_from_ending() {
    let node = Node::alone().await;
    let head = "POST /nodes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"id\":\"a\"";
    let mut stream = TcpStream::connect(address(&node.url)).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(node.get("/nodes").await["count"], 0);
    tokio::time::timeout(SOON, node.stop())
        .await
        .expect("ends soon");
}

#[tokio::test]
async fn a_client_that_announces_too_much_hears_so_before_it_sends_it() {
    let node = Node::alone().await;
    let head = "POST /nodes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900000000\r\nExpect: 100-continue\r\n\r\n";
    let answer = raw(&node, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");
    node.stop().await;
}

/// Waits until a count has come to what it must come to.
async fn until_counted(node: &Node, name: &str, least: f64) {
    until(name, async || {
        let page = node.request(Method::GET, "/metrics").send().await.unwrap();
        let page = page.text().await.unwrap();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("loom_node_{name} ")));
        (line.unwrap().parse::<f64>().unwrap() >= least).then_some(())
    })
    .await;
}

/// A node, and the relay it has dialled, for the test to speak as.
async fn linked() -> (Node, WebSocketStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/gun", listener.local_addr().unwrap());
    let mut config = NodeConfig::new("node-1");
    config.peers = vec![PeerUrl::parse(&url).unwrap()];
    let node = Node::start(config).await;
    let (stream, _) = listener.accept().await.unwrap();
    let relay = tokio_tungstenite::accept_async(stream).await.unwrap();
    (node, relay)
}

#[tokio::test]
async fn a_hostile_relay_is_counted_and_the_node_serves_on() {
    let (node, mut relay) = linked().await;
    let deep = 200_000;
    let mut said = 0;
    for (counted, frames) in [
        (
            "mesh_frames_malformed_total",
            vec![
                r##"[{"#":"q1","get":{"#":"x"}}"##.to_owned(),
                "{".to_owned(),
                " {}".to_owned(),
                "[".repeat(deep),
            ],
        ),
        (
            "mesh_dam_unknown_total",
            vec![
                r##"{"#":"a","dam":"service","service":"install"}"##.to_owned(),
                r##"{"#":"b","dam":"mob","mob":1,"peers":{"http://127.0.0.1:1":{}}}"##.to_owned(),
                // As a Loom peer, answers that nobody asked for.
                r##"{"#":"c","@":"x","dam":"?","pid":"p","loom":{"v":1,"sync":2}}"##.to_owned(),
                r##"{"#":"d","@":"x","dam":"loom","root":"00","count":9}"##.to_owned(),
                r##"{"#":"e","@":"x","dam":"loom","loom":{"diff":"YQ"}}"##.to_owned(),
            ],
        ),
        (
            "mesh_messages_refused_total",
            vec![
                r##"{"#":"f","put":{"loomdb:nodes":5}}"##.to_owned(),
                r##"{"#":"g","put":{"loomdb:nodes":{"_":{"#":"loomdb:nodes",">":{"n":"1"}},"n":"{}"}}}"##.to_owned(),
                r##"{"#":"h","dam":"loom","ask":"diff","loom":{"diff":"AAAA"}}"##.to_owned(),
                r##"{"#":[],"get":{}}"##.to_owned(),
            ],
        ),
        (
            "mesh_frames_oversize_total",
            vec![format!("{{\"x\":\"{}\"}}", "x".repeat(17 << 20))],
        ),
    ] {
        let count = frames.len() as f64;
        for frame in frames {
            relay.send(Message::text(frame)).await.unwrap();
        }
        // The greeting is taken, everything else is not.
        let greeting = f64::from(u8::from(counted.starts_with("mesh_dam")));
        until_counted(&node, counted, count - greeting).await;
        said += 1;
        let (status, _) = node.post("/nodes", &json!({"id": format!("n{said}"), "type": "t"})).await;
        assert_eq!(status, 201, "after {counted}");
    }
    relay.send(Message::binary(&b"{}"[..])).await.unwrap();
    until_counted(&node, "frames_binary_total", 1.0).await;
    // What is no record is held, as GUN demands, and shown to nobody.
    let not_a_record =
        r##"{"#":"z","put":{"loomdb:nodes":{"_":{"#":"loomdb:nodes",">":{"z":1}},"z":"[{]"}}}"##;
    relay.send(Message::text(not_a_record)).await.unwrap();
    until_counted(&node, "values_foreign", 1.0).await;
    assert_eq!(node.get("/nodes").await["count"], said);
    // The link has lasted: nothing of this was a reason to hang up.
    relay
        .send(Message::text(
            r##"{"#":"last","@":"x","dam":"?","pid":"p"}"##,
        ))
        .await
        .unwrap();
    relay.close(None).await.unwrap();
    while let Some(Ok(_)) = relay.next().await {}
    node.stop().await;
}

#[tokio::test]
async fn a_record_of_a_peer_that_prints_otherwise_than_it_was_written_is_replaced_like_any_other() {
    let (node, mut relay) = linked().await;
    let magic = r#""$serde_json::private::RawValue":"x""#;
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let within = json!(format!("{{\"a\":{deep}}}"));
    let texts = [
        format!(r#"{{"a":1,{magic}}}"#),
        format!(r#"{{"properties":{{"a":1,{magic}}}}}"#),
        format!(r#"{{"metadata":{{"a":1,{magic}}}}}"#),
        format!(r#"{{"a":[[[[[[[[[{{"$serde_json::private::RawValue":{within}}}]]]]]]]]]}}"#),
    ];
    for (nth, text) in texts.iter().enumerate() {
        let id = format!("n{nth}");
        let put = json!({"#": format!("p{nth}"), "put": {"loomdb:nodes": {
            "_": {"#": "loomdb:nodes", ">": {&id: 1}},
            &id: text,
        }}});
        relay.send(Message::text(put.to_string())).await.unwrap();
    }
    node.until("/stats", |stats| stats["graph"]["nodes"] == texts.len())
        .await;
    for (nth, text) in texts.iter().enumerate() {
        let path = format!("/nodes/n{nth}");
        let (method, body) = (Method::PATCH, json!({"type": "t"}));
        let patched = node.request(method, &path).json(&body).send().await;
        let patched = patched.expect("the node is still there");
        assert_eq!(patched.status(), 200, "{text}");
        let shown = node.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(shown.status(), 200, "{text}");
        let shown = shown.text().await.unwrap();
        assert!(shown.contains("$serde_json::private::RawValue"), "{shown}");
        assert!(shown.contains(r#""type":"t""#), "{shown}");
        let (status, _) = node.put(&path, &json!({"type": "u"})).await;
        assert_eq!(status, 200, "{text}");
    }
    node.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_and_those_before_them_are_served() {
    let mut config = NodeConfig::new("node-1");
    config.driver.links_max = 10;
    config.driver.other_connections_max = 20;
    let node = Node::start(config).await;
    // From here on its client has a connection of its own.
    assert_eq!(node.get("/nodes").await["count"], 0);
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address(&node.url)).await.unwrap());
    }
    until_counted(&node, "connections_refused_total", 21.0).await;
    let (status, _) = node.post("/nodes", &json!({"id": "a", "type": "t"})).await;
    assert_eq!(status, 201);
    let mut closed = 0;
    for stream in &mut silent {
        let mut byte = [0];
        let soon = std::time::Duration::from_millis(20);
        let read = tokio::time::timeout(soon, stream.read(&mut byte));
        closed += u32::from(matches!(read.await, Ok(Ok(0) | Err(_))));
    }
    assert_eq!(closed, 21);
    drop(silent);
    let fresh = reqwest::Client::new();
    let url = format!("{}/nodes/a", node.url);
    let asking = async {
        while fresh.get(&url).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, asking)
        .await
        .expect("there is room again");
    node.stop().await;
}

/// Resident memory of this process, in MiB; `None` where `/proc` does not tell.
fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? >> 10)
}

#[tokio::test]
async fn a_relay_that_floods_and_one_that_reads_nothing_cost_a_node_bounded_memory_and_no_request()
{
    const PER_FRAME: usize = 4_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/gun", listener.local_addr().unwrap());
    let mut config = NodeConfig::new("node-1");
    config.peers = vec![PeerUrl::parse(&url).unwrap()];
    // Only its queue may end a link here.
    config.driver.queue_bytes_max = 4 << 20;
    config.driver.ping_timeout = std::time::Duration::from_secs(600);
    let node = Node::start(config).await;
    let before = resident_mib();

    // A million messages in frames, and fifty thousand in frames of their own.
    let (stream, _) = listener.accept().await.unwrap();
    let mut relay = tokio_tungstenite::accept_async(stream).await.unwrap();
    let flooding = tokio::spawn(async move {
        let tiny = |nth: usize| format!(r##"{{"#":"{nth}","dam":"x"}}"##);
        for first in (0..1_000_000).step_by(PER_FRAME) {
            let frame: Vec<_> = (first..first + PER_FRAME).map(tiny).collect();
            let frame = Message::text(format!("[{}]", frame.join(",")));
            relay.send(frame).await.unwrap();
        }
        for nth in 1_000_000..1_050_000 {
            relay.feed(Message::text(tiny(nth))).await.unwrap();
        }
        relay.flush().await.unwrap();
        relay
    });
    let mut created = 0;
    while !flooding.is_finished() {
        created += 1;
        let record = json!({"id": format!("n{created}"), "type": "t"});
        let (status, _) = node.post("/nodes", &record).await;
        assert_eq!(status, 201);
    }
    let relay = flooding.await.unwrap();
    until_counted(&node, "mesh_messages_in_total", 1_050_000.0).await;

    // From here on nobody reads what the node has to say.
    let ended = r#"links_ended_total{reason="overflow"}"#;
    let text = "v".repeat(60_000);
    let mut counting = Box::pin(until_counted(&node, ended, 1.0));
    let mut large = 0;
    loop {
        let record = json!({"id": format!("large{large}"), "type": "t", "properties": {"v": text}});
        let (status, _) = node.post("/nodes", &record).await;
        assert_eq!(status, 201);
        large += 1;
        assert!(
            large < 2_000,
            "120 MB were queued for a relay that reads nothing"
        );
        tokio::select! {
            biased;
            () = &mut counting => break,
            () = tokio::task::yield_now() => {}
        }
    }
    drop((relay, counting));
    // It dials again, and loses nothing of what it has acknowledged.
    let dialled = tokio::time::timeout(SOON, listener.accept()).await;
    dialled.unwrap().unwrap();
    assert_eq!(node.get("/stats").await["graph"]["nodes"], created + large);
    if let (Some(before), Some(after)) = (before, resident_mib()) {
        // The flood was 30 MB of ids, of which the last are remembered; the records are 60 kB each.
        let records = (large * 60_000 * 3) >> 20;
        assert!(after < before + 150 + records, "{before} MiB, then {after}");
    }
    node.stop().await;
}
