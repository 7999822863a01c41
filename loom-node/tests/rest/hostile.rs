//! Bytes that are no request, or only half of one.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
