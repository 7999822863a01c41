//! Decides when to dial a peer: at once, again within a quarter second, then ever more patiently,
//! forever.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite;

use super::hub::Links;
use super::meter::{Meter, Metered};
use super::socket::{Socket, limits};
use super::url::PeerUrl;
use crate::machine::Side;

/// Dials `url` until the driver stops, one attempt at a time.
pub(super) async fn keep(links: Links, url: PeerUrl) {
    let stopping = links.stopping.clone();
    tokio::select! {
        biased;
        () = stopping.cancelled() => {}
        () = keep_dialling(&links, &url) => {}
    }
}

async fn keep_dialling(links: &Links, url: &PeerUrl) {
    let mut backoff = Backoff::default();
    loop {
        links.stats.dials.up();
        match connect(links, url).await {
            Ok((socket, meter)) => {
                tracing::info!(%url, "linked");
                let opened = Instant::now();
                let far = url.as_str().into();
                let Some(ending) = links.open(socket, Side::Dialled, meter, far).await else {
                    return;
                };
                match ending.await {
                    Ok(ended) => {
                        tracing::warn!(%url, reason = %ended, "link lost; dialling again");
                    }
                    // Its task panicked. If it is that the driver ended, the next link finds out.
                    Err(_) => tracing::error!(%url, "link lost to a bug; dialling again"),
                }
                // A peer that takes links only to drop them at once is not dialled in a tight loop.
                if opened.elapsed() >= STABLE_AFTER {
                    backoff = Backoff::default();
                }
            }
            Err(error) => {
                links.stats.dial_failures.up();
                if backoff.failures.is_multiple_of(REPORT_EVERY) {
                    tracing::warn!(%url, %error, "cannot link; dialling on");
                }
            }
        }
        sleep(backoff.next_pause()).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Connect(std::io::Error),
    #[error("the peer refused with HTTP {0}")]
    Refused(u16),
    #[error("{0}")]
    Handshake(tungstenite::Error),
}

/// Connects and shakes hands within one time limit: a black-holed link accepts and stays silent.
async fn connect(links: &Links, url: &PeerUrl) -> Result<(Socket, Meter), DialError> {
    let limit = links.config.dial_timeout;
    let attempt = async {
        let stream = TcpStream::connect(url.address())
            .await
            .map_err(DialError::Connect)?;
        stream.set_nodelay(true).map_err(DialError::Connect)?;
        let stream = Metered::new(stream);
        let meter = stream.meter().clone();
        let config = limits(links.config.frame_bytes_max);
        let (socket, _) = client_async_with_config(url.as_str(), stream, Some(config))
            .await
            .map_err(|error| match error {
                tungstenite::Error::Http(answer) => DialError::Refused(answer.status().as_u16()),
                other => DialError::Handshake(other),
            })?;
        Ok((Socket::Dialled(Box::new(socket)), meter))
    };
    timeout(limit, attempt)
        .await
        .unwrap_or(Err(DialError::Timeout(limit)))
}

/// Pauses between attempts: doubling, each anywhere in the upper half of its range, so that nodes
/// which lost one relay together do not all come back in the same millisecond.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    fn next_pause(&mut self) -> Duration {
        let ceiling = FIRST_PAUSE_MAX
            .saturating_mul(1 << self.failures.min(10))
            .min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// GUN clients wait two seconds; a relay that restarts is back much sooner.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A link that lasted this long makes the next pause a first one again.
const STABLE_AFTER: Duration = Duration::from_secs(1);
/// Failures between two log lines: about a minute at the longest pause.
const REPORT_EVERY: u32 = 30;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio::sync::{Semaphore, mpsc};
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::super::hub::{Event, Inbox};
    use super::*;

    #[tokio::test]
    async fn a_link_that_ended_without_a_word_is_dialled_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/gun", listener.local_addr().unwrap());
        let (events, mut inbox) = mpsc::channel(1);
        let links = Links {
            inbox: Inbox {
                events,
                bytes: Arc::new(Semaphore::new(1)),
                bytes_max: 1,
            },
            config: Arc::default(),
            stats: Arc::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            room: Arc::new(Semaphore::new(1)),
            next_peer: Arc::default(),
            own_bytes: Arc::default(),
        };
        let dialling = tokio::spawn(keep(links, PeerUrl::parse(&url).unwrap()));
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            let _socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let opened = inbox.recv().await.expect("it dials");
            assert!(matches!(opened, Event::Opened(_)));
            // With it goes what would say how the link ended.
            drop(opened);
        }
        drop(inbox);
        let (stream, _) = listener.accept().await.unwrap();
        let _socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        // Without a driver there is nothing to dial for.
        dialling.await.unwrap();
    }

    #[test]
    fn the_first_pause_is_short_and_none_exceeds_two_seconds() {
        let mut backoff = Backoff::default();
        assert!(backoff.next_pause() <= Duration::from_millis(250));
        for _ in 0..10_000 {
            let pause = backoff.next_pause();
            assert!(pause <= PAUSE_MAX, "{pause:?}");
            assert!(pause >= FIRST_PAUSE_MAX / 2, "{pause:?}");
        }
        assert!(backoff.next_pause() >= Duration::from_secs(1));
    }
}
