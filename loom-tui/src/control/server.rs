//! The controller's end: serves a backend to whoever connects.
//!
//! Requests of one connection are done side by side, so that a start that waits for health holds
//! up nothing. What a connection is told waits in a queue of [`SAID_MAX`] lines; a client that
//! does not read holds up only itself, and misses events, which it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::Holder;
use super::claim::{Claim, ClaimError};
use super::line::Lines;
use super::wire::{Ask, Hello, Request, Said};
use crate::cluster::{ClusterBackend, ClusterEvent, Link, Member, RigError};

/// Requests of one connection being done at a time; it is not read further meanwhile.
const REQUESTS_MAX: usize = 64;
/// Lines waiting to be written to one connection.
const SAID_MAX: usize = 256;
/// Connections at a time; others wait in the kernel.
const CONNECTIONS_MAX: usize = 64;
/// For the last answers to be read when the controller ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a backend on a claimed path until it is dropped.
#[derive(Debug)]
pub struct Server {
    down: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn open(
        claim: Claim,
        what: &str,
        backend: Arc<dyn ClusterBackend>,
    ) -> Result<Self, ClaimError> {
        let listener = claim.listen()?;
        let (tell_down, down) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let holder = Holder {
            pid: std::process::id(),
            what: what.to_owned(),
        };
        let desk = Arc::new(Desk {
            holder,
            backend,
            down: tell_down,
        });
        let accepting = tokio::spawn(accept(claim, listener, desk, stopped));
        Ok(Self {
            down,
            stop,
            accepting,
        })
    }

    /// Resolves when somebody has ended the cluster with [`Ask::Down`].
    pub async fn down(&self) {
        true_now(&mut self.down.clone()).await;
    }

    /// Stops listening, after answers under way have been read.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        // What is not read by then is lost with the connection.
        let _ = tokio::time::timeout(FAREWELL, &mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections have in common.
#[derive(Debug)]
struct Desk {
    holder: Holder,
    backend: Arc<dyn ClusterBackend>,
    down: watch::Sender<bool>,
}

async fn accept(
    claim: Claim,
    listener: UnixListener,
    desk: Arc<Desk>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = true_now(&mut stopped) => break,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(attend(stream, Arc::clone(&desk), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "control socket cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    // Nobody new finds us from here on; who is connected gets the answers under way.
    drop(claim);
    while connections.join_next().await.is_some() {}
}

/// Resolves when the flag is set, or nobody is left to set it.
async fn true_now(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|set| *set).await;
}

/// Serves one connection until its client hangs up or the server stops.
async fn attend(stream: UnixStream, desk: Arc<Desk>, mut stopped: watch::Receiver<bool>) {
    let (read, write) = stream.into_split();
    let (say, said) = mpsc::channel(SAID_MAX);
    let writing = tokio::spawn(write_all(write, said));
    let mut lines = Lines::new(read);
    let owned = Arc::new(Owned::default());
    let mut doing = JoinSet::new();
    let mut telling = None;
    loop {
        tokio::select! {
            biased;
            () = true_now(&mut stopped) => break,
            Some(_) = doing.join_next(), if !doing.is_empty() => {}
            line = lines.next(), if doing.len() < REQUESTS_MAX => {
                let Ok(Some(line)) = line else { break };
                match serde_json::from_slice::<Request>(&line) {
                    Ok(Request { id, ask: Ask::Events }) => {
                        // Subscribed before the answer: what happens after it is not missed.
                        let events = desk.backend.events();
                        telling.get_or_insert_with(|| Telling::start(events, say.clone()));
                        let _ = say.send(Said::Ok { id, value: Value::Null }).await;
                    }
                    Ok(Request { id, ask }) => {
                        let (desk, say, owned) = (Arc::clone(&desk), say.clone(), Arc::clone(&owned));
                        doing.spawn(async move {
                            let said = match desk.serve(ask, &owned).await {
                                Ok(value) => Said::Ok { id, value },
                                Err(error) => Said::Refused { id, error },
                            };
                            // The client may have hung up without waiting.
                            let _ = say.send(said).await;
                        });
                    }
                    Err(error) => {
                        let _ = say.send(not_understood(&error)).await;
                    }
                }
            }
        }
    }
    while doing.join_next().await.is_some() {}
    if let Err(error) = owned.heal(&*desk.backend).await {
        tracing::warn!(%error, "a fault outlives the client that made it");
    }
    drop((say, telling));
    let _ = writing.await;
}

async fn write_all(mut write: OwnedWriteHalf, mut said: mpsc::Receiver<Said>) {
    while let Some(said) = said.recv().await {
        let Ok(mut line) = serde_json::to_vec(&said) else {
            continue;
        };
        line.push(b'\n');
        if write.write_all(&line).await.is_err() {
            return;
        }
    }
}

fn not_understood(error: &serde_json::Error) -> Said {
    Said::Refused {
        id: 0,
        error: RigError {
            doing: "read a request".to_owned(),
            reason: error.to_string(),
            next_step: "send one JSON object per line, as the control module describes".to_owned(),
            refused: false,
        },
    }
}

/// Passes events on until dropped.
struct Telling(JoinHandle<()>);

impl Telling {
    fn start(mut events: broadcast::Receiver<ClusterEvent>, say: mpsc::Sender<Said>) -> Self {
        Self(tokio::spawn(async move {
            loop {
                let said = match events.recv().await {
                    Ok(event) => Said::Event(event),
                    Err(broadcast::error::RecvError::Lagged(missed)) => Said::Missed(missed),
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                if say.send(said).await.is_err() {
                    return;
                }
            }
        }))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Desk {
    async fn serve(&self, ask: Ask, owned: &Owned) -> Result<Value, RigError> {
        let backend = &*self.backend;
        match ask {
            Ask::Hello { owns_faults } => {
                owned.set(owns_faults);
                return Ok(json!(self.hello().await));
            }
            Ask::Members => return Ok(json!(backend.members().await)),
            Ask::LogTail { member, lines } => {
                return Ok(json!(backend.log_tail(member, lines).await));
            }
            Ask::Traffic { node } => return Ok(json!(backend.traffic(node).await)),
            Ask::Events => {}
            Ask::Start { member } => backend.start(member).await?,
            Ask::Stop { member } => backend.stop(member).await?,
            Ask::Kill { member } => backend.kill(member).await?,
            Ask::Suspend { member } => {
                // Also what fails half way is to be ended.
                owned.add(member);
                backend.suspend(member).await?;
            }
            Ask::Resume { member } => backend.resume(member).await?,
            Ask::Wipe { member } => backend.wipe(member).await?,
            Ask::SetLink {
                node,
                link,
                lease_ms,
            } => {
                let lease = lease_ms.map(Duration::from_millis);
                owned.add(node);
                backend.set_link(node, link, lease).await?;
            }
            Ask::SetClock { node, ahead_ms } => {
                owned.add(node);
                backend.set_clock(node, ahead_ms).await?;
            }
            Ask::Heal => backend.heal().await?,
            Ask::EndOwnedFaults => owned.heal(backend).await?,
            Ask::Down { volumes } => {
                if volumes {
                    backend.forget();
                }
                let ended = backend.shutdown().await;
                self.down.send_replace(true);
                ended?;
            }
        }
        Ok(Value::Null)
    }

    async fn hello(&self) -> Hello {
        let members = self.backend.members().await;
        let logs: BTreeMap<Member, PathBuf> = members
            .iter()
            .filter_map(|status| Some((status.member, self.backend.log_file(status.member)?)))
            .collect();
        Hello {
            holder: self.holder.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: self.backend.kind().to_owned(),
            logs,
        }
    }
}

/// Members that a connection has faulted, if its faults are to end with it.
#[derive(Debug, Default)]
struct Owned(Mutex<Option<BTreeSet<Member>>>);

impl Owned {
    fn set(&self, owns: bool) {
        *self.members() = owns.then(BTreeSet::new);
    }

    fn add(&self, member: Member) {
        if let Some(members) = &mut *self.members() {
            members.insert(member);
        }
    }

    /// Ends them. Whatever was healed already is left as it is by that.
    async fn heal(&self, backend: &dyn ClusterBackend) -> Result<(), RigError> {
        let members = self.members().as_mut().map(std::mem::take);
        let mut worst = Ok(());
        // Of a member that is not there nothing was made, only asked for.
        let there: BTreeSet<Member> = (backend.members().await.iter())
            .map(|status| status.member)
            .collect();
        for member in members.unwrap_or_default().intersection(&there).copied() {
            let resumed = backend.resume(member).await;
            let cleared = match member {
                Member::Node(_) => {
                    let linked = backend.set_link(member, Link::default(), None).await;
                    linked.and(backend.set_clock(member, 0).await)
                }
                Member::Relay => Ok(()),
            };
            worst = worst.and(resumed).and(cleared);
        }
        worst
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Option<BTreeSet<Member>>> {
        // Nothing in here can panic half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
