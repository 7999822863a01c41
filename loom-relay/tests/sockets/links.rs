//! The driver over real loopback sockets: links, limits, silence, reconnection, shutdown.

use std::time::{Duration, Instant};

use super::rig::{Ask, Client, Rig, Saw, connect, quick, within};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use loom_relay::driver::{CommandError, DriverConfig, DriverError, PeerUrl};
use loom_relay::machine::Side;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async};

#[tokio::test]
async fn frames_go_both_ways_and_links_are_listed() {
    let mut rig = Rig::start(DriverConfig::default());
    let mut client = connect(rig.serve().await).await;
    let peer = rig.next_up().await;

    client
        .send(Message::text("{\"to\":\"machine\"}"))
        .await
        .unwrap();
    let heard = rig.next().await;
    assert_eq!(
        heard,
        Saw::Heard(peer, Bytes::from_static(b"{\"to\":\"machine\"}"))
    );

    let frame = Bytes::from_static(b"{\"to\":\"client\"}");
    rig.hub.command(Ask::Say(peer, frame)).await.unwrap();
    assert_eq!(text(&mut client).await, "{\"to\":\"client\"}");

    let links = rig.hub.links().await;
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].peer, links[0].side), (peer, Side::Accepted));
    assert!(links[0].read_bytes > 0 && links[0].written_bytes > 0);
    assert!(links[0].far.starts_with("127.0.0.1:"), "{}", links[0].far);
}

#[tokio::test]
async fn everything_said_before_a_close_is_heard_before_it() {
    let mut rig = Rig::start(DriverConfig::default());
    let mut client = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    for number in 0..500 {
        client
            .feed(Message::text(number.to_string()))
            .await
            .unwrap();
    }
    client.close(None).await.unwrap();
    for number in 0..500 {
        assert_eq!(
            rig.next().await,
            Saw::Heard(peer, number.to_string().into())
        );
    }
    assert_eq!(rig.next().await, Saw::Down(peer));
}

#[tokio::test]
async fn a_hangup_sends_what_is_queued_and_then_closes() {
    let mut rig = Rig::start(DriverConfig::default());
    let mut client = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    let last_words = Bytes::from_static(b"last words");
    rig.hub.command(Ask::Say(peer, last_words)).await.unwrap();
    rig.hub.command(Ask::Hangup(peer)).await.unwrap();
    assert_eq!(rig.next().await, Saw::Down(peer));
    assert_eq!(text(&mut client).await, "last words");
    assert!(matches!(
        next(&mut client).await,
        Some(Ok(Message::Close(_)))
    ));
}

#[tokio::test]
async fn a_peer_that_never_reads_is_hung_up_on_and_delays_nobody() {
    let mut rig = Rig::start(DriverConfig {
        queue_bytes_max: 1 << 20,
        // Only its queue may end the link here.
        ping_timeout: Duration::from_secs(60),
        ..DriverConfig::default()
    });
    let address = rig.serve().await;
    let stuck = connect(address).await;
    let slow = rig.next_up().await;
    let mut client = connect(address).await;
    let fast = rig.next_up().await;

    let frame = Bytes::from(vec![b'x'; 256 * 1024]);
    let mut sent_bytes = 0;
    let lost = loop {
        for peer in [slow, fast] {
            rig.hub
                .command(Ask::Say(peer, frame.clone()))
                .await
                .unwrap();
        }
        sent_bytes += frame.len();
        let asked = Instant::now();
        assert_eq!(text(&mut client).await.len(), frame.len());
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "the slow peer delayed the fast one"
        );
        if let Ok(saw) = rig.saw.try_recv() {
            break saw;
        }
        assert!(
            sent_bytes < 1 << 30,
            "a gigabyte was queued for a peer that reads nothing"
        );
    };
    assert_eq!(lost, Saw::Down(slow));
    assert_eq!(rig.hub.stats().overflows.get(), 1);
    assert_eq!(rig.hub.links().await.len(), 1);
    drop(stuck);
}

#[tokio::test]
async fn what_waits_for_all_peers_together_is_bounded_and_the_fullest_pays() {
    const ALL: usize = 8 << 20;
    const FRAME: usize = 256 * 1024;
    let mut rig = Rig::start(DriverConfig {
        // No queue is ever full by itself.
        queue_bytes_max: 64 << 20,
        all_queues_bytes_max: ALL,
        ping_timeout: Duration::from_secs(60),
        ..DriverConfig::default()
    });
    let address = rig.serve().await;
    let mut stuck = Vec::new();
    for _ in 0..6 {
        let client = connect(address).await;
        stuck.push((rig.next_up().await, client));
    }
    let mut client = connect(address).await;
    let reading = rig.next_up().await;
    let mut down = 0;
    // Sockets take a few megabytes each before anything waits here.
    for _ in 0..400 {
        let peers = stuck.iter().map(|(peer, _)| *peer).chain([reading]);
        for peer in peers {
            let frame = Bytes::from(vec![b'x'; FRAME]);
            rig.hub.command(Ask::Say(peer, frame)).await.unwrap();
        }
        assert_eq!(text(&mut client).await.len(), FRAME);
        let waiting: usize = (rig.hub.links().await.iter())
            .map(|link| link.queued_bytes)
            .sum();
        assert!(waiting <= ALL + 8 * FRAME, "{waiting} bytes wait");
        while let Ok(saw) = rig.saw.try_recv() {
            assert_ne!(saw, Saw::Down(reading));
            down += 1;
        }
        if down == stuck.len() {
            break;
        }
    }
    assert!(down > 0, "nobody was hung up on");
    assert_eq!(rig.hub.stats().overflows.get(), down as u64);
}

#[tokio::test]
async fn an_accepted_link_that_falls_silent_is_dropped_within_the_ping_timeout() {
    let mut rig = Rig::start(quick());
    let silent = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    let opened = Instant::now();
    // Nobody polls `silent`, so it answers no ping: as good as a cut cable.
    assert_eq!(rig.next().await, Saw::Down(peer));
    assert_dropped_in_time(opened);
    assert_eq!(rig.hub.stats().dead.get(), 1);
    drop(silent);
}

#[tokio::test]
async fn a_dialled_link_that_falls_silent_is_dropped_and_dialled_again() {
    let mut rig = Rig::start(quick());
    let (listener, url) = listen().await;
    rig.hub.dial(url);
    let silent = accept(&listener).await;
    let peer = rig.next_up().await;
    let opened = Instant::now();
    assert_eq!(rig.next().await, Saw::Down(peer));
    assert_dropped_in_time(opened);
    let again = accept(&listener).await;
    assert!(rig.next_up().await > peer, "numbers are never used again");
    drop((silent, again));
}

#[tokio::test]
async fn a_link_that_only_answers_pings_stays_up() {
    let mut rig = Rig::start(quick());
    let mut client = connect(rig.serve().await).await;
    rig.next_up().await;
    let listening = tokio::time::timeout(quick().ping_timeout * 4, async {
        while let Some(Ok(message)) = client.next().await {
            assert!(message.is_ping(), "{message:?}");
        }
    });
    assert!(listening.await.is_err(), "the link was closed");
    assert!(rig.saw.try_recv().is_err());
}

#[tokio::test]
async fn one_large_frame_over_a_slow_link_is_not_silence() {
    let mut rig = Rig::start(quick());
    let address = rig.serve().await;
    let mut client = connect(address).await;
    let peer = rig.next_up().await;
    // A frame that takes twice the ping timeout to arrive, a little at a time, and no pongs
    // meanwhile: as over a link of few bytes a second.
    let body = vec![b'x'; 20_000];
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend_from_slice(&20_000_u16.to_be_bytes());
    frame.extend_from_slice(&[0; 4]); // a mask that changes nothing
    frame.extend_from_slice(&body);
    let raw = client.get_mut();
    let mut pause = tokio::time::interval(quick().ping_timeout / 10);
    for piece in frame.chunks(1000) {
        pause.tick().await;
        tokio::io::AsyncWriteExt::write_all(raw, piece)
            .await
            .unwrap();
    }
    assert_eq!(rig.next().await, Saw::Heard(peer, body.into()));
}

#[tokio::test]
async fn a_peer_that_accepts_and_stays_silent_is_dialled_again() {
    let rig = Rig::start(quick());
    let (listener, url) = listen().await;
    rig.hub.dial(url);
    let first = within(listener.accept()).await.unwrap();
    let second = within(listener.accept()).await.unwrap();
    assert!(rig.hub.stats().dial_failures.get() >= 1);
    drop((first, second));
}

#[tokio::test]
async fn a_lost_link_is_dialled_again_within_a_quarter_second_and_for_as_long_as_it_takes() {
    let mut rig = Rig::start(quick());
    let (listener, url) = listen().await;
    let address = listener.local_addr().unwrap();
    rig.hub.dial(url);
    let link = accept(&listener).await;
    let peer = rig.next_up().await;

    drop(link);
    let lost = Instant::now();
    let link = accept(&listener).await;
    assert!(
        lost.elapsed() < Duration::from_millis(250),
        "{:?}",
        lost.elapsed()
    );
    assert_eq!(rig.next().await, Saw::Down(peer));
    let peer = rig.next_up().await;

    // Now the whole server goes, and comes back on the same port after several failed attempts.
    drop((listener, link));
    assert_eq!(rig.next().await, Saw::Down(peer));
    let stats = std::sync::Arc::clone(rig.hub.stats());
    within(async {
        while stats.dial_failures.get() < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // Somebody else's connection may have been given the port meanwhile, for a moment.
    let listener = within(async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    let link = accept(&listener).await;
    rig.next_up().await;
    drop(link);
}

#[tokio::test]
async fn a_frame_above_the_limit_is_reported_and_one_far_above_ends_the_link() {
    let mut rig = Rig::start(DriverConfig {
        frame_bytes_max: 1000,
        ..DriverConfig::default()
    });
    let mut client = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    for (bytes, expected) in [
        (1000, Saw::Heard(peer, vec![b'x'; 1000].into())),
        (1001, Saw::Oversized(peer)),
        (2000, Saw::Oversized(peer)),
        (3, Saw::Heard(peer, vec![b'x'; 3].into())),
        (2001, Saw::Down(peer)),
    ] {
        client.send(Message::text("x".repeat(bytes))).await.unwrap();
        assert_eq!(rig.next().await, expected, "{bytes} bytes");
    }
    assert_eq!(rig.hub.stats().oversized.get(), 3);
}

#[tokio::test]
async fn large_frames_up_to_the_limit_pass_both_ways() {
    let mut rig = Rig::start(DriverConfig {
        frame_bytes_max: 20 << 20,
        ..DriverConfig::default()
    });
    let mut client = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    // More than the library's own default for one frame, more than a whole send queue.
    let frame = "x".repeat(20 << 20);
    client.send(Message::text(frame.clone())).await.unwrap();
    assert_eq!(rig.next().await, Saw::Heard(peer, frame.clone().into()));
    rig.hub.command(Ask::Say(peer, frame.into())).await.unwrap();
    let mut heard_bytes = 0;
    while heard_bytes == 0 {
        // The test's own client has the library's default limits, so look at raw bytes.
        let mut scratch = vec![0; 1 << 20];
        let raw = client.get_mut();
        while heard_bytes < 20 << 20 {
            heard_bytes += within(raw.read(&mut scratch)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn binary_frames_are_counted_and_ignored() {
    let mut rig = Rig::start(DriverConfig::default());
    let mut client = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    client.send(Message::binary(&b"{}"[..])).await.unwrap();
    client.send(Message::text("{}")).await.unwrap();
    assert_eq!(
        rig.next().await,
        Saw::Heard(peer, Bytes::from_static(b"{}"))
    );
    assert_eq!(rig.hub.stats().binary.get(), 1);
}

#[tokio::test]
async fn more_links_than_allowed_are_refused_with_503_until_one_ends() {
    let mut rig = Rig::start(DriverConfig {
        links_max: 2,
        ..DriverConfig::default()
    });
    let address = rig.serve().await;
    let first = connect(address).await;
    let first_peer = rig.next_up().await;
    let _second = connect(address).await;
    rig.next_up().await;
    let refused = tokio_tungstenite::connect_async(format!("ws://{address}/gun")).await;
    match refused {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 503),
        other => panic!("should have been refused, not {other:?}"),
    }
    assert_eq!(rig.hub.stats().refused.get(), 1);
    drop(first);
    assert_eq!(rig.next().await, Saw::Down(first_peer));
    // Room is given back just after the machine is told.
    within(async {
        while tokio_tungstenite::connect_async(format!("ws://{address}/gun"))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn shutdown_sends_what_is_queued_closes_every_link_and_leaves_no_task() {
    let mut rig = Rig::start(DriverConfig::default());
    let mut client = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    let (listener, url) = listen().await;
    rig.hub.dial(url);
    let mut server = accept(&listener).await;
    rig.next_up().await;

    rig.hub
        .command(Ask::Say(peer, Bytes::from_static(b"bye")))
        .await
        .unwrap();
    let Rig { hub, driver, .. } = rig;
    let down = tokio::spawn(driver.shutdown());
    assert_eq!(text(&mut client).await, "bye");
    assert!(matches!(
        next(&mut client).await,
        Some(Ok(Message::Close(_)))
    ));
    assert!(next(&mut client).await.is_none());
    assert!(matches!(
        next(&mut server).await,
        Some(Ok(Message::Close(_)))
    ));
    within(down).await.unwrap().unwrap();
    assert_eq!(
        hub.command(Ask::Hangup(peer)).await,
        Err(CommandError::Stopped)
    );
    assert_eq!(
        hub.try_command(Ask::Hangup(peer)),
        Err(CommandError::Stopped)
    );
    assert!(hub.links().await.is_empty());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_peer_that_does_not_read() {
    let mut rig = Rig::start(DriverConfig::default());
    let stuck = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    // More than the kernel takes, less than the queue does.
    for _ in 0..15 {
        let frame = Bytes::from(vec![b'x'; 1 << 20]);
        rig.hub.command(Ask::Say(peer, frame)).await.unwrap();
    }
    assert!(rig.hub.links().await[0].queued_bytes > 0);
    let asked = Instant::now();
    within(rig.driver.shutdown()).await.unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    drop(stuck);
}

#[tokio::test]
async fn commands_beyond_the_bound_are_refused_at_once() {
    let rig = Rig::start(DriverConfig {
        commands_max: 4,
        ..DriverConfig::default()
    });
    // Nothing is awaited in between, so the driver cannot take any.
    for _ in 0..4 {
        let (reply, _) = oneshot::channel();
        rig.hub.try_command(Ask::Write(reply)).unwrap();
    }
    let (reply, _) = oneshot::channel();
    assert_eq!(
        rig.hub.try_command(Ask::Write(reply)),
        Err(CommandError::Full)
    );
}

#[tokio::test]
async fn deadlines_come_when_they_are_due() {
    let rig = Rig::start(DriverConfig::default());
    let (reply, woken) = oneshot::channel();
    let asked = Instant::now();
    let after = Duration::from_millis(50);
    rig.hub.command(Ask::Wake(after, reply)).await.unwrap();
    within(woken).await.unwrap();
    assert!(asked.elapsed() >= after);
    // An earlier one replaces a later one.
    let (reply, _never) = oneshot::channel();
    rig.hub
        .command(Ask::Wake(Duration::from_secs(3600), reply))
        .await
        .unwrap();
    let (reply, woken) = oneshot::channel();
    rig.hub.command(Ask::Wake(after, reply)).await.unwrap();
    within(woken).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_panics_fails_its_driver() {
    let mut rig = Rig::start(DriverConfig::default());
    rig.hub.command(Ask::Panic).await.unwrap();
    match within(rig.driver.failed()).await {
        DriverError::Panicked(message) => assert_eq!(message, "told to"),
        other => panic!("{other}"),
    }
}

async fn next<S>(socket: &mut WebSocketStream<S>) -> Option<Result<Message, Error>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    within(socket.next()).await
}

/// The next text frame; pings in between are answered by the library.
async fn text(client: &mut Client) -> String {
    loop {
        match next(client).await {
            Some(Ok(Message::Text(text))) => return text.to_string(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("a text frame should have come, not {other:?}"),
        }
    }
}

async fn listen() -> (TcpListener, PeerUrl) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, PeerUrl::parse(&url).unwrap())
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = within(listener.accept()).await.unwrap();
    accept_async(stream).await.unwrap()
}

fn assert_dropped_in_time(opened: Instant) {
    let (took, limit) = (opened.elapsed(), quick().ping_timeout);
    // The link may have been open for a moment before this test noticed.
    assert!(
        took >= limit / 2,
        "dropped after {took:?}, before it can have been silent"
    );
    assert!(took < limit * 3, "dropped only after {took:?}");
}
