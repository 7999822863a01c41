//! Nodes' clocks that are wrong on purpose. What was set belongs to the node, not to its process: the
//! next one starts with it, or is told as soon as it answers.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::desk::Desks;
use super::{ClusterEvent, Life, Member, RigError, clock_text};

/// For a node to say that its clock is set.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// As much as a node allows: a week.
const AHEAD_MS_MAX: i64 = 7 * 24 * 3_600_000;

/// By how many milliseconds each node's clock is ahead, where it is wrong.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<BTreeMap<Member, i64>>);

impl Clocks {
    pub(super) fn get(&self, member: Member) -> i64 {
        self.lock().get(&member).copied().unwrap_or(0)
    }

    /// Returns what it was.
    pub(super) fn set(&self, member: Member, ahead_ms: i64) -> i64 {
        self.lock().insert(member, ahead_ms).unwrap_or(0)
    }

    /// Sets a node's clock, that of one that is down for its next start.
    pub(super) async fn change(
        &self,
        desks: &Desks,
        node: Member,
        ahead_ms: i64,
    ) -> Result<(), RigError> {
        let refused = |reason: String, next_step: &str| RigError {
            doing: format!("set the clock of {node}"),
            reason,
            next_step: next_step.to_owned(),
            refused: true,
        };
        let status = desks.statuses().find(|status| status.member == node);
        let Some(status) = status.filter(|_| node != Member::Relay) else {
            let reason = "only nodes of this cluster have a clock that can be set".to_owned();
            return Err(refused(reason, "name one of them"));
        };
        if !(-AHEAD_MS_MAX..=AHEAD_MS_MAX).contains(&ahead_ms) {
            let reason = format!("{} is more than a week", clock_text(ahead_ms));
            return Err(refused(reason, "name less"));
        }
        if matches!(status.life, Life::Suspended | Life::Starting) {
            let reason = "it is not answering now".to_owned();
            return Err(refused(reason, "resume it, or wait until it is up"));
        }
        let was = self.set(node, ahead_ms);
        if status.life == Life::Up {
            let authority = status.url.trim_start_matches("http://");
            if let Err(error) = tell(authority, ahead_ms).await {
                if was == 0 && ahead_ms == 0 && error.kind() == io::ErrorKind::Unsupported {
                    // One that cannot be set is right.
                    return Ok(());
                }
                self.set(node, was);
                return Err(match error.kind() {
                    io::ErrorKind::Unsupported => refused(
                        error.to_string(),
                        "start it with --fault-api (FAULT_API=true)",
                    ),
                    _ => RigError {
                        refused: false,
                        ..refused(error.to_string(), "look at its log")
                    },
                });
            }
        }
        if was != ahead_ms {
            // Nobody may be listening.
            let _ = desks.events().send(ClusterEvent {
                at: SystemTime::now(),
                member: Some(node),
                what: format!("clock {}", clock_text(ahead_ms)),
                unexpected: false,
            });
        }
        Ok(())
    }

    /// Sets all clocks right. The first that could not be is told after all were tried.
    pub(super) async fn heal(&self, desks: &Desks) -> Result<(), RigError> {
        let wrong: Vec<Member> = (self.lock().iter())
            .filter_map(|(node, ahead_ms)| (*ahead_ms != 0).then_some(*node))
            .collect();
        let mut healed = Ok(());
        for node in wrong {
            healed = healed.and(self.change(desks, node, 0).await);
        }
        healed
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Member, i64>> {
        // What is held is plain data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the clock of the node that listens on `authority`, which was started with `--fault-api`.
pub(super) async fn tell(authority: &str, ahead_ms: i64) -> io::Result<()> {
    let asked = timeout(ANSWER_WITHIN, ask(authority, ahead_ms));
    asked.await.unwrap_or_else(|_| {
        let text = format!("no answer within {ANSWER_WITHIN:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

async fn ask(authority: &str, ahead_ms: i64) -> io::Result<()> {
    let mut stream = TcpStream::connect(authority).await?;
    let body = format!("{{\"offset_ms\":{ahead_ms}}}");
    let request = format!(
        "POST /faults/clock HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; b"HTTP/1.1 200".len()];
    stream.read_exact(&mut answer).await?;
    if &answer == b"HTTP/1.1 200" {
        return Ok(());
    }
    if &answer == b"HTTP/1.1 404" {
        let text = "it was not started for tests of its clock";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let said = String::from_utf8_lossy(&answer).into_owned();
    Err(io::Error::other(format!("it answered {said}")))
}
