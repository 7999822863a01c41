//! The fault proxy against plain TCP peers: what a cut, a delay and a close look like from both
//! ends. No cluster is involved.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use loom_tui::cluster::proxy::LinkProxy;
use loom_tui::cluster::{Direction, Flow, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Long enough for a byte to cross loopback many times over; a cut is watched for this long.
const QUIET: Duration = Duration::from_millis(300);
/// By when anything that must happen has happened, on a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(20);

/// A listener behind a proxy.
struct Rig {
    proxy: LinkProxy,
    server: TcpListener,
}

impl Rig {
    async fn new() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = LinkProxy::open(server.local_addr().unwrap()).await.unwrap();
        Self { proxy, server }
    }

    /// One established connection: the client's end and the server's end.
    async fn pair(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.address()).await.unwrap();
        (client, self.accept().await)
    }

    async fn accept(&self) -> TcpStream {
        let accepted = timeout(SOON, self.server.accept()).await.unwrap();
        accepted.unwrap().0
    }
}

fn only(direction: Direction, flow: Flow) -> Link {
    let mut link = Link::default();
    match direction {
        Direction::Up => link.up = flow,
        Direction::Down => link.down = flow,
    }
    link
}

fn cut_only(direction: Direction) -> Link {
    only(direction, Link::cut().up)
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    timeout(SOON, stream.write_all(bytes))
        .await
        .unwrap()
        .unwrap();
}

async fn receive(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(SOON, stream.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    bytes
}

/// Asserts that `stream` hears nothing at all: no byte, no FIN, no RST.
async fn hears_nothing(stream: &mut TcpStream) {
    let mut byte = [0];
    let heard = timeout(QUIET, stream.read(&mut byte)).await;
    assert!(heard.is_err(), "heard {heard:?} across a cut");
}

async fn hears_the_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // FIN or RST: both end the stream.
    let _ = timeout(SOON, stream.read_to_end(&mut rest))
        .await
        .expect("it ends");
}

/// Bytes that differ everywhere, so that a lost, repeated or swapped one is noticed.
fn pattern(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..count).map(|_| step()).collect()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < SOON, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_clear_link_passes_bytes_and_half_closes() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    send(&mut client, b"ping").await;
    assert_eq!(receive(&mut server, 4).await, b"ping");
    client.shutdown().await.unwrap();
    hears_the_end(&mut server).await;
    // Half closed: the other way still works.
    send(&mut server, b"pong!").await;
    assert_eq!(receive(&mut client, 5).await, b"pong!");
    drop(server);
    hears_the_end(&mut client).await;
    let traffic = rig.proxy.traffic();
    assert_eq!((traffic.up_bytes, traffic.down_bytes), (4, 5));
    assert_eq!(traffic.connections, 1);
    until("the connection is gone", || rig.proxy.traffic().open == 0).await;
}

#[tokio::test]
async fn a_cut_is_silent_in_both_directions_and_bytes_wait() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    rig.proxy.set(Link::cut());
    send(&mut client, b"up").await;
    send(&mut server, b"down").await;
    hears_nothing(&mut client).await;
    hears_nothing(&mut server).await;
    let traffic = rig.proxy.traffic();
    assert_eq!((traffic.up_bytes, traffic.down_bytes), (0, 0));
    rig.proxy.set(Link::default());
    assert_eq!(receive(&mut server, 2).await, b"up");
    assert_eq!(receive(&mut client, 4).await, b"down");
}

#[tokio::test]
async fn a_one_way_cut_acts_one_way() {
    for cut in [Direction::Up, Direction::Down] {
        let rig = Rig::new().await;
        let (mut client, mut server) = rig.pair().await;
        rig.proxy.set(cut_only(cut));
        let (silenced, heard) = match cut {
            Direction::Up => (&mut client, &mut server),
            Direction::Down => (&mut server, &mut client),
        };
        send(heard, b"through").await;
        assert_eq!(receive(silenced, 7).await, b"through");
        send(silenced, b"waits").await;
        hears_nothing(heard).await;
        rig.proxy.set(Link::default());
        assert_eq!(receive(heard, 5).await, b"waits");
    }
}

#[tokio::test]
async fn bytes_resume_in_order_and_complete_over_many_cuts() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    let sent = pattern(8 * 1024 * 1024);
    let bytes = sent.clone();
    let writing = tokio::spawn(async move {
        client.write_all(&bytes).await.unwrap();
        client
    });
    let count = sent.len();
    let reading = tokio::spawn(async move { receive(&mut server, count).await });
    let jittery = Flow {
        latency: Duration::from_millis(3),
        jitter: Duration::from_millis(3),
        ..Flow::default()
    };
    let links = [Link::cut(), Link::default(), only(Direction::Up, jittery)];
    for link in links.iter().cycle() {
        if reading.is_finished() {
            break;
        }
        rig.proxy.set(*link);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let received = reading.await.unwrap();
    assert!(received == sent, "bytes were lost, repeated or swapped");
    drop(writing.await.unwrap());
    assert_eq!(rig.proxy.traffic().up_bytes, sent.len() as u64);
}

#[tokio::test]
async fn a_close_during_a_cut_is_told_after_it() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    rig.proxy.set(Link::cut());
    send(&mut client, b"last words").await;
    drop(client);
    hears_nothing(&mut server).await;
    rig.proxy.set(Link::default());
    assert_eq!(receive(&mut server, 10).await, b"last words");
    hears_the_end(&mut server).await;
}

#[tokio::test]
async fn a_reset_during_a_cut_is_told_after_it() {
    let rig = Rig::new().await;
    let (mut client, server) = rig.pair().await;
    rig.proxy.set(Link::cut());
    server.set_zero_linger().unwrap();
    drop(server);
    hears_nothing(&mut client).await;
    rig.proxy.set(Link::default());
    hears_the_end(&mut client).await;
}

#[tokio::test]
async fn a_death_is_not_told_through_the_open_half_of_a_one_way_cut() {
    let rig = Rig::new().await;
    let (client, mut server) = rig.pair().await;
    rig.proxy.set(cut_only(Direction::Up));
    client.set_zero_linger().unwrap();
    drop(client);
    // These bytes pass, and bounce off the dead client. The relay must not learn of it that way.
    for _ in 0..10 {
        send(&mut server, b"anybody there?").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    hears_nothing(&mut server).await;
    rig.proxy.set(Link::default());
    hears_the_end(&mut server).await;
}

#[tokio::test]
async fn a_connection_made_during_a_cut_is_held_and_carried_after_it() {
    let cuts = [
        Link::cut(),
        cut_only(Direction::Up),
        cut_only(Direction::Down),
    ];
    for cut in cuts {
        let rig = Rig::new().await;
        rig.proxy.set(cut);
        let mut client = TcpStream::connect(rig.proxy.address()).await.unwrap();
        send(&mut client, b"hello").await;
        let heard = timeout(QUIET, rig.server.accept()).await;
        assert!(heard.is_err(), "the relay heard of it");
        assert_eq!(rig.proxy.traffic().held, 1);
        rig.proxy.set(Link::default());
        let mut server = rig.accept().await;
        assert_eq!(receive(&mut server, 5).await, b"hello");
        send(&mut server, b"welcome").await;
        assert_eq!(receive(&mut client, 7).await, b"welcome");
        assert_eq!(rig.proxy.traffic().held, 0);
    }
}

#[tokio::test]
async fn clients_that_gave_up_during_a_cut_are_kept_in_small_number() {
    let rig = Rig::new().await;
    rig.proxy.set(Link::cut());
    for _ in 0..40 {
        let mut client = TcpStream::connect(rig.proxy.address()).await.unwrap();
        send(&mut client, b"GET /gun").await;
        until("it is held", || rig.proxy.traffic().open > 0).await;
    }
    until("the rest is forgotten", || rig.proxy.traffic().open == 8).await;
    rig.proxy.set(Link::default());
    for _ in 0..8 {
        let mut server = rig.accept().await;
        assert_eq!(receive(&mut server, 8).await, b"GET /gun");
        hears_the_end(&mut server).await;
    }
    assert!(timeout(QUIET, rig.server.accept()).await.is_err());
}

#[tokio::test]
async fn a_refused_target_resets_the_client() {
    let Rig { proxy, server } = Rig::new().await;
    drop(server);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let mut byte = [0];
    let heard = timeout(SOON, client.read(&mut byte)).await.unwrap();
    assert_eq!(heard.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.traffic().refused, 1);
}

#[tokio::test]
async fn a_retargeted_proxy_dials_the_new_place() {
    let rig = Rig::new().await;
    let moved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    rig.proxy.retarget(moved.local_addr().unwrap());
    let _client = TcpStream::connect(rig.proxy.address()).await.unwrap();
    timeout(SOON, moved.accept()).await.unwrap().unwrap();
}

/// Sends one byte each way and returns how long each took.
async fn round(client: &mut TcpStream, server: &mut TcpStream) -> (Duration, Duration) {
    let start = Instant::now();
    send(client, b"u").await;
    receive(server, 1).await;
    let up = start.elapsed();
    let start = Instant::now();
    send(server, b"d").await;
    receive(client, 1).await;
    (up, start.elapsed())
}

fn slow(latency: Duration) -> Flow {
    Flow {
        latency,
        ..Flow::default()
    }
}

fn narrow(bytes_per_s: u64) -> Flow {
    Flow {
        bandwidth: Some(bytes_per_s),
        ..Flow::default()
    }
}

#[tokio::test]
async fn latency_is_added_to_its_direction_only() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    let latency = Duration::from_millis(250);
    rig.proxy.set(only(Direction::Down, slow(latency)));
    let (up, down) = round(&mut client, &mut server).await;
    assert!(down >= latency, "{down:?}");
    assert!(up < latency, "{up:?}");
}

#[tokio::test]
async fn what_a_lossy_link_loses_comes_again_later() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    let lossy = Flow {
        loss_permille: 500,
        ..Flow::default()
    };
    rig.proxy.set(only(Direction::Up, lossy));
    // Of forty one after the other, that none is lost has odds of one in 10^12.
    let mut slowest = Duration::ZERO;
    for _ in 0..40 {
        let (up, down) = round(&mut client, &mut server).await;
        assert!(
            down < Duration::from_millis(150),
            "lost downwards: {down:?}"
        );
        slowest = slowest.max(up);
        if slowest >= Duration::from_millis(200) {
            return;
        }
    }
    panic!("nothing was lost: the slowest took {slowest:?}");
}

#[tokio::test]
async fn clearing_a_latency_frees_bytes_already_delayed() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    let hours = Duration::from_secs(7200);
    rig.proxy.set(only(Direction::Up, slow(hours)));
    send(&mut client, b"delayed").await;
    hears_nothing(&mut server).await;
    rig.proxy.set(Link::default());
    assert_eq!(receive(&mut server, 7).await, b"delayed");
}

#[tokio::test]
async fn a_cut_also_stops_bytes_already_delayed() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    let moment = Duration::from_millis(100);
    rig.proxy.set(only(Direction::Up, slow(moment)));
    send(&mut client, b"delayed").await;
    rig.proxy.set(Link::cut());
    hears_nothing(&mut server).await;
    rig.proxy.set(Link::default());
    assert_eq!(receive(&mut server, 7).await, b"delayed");
}

#[tokio::test]
async fn bandwidth_limits_and_lifting_it_takes_effect_at_once() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    rig.proxy.set(only(Direction::Up, narrow(100_000)));
    let bytes = pattern(50_000);
    let start = Instant::now();
    send(&mut client, &bytes).await;
    assert!(receive(&mut server, bytes.len()).await == bytes);
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(400),
        "{took:?} for half a second's worth"
    );

    // A byte per second: lifting the limit must not wait for a second that has begun.
    rig.proxy.set(only(Direction::Up, narrow(1)));
    let rest = [b'x'; 60];
    send(&mut client, &rest).await;
    receive(&mut server, 1).await;
    hears_nothing(&mut server).await;
    let start = Instant::now();
    rig.proxy.set(Link::default());
    receive(&mut server, rest.len() - 1).await;
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// Writes until nothing more is taken for a while; returns how much was.
async fn stuff(client: &mut TcpStream, most: usize) -> usize {
    let chunk = vec![7; 256 * 1024];
    let mut taken = 0;
    while taken < most {
        match timeout(Duration::from_secs(1), client.write(&chunk)).await {
            Ok(written) => taken += written.unwrap(),
            Err(_) => break,
        }
    }
    taken
}

#[tokio::test]
async fn a_side_that_never_reads_costs_bounded_memory() {
    let hours = Duration::from_secs(7200);
    for flow in [Flow::default(), slow(hours)] {
        let rig = Rig::new().await;
        let (mut client, _server) = rig.pair().await;
        rig.proxy.set(only(Direction::Up, flow));
        // What the kernel buffers on four sockets, and at most 4 MiB in the proxy.
        let taken = stuff(&mut client, 128 * 1024 * 1024).await;
        assert!(taken < 64 * 1024 * 1024, "{taken} bytes were taken");
    }
}

#[tokio::test]
async fn control_works_while_data_is_stuck() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    let taken = stuff(&mut client, 64 * 1024 * 1024).await;
    // The pump is stuck in a write; every change takes effect nevertheless.
    rig.proxy.set(Link::cut());
    let before = rig.proxy.traffic();
    send(&mut server, b"down").await;
    hears_nothing(&mut client).await;
    assert_eq!(rig.proxy.traffic().down_bytes, before.down_bytes);
    rig.proxy.set(Link::default());
    assert_eq!(receive(&mut client, 4).await, b"down");
    let received = receive(&mut server, taken).await;
    assert!(received.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn dropping_the_proxy_ends_what_it_carried() {
    let rig = Rig::new().await;
    let (mut client, mut server) = rig.pair().await;
    let address = rig.proxy.address();
    drop(rig.proxy);
    hears_the_end(&mut client).await;
    hears_the_end(&mut server).await;
    assert!(TcpStream::connect(address).await.is_err());
}
