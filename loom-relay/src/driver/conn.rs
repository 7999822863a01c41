//! One link: frames heard go to the inbox, frames queued go to the socket, and silence ends it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::hub::Inbox;
use super::meter::Meter;
use super::outbox::{Batch, Frame, Waiting};
use super::socket::{Heard, Socket, SocketError, Told};
use super::{DriverConfig, Stats};
use crate::model::PeerId;

/// What a link's task needs.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) peer: PeerId,
    pub(super) meter: Meter,
    /// Frames to send. Ends when the driver lets go of the link: send what is left, then close.
    pub(super) queue: Waiting,
    /// Drop everything and end now.
    pub(super) kill: CancellationToken,
    pub(super) inbox: Inbox,
    pub(super) config: Arc<DriverConfig>,
    pub(super) stats: Arc<Stats>,
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("hung up on")]
    Dropped,
    #[error("closed by the peer")]
    Closed,
    #[error("broken: {0}")]
    Broken(SocketError),
    #[error("nothing heard for {0:?}")]
    Silent(Duration),
    #[error("not one byte could be sent for {0:?}")]
    Stuck(Duration),
}

impl Conn {
    /// Serves the link until it ends, however that comes about.
    pub(super) async fn run(self, socket: Socket) -> Ended {
        let (sink, stream) = socket.split();
        let Self {
            peer,
            meter,
            queue,
            kill,
            inbox,
            config,
            stats,
        } = self;
        let last_word = inbox.last_word(peer);
        let ended = tokio::select! {
            biased;
            () = kill.cancelled() => Ended::Dropped,
            ended = read(peer, stream, &meter, &inbox, &config, &stats) => ended,
            ended = write(sink, queue, &config, &stats) => ended,
            ended = watch(&meter, config.ping_timeout) => ended,
        };
        match ended {
            Ended::Dropped => {}
            Ended::Closed | Ended::Broken(_) => stats.closed.up(),
            Ended::Silent(_) | Ended::Stuck(_) => {
                stats.dead.up();
                tracing::info!(peer = peer.0, reason = %ended, "link is dead");
            }
        }
        // After everything that was heard, because the inbox keeps the order.
        last_word.say().await;
        ended
    }
}

async fn read(
    peer: PeerId,
    mut stream: SplitStream<Socket>,
    meter: &Meter,
    inbox: &Inbox,
    config: &DriverConfig,
    stats: &Stats,
) -> Ended {
    while let Some(heard) = stream.next().await {
        match heard {
            Ok(Heard::Text(frame)) if frame.len() > config.frame_bytes_max => {
                stats.oversized.up();
                tracing::warn!(
                    peer = peer.0,
                    bytes = frame.len(),
                    bytes_max = config.frame_bytes_max,
                    "discarded a frame above the limit"
                );
                drop(frame);
                inbox.oversized(peer, meter).await;
            }
            Ok(Heard::Text(frame)) => {
                stats.frames_heard.up();
                stats.bytes_heard.add(frame.len() as u64);
                inbox.heard(peer, frame, meter).await;
            }
            // GUN peers ignore them too.
            Ok(Heard::Binary) => stats.binary.up(),
            Ok(Heard::Control) => {}
            Err(error) => {
                if let SocketError::TooLarge { .. } = error {
                    stats.oversized.up();
                    tracing::warn!(peer = peer.0, %error, "hanging up");
                }
                return Ended::Broken(error);
            }
        }
    }
    Ended::Closed
}

async fn write(
    mut sink: SplitSink<Socket, Told>,
    mut queue: Waiting,
    config: &DriverConfig,
    stats: &Stats,
) -> Ended {
    let mut pings = interval_at(Instant::now() + config.ping_interval, config.ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sent = tokio::select! {
            biased;
            first = queue.next() => match first {
                Some(first) => {
                    stats.flushes.up();
                    send_batch(&mut sink, first, &mut queue).await
                }
                None => break,
            },
            _ = pings.tick() => sink.send(Told::Ping).await,
        };
        if let Err(error) = sent {
            return Ended::Broken(error);
        }
    }
    if let Err(error) = sink.close().await {
        return Ended::Broken(error);
    }
    // The reader ends the link as soon as the peer closes its side too.
    sleep(CLOSE_WAIT).await;
    Ended::Dropped
}

/// Sends everything that is queued right now with one flush: coalescing system calls is worth far
/// more than anything else on this path, and without a timer it costs an idle link nothing.
async fn send_batch(
    sink: &mut SplitSink<Socket, Told>,
    first: Frame,
    queue: &mut Waiting,
) -> Result<(), SocketError> {
    let mut batch = Batch::default();
    let mut next = Some(first);
    while let Some(frame) = next {
        sink.feed(Told::Text(batch.take(frame))).await?;
        next = (batch.bytes < BATCH_BYTES)
            .then(|| queue.try_next())
            .flatten();
    }
    sink.flush().await?;
    queue.sent(&batch);
    Ok(())
}

/// Returns once the link has been silent or stuck for `timeout`.
///
/// Pings go out more often than that, so a peer that is alive is never silent for long.
async fn watch(meter: &Meter, timeout: Duration) -> Ended {
    loop {
        let (silent, stuck) = (meter.silent_for(), meter.stuck_for());
        if silent >= timeout {
            return Ended::Silent(silent);
        }
        if stuck >= timeout {
            return Ended::Stuck(stuck);
        }
        sleep(timeout - silent.max(stuck)).await;
    }
}

/// A batch ends when it has this many bytes, so that its first frame is not held up by its last.
const BATCH_BYTES: usize = 64 * 1024;
/// How long a peer may take to answer a close.
const CLOSE_WAIT: Duration = Duration::from_millis(500);
