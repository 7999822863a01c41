//! Decides whether a socket still moves bytes: when it last heard any, since when it cannot write.
//!
//! Whole messages are too coarse a sign of life: one large frame over a slow link takes longer than
//! any sensible timeout, and no ping gets in between. So the bytes themselves are watched. The one
//! door is [`Metered`], which wraps the raw socket below the websocket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::Stats;

/// What one socket did, readable while it is in use.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Readings>);

#[derive(Debug)]
struct Readings {
    opened: Instant,
    /// Microseconds after `opened`.
    read_at_us: AtomicU64,
    /// Microseconds after `opened`; zero while writes go through.
    stuck_since_us: AtomicU64,
    /// Set while we do not read on purpose, so that silence is our own doing.
    paused: AtomicBool,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    /// It has become a link, which is watched by its pings.
    link: AtomicBool,
}

impl Meter {
    /// Counting from now.
    pub(super) fn start() -> Self {
        Self(Arc::new(Readings {
            opened: Instant::now(),
            read_at_us: AtomicU64::new(0),
            stuck_since_us: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            read_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            link: AtomicBool::new(false),
        }))
    }

    /// How long the socket has been open.
    pub(super) fn age(&self) -> Duration {
        self.0.opened.elapsed()
    }

    /// For how long nothing at all was heard.
    pub(super) fn silent_for(&self) -> Duration {
        if self.0.paused.load(Relaxed) {
            return Duration::ZERO;
        }
        self.since(self.0.read_at_us.load(Relaxed))
    }

    /// For how long not one byte could be written although some were waiting.
    pub(super) fn stuck_for(&self) -> Duration {
        match self.0.stuck_since_us.load(Relaxed) {
            0 => Duration::ZERO,
            at => self.since(at),
        }
    }

    /// Not reading from here on is our own choice, not the peer's silence.
    pub(super) fn pause(&self) {
        self.0.paused.store(true, Relaxed);
    }

    /// Reading again.
    pub(super) fn resume(&self) {
        self.0.read_at_us.store(self.now_us(), Relaxed);
        self.0.paused.store(false, Relaxed);
    }

    /// From here on the socket is a link.
    pub(super) fn is_link(&self) {
        self.0.link.store(true, Relaxed);
    }

    /// Bytes read so far, framing included.
    pub(super) fn read_bytes(&self) -> u64 {
        self.0.read_bytes.load(Relaxed)
    }

    /// Bytes written so far, framing included.
    pub(super) fn written_bytes(&self) -> u64 {
        self.0.written_bytes.load(Relaxed)
    }

    fn heard(&self, bytes: usize) {
        self.0.read_at_us.store(self.now_us(), Relaxed);
        self.0.read_bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn wrote(&self, bytes: usize) {
        self.0.stuck_since_us.store(0, Relaxed);
        self.0.written_bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn stuck(&self) {
        // Only the first refusal counts; a success clears it.
        let now = self.now_us().max(1);
        let _ = self
            .0
            .stuck_since_us
            .compare_exchange(0, now, Relaxed, Relaxed);
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.0.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn since(&self, at_us: u64) -> Duration {
        Duration::from_micros(self.now_us().saturating_sub(at_us))
    }
}

/// A socket whose bytes are watched.
#[derive(Debug)]
pub struct Metered<S> {
    socket: S,
    meter: Meter,
    /// Until it is a link, and only if it was accepted.
    idle: Option<Idle>,
    /// Its place among the connections open at once.
    _room: Option<OwnedSemaphorePermit>,
}

/// Ends a connection on which nothing moves.
#[derive(Debug)]
pub(super) struct Idle {
    timer: Pin<Box<Sleep>>,
    max: Duration,
    /// Bytes either way when the timer was set.
    moved_bytes: u64,
    stats: Arc<Stats>,
}

impl Idle {
    pub(super) fn new(max: Duration, stats: Arc<Stats>) -> Self {
        Self {
            timer: Box::pin(tokio::time::sleep(max)),
            max,
            moved_bytes: 0,
            stats,
        }
    }

    /// Whether nothing has moved for too long.
    fn poll(&mut self, meter: &Meter, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let moved_bytes = meter.read_bytes() + meter.written_bytes();
            if moved_bytes == self.moved_bytes {
                self.stats.connections_idle.up();
                let error = "no byte moved for too long";
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, error));
            }
            self.moved_bytes = moved_bytes;
            self.timer
                .as_mut()
                .reset(tokio::time::Instant::now() + self.max);
        }
    }
}

impl<S> Metered<S> {
    pub(super) fn new(socket: S) -> Self {
        Self {
            socket,
            meter: Meter::start(),
            idle: None,
            _room: None,
        }
    }

    /// One that was accepted: it ends when it does nothing, and gives back its room with its end.
    pub(super) fn accepted(socket: S, idle: Idle, room: OwnedSemaphorePermit) -> Self {
        Self {
            idle: Some(idle),
            _room: Some(room),
            ..Self::new(socket)
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &S {
        &self.socket
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, into);
        let read = into.filled().len() - before;
        if read > 0 {
            self.meter.heard(read);
        }
        if polled.is_pending() {
            return self.poll_idle(cx).map(Err);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, from);
        self.note(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, from);
        self.note(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl<S> Metered<S> {
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.idle {
            Some(_) if self.meter.0.link.load(Relaxed) => self.idle = None,
            Some(idle) => return idle.poll(&self.meter, cx),
            None => {}
        }
        Poll::Pending
    }

    fn note(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(bytes)) => self.meter.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.meter.stuck(),
        }
    }
}
