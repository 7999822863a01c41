//! What the client makes of servers that refuse, stay silent, or break off: only a definite "no" is
//! a failure, and only an answer is a yes.

use std::net::SocketAddr;
use std::time::Duration;

use loom_tui::client::{NewVertex, NodeClient, Outcome, WriteOp, Written, http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TIMEOUT: Duration = Duration::from_millis(300);

/// Reads a request and does to its connection what `act` says, for every connection.
async fn serve<F>(act: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read_buf(&mut head).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            tokio::spawn(act(stream));
        }
    });
    address
}

/// A server that answers with these bytes and hangs up.
async fn answering(bytes: String) -> SocketAddr {
    serve(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// An answer whose body is to be `length` bytes long.
fn answer(status: &str, length: usize, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn write(to: SocketAddr) -> Outcome<Written> {
    let client = NodeClient::new(http().expect("HTTP"), &format!("http://{to}"));
    let op = WriteOp::CreateVertex(NewVertex::default());
    client.with_timeout(TIMEOUT).write(&op).await
}

#[tokio::test]
async fn a_refused_connection_is_a_definite_no() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    match write(address).await {
        Outcome::Fail(refusal) => assert_eq!(refusal.status, None),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn silence_is_not_a_no() {
    let address = serve(|stream| async move {
        // Held open until the client gives up.
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    match write(address).await {
        Outcome::Info(why) => assert!(why.contains("no answer within 300ms"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_lost_after_sending_is_unknown() {
    let address = serve(|stream| async move { drop(stream) }).await;
    assert!(matches!(write(address).await, Outcome::Info(_)));
}

#[tokio::test]
async fn a_yes_that_breaks_off_in_its_body_is_unknown() {
    let cut = answer("201 Created", 200, r#"{"success":true,"node":{"id":"a""#);
    match write(answering(cut).await).await {
        Outcome::Info(why) => assert!(why.contains("connection lost"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_no_that_breaks_off_in_its_body_is_still_a_no() {
    let cut = answer("409 Conflict", 200, r#"{"success":false"#);
    match write(answering(cut).await).await {
        Outcome::Fail(refusal) => assert_eq!(refusal.status, Some(409)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_yes_without_the_stamp_of_the_write_is_unknown() {
    let body = r#"{"success":true,"node":{"id":"abc"}}"#;
    let bare = answering(answer("201 Created", body.len(), body)).await;
    match write(bare).await {
        Outcome::Info(why) => assert!(why.contains("state"), "{why}"),
        other => panic!("{other:?}"),
    }
    let body = r#"{"success":true,"node":{"id":"abc","state":7.25}}"#;
    let whole = answering(answer("201 Created", body.len(), body)).await;
    let written = write(whole).await.into_result().unwrap();
    assert_eq!((written.id.as_str(), written.state.0), ("abc", 7.25));
    assert!(written.created);
}
