//! The driver and its store: nothing is acknowledged before it is stored, waiting batches share a
//! commit, a store that cannot keep up slows the peers instead of filling memory, and one that
//! fails ends everything.

use std::sync::{Arc, Condvar, Mutex};

use super::rig::{Ask, Rig, Saw, connect, quick, within};
use futures_util::SinkExt;
use loom_relay::driver::{CommandError, DriverConfig, DriverError};
use loom_relay::graph::Held;
use loom_relay::machine::{Batch, Commit};
use loom_relay::serve::{ServeError, serve_until};
use loom_relay::store::{Durability, Store, StoreError};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio_tungstenite::tungstenite::Message;

/// A store whose commits wait for the test.
#[derive(Clone, Debug)]
struct Gate {
    inner: Arc<(Mutex<State>, Condvar)>,
    durability: Durability,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    failing: bool,
    /// Commits fail and may be tried again.
    stalling: bool,
    /// How many changes each commit that was begun contained.
    begun: Vec<usize>,
}

impl Gate {
    fn closed(durability: Durability) -> Self {
        Self {
            inner: Arc::default(),
            durability,
        }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.inner.0.lock().unwrap());
        self.inner.1.notify_all();
    }

    fn begun(&self) -> Vec<usize> {
        self.inner.0.lock().unwrap().begun.clone()
    }

    async fn first_begun(&self) {
        within(async {
            while self.begun().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Store for Gate {
    fn load(&mut self) -> Result<Held, StoreError> {
        Ok(Held::default())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let (state, changed) = &*self.inner;
        let mut state = state.lock().unwrap();
        state.begun.push(batch.changes.len());
        state = changed
            .wait_while(state, |it| !it.open && !it.failing && !it.stalling)
            .unwrap();
        if state.stalling {
            return Err(StoreError::new("writing to nowhere", "disk full").passing());
        }
        if state.failing {
            return Err(StoreError::new("writing to nowhere", "no space left"));
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn durability(&self) -> Durability {
        self.durability
    }
}

fn rig(gate: &Gate, keeps: bool) -> Rig {
    Rig::start_with(quick(), Some(Box::new(gate.clone())), keeps)
}

async fn write(rig: &Rig) -> oneshot::Receiver<Commit> {
    let (reply, done) = oneshot::channel();
    rig.hub.command(Ask::Write(reply)).await.unwrap();
    done
}

#[tokio::test]
async fn nothing_is_committed_before_the_store_says_so() {
    let gate = Gate::closed(Durability::Sync);
    let mut rig = rig(&gate, false);
    let mut first = write(&rig).await;
    gate.first_begun().await;
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    // The driver itself does not wait with the store.
    assert!(rig.hub.links().await.is_empty());
    gate.set(|it| it.open = true);
    assert_eq!(within(first).await, Ok(Commit(1)));
    assert_eq!(rig.next().await, Saw::Committed(Commit(1)));
}

#[tokio::test]
async fn everything_that_arrives_during_a_commit_rides_in_the_next() {
    let gate = Gate::closed(Durability::Sync);
    let rig = rig(&gate, false);
    let first = write(&rig).await;
    gate.first_begun().await;
    let mut rest = Vec::new();
    for _ in 0..20 {
        rest.push(write(&rig).await);
    }
    // Answered by the driver after all of them.
    rig.hub.links().await;
    gate.set(|it| it.open = true);
    within(first).await.unwrap();
    for done in rest {
        assert_eq!(within(done).await, Ok(Commit(21)));
    }
    assert_eq!(gate.begun(), [1, 20]);
    assert_eq!(rig.hub.stats().store.batches.get(), 21);
    assert_eq!(rig.hub.stats().store.commits.get(), 2);
}

#[tokio::test]
async fn without_durability_a_write_is_committed_at_once_and_still_stored() {
    let gate = Gate::closed(Durability::None);
    let rig = rig(&gate, false);
    assert_eq!(within(write(&rig).await).await, Ok(Commit(1)));
    gate.first_begun().await;
    gate.set(|it| it.open = true);
    within(rig.driver.shutdown()).await.unwrap();
    assert_eq!(gate.begun(), [1]);
}

#[tokio::test]
async fn without_a_store_a_write_is_committed_at_once() {
    let mut rig = Rig::start(DriverConfig::default());
    assert_eq!(within(write(&rig).await).await, Ok(Commit(1)));
    assert_eq!(rig.next().await, Saw::Committed(Commit(1)));
}

#[tokio::test]
async fn a_failed_commit_is_never_reported_and_ends_the_driver() {
    let gate = Gate::closed(Durability::Sync);
    let mut rig = rig(&gate, false);
    let lost = write(&rig).await;
    gate.first_begun().await;
    gate.set(|it| it.failing = true);
    let error = within(rig.driver.failed()).await;
    assert!(matches!(error, DriverError::Store(_)));
    assert!(error.to_string().contains("no space left"), "{error}");
    within(lost)
        .await
        .expect_err("acknowledged although it was not stored");
    assert!(rig.saw.recv().await.is_none());
}

#[tokio::test]
async fn a_commit_that_may_yet_succeed_is_tried_again_and_nothing_is_reported_before() {
    let gate = Gate::closed(Durability::Sync);
    let mut rig = rig(&gate, false);
    gate.set(|it| it.stalling = true);
    let mut first = write(&rig).await;
    let Saw::Stalled(why) = rig.next().await else {
        panic!("not told that nothing is stored");
    };
    assert_eq!(why, "writing to nowhere: disk full");
    let mut second = write(&rig).await;
    // Tried more than once, without another word to the machine.
    within(async {
        while rig.hub.stats().store.failures.get() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    gate.set(|it| (it.stalling, it.open) = (false, true));
    assert_eq!(rig.next().await, Saw::Resumed);
    within(first).await.unwrap();
    within(second).await.unwrap();
    assert_eq!(gate.begun().last(), Some(&2), "both in one commit");
}

#[tokio::test]
async fn a_full_queue_of_a_stalled_store_keeps_nobody_from_reading() {
    let gate = Gate::closed(Durability::Sync);
    let mut rig = rig(&gate, false);
    let first = write(&rig).await;
    gate.first_begun().await;
    for _ in 0..4_096 {
        drop(write(&rig).await);
    }
    gate.set(|it| it.stalling = true);
    assert!(matches!(rig.next().await, Saw::Stalled(_)));
    assert!(within(rig.hub.links()).await.is_empty());
    gate.set(|it| (it.stalling, it.open) = (false, true));
    assert_eq!(rig.next().await, Saw::Resumed);
    within(first).await.unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_stalled_store_and_says_what_is_not_stored() {
    let gate = Gate::closed(Durability::Sync);
    let mut rig = rig(&gate, false);
    gate.set(|it| it.stalling = true);
    let lost = write(&rig).await;
    assert!(matches!(rig.next().await, Saw::Stalled(_)));
    let error = within(rig.driver.shutdown()).await.unwrap_err();
    assert!(error.to_string().contains("disk full"), "{error}");
    within(lost)
        .await
        .expect_err("acknowledged although it was not stored");
}

#[tokio::test]
async fn shutdown_stores_what_was_asked_before_it() {
    let gate = Gate::closed(Durability::Sync);
    let rig = rig(&gate, false);
    let first = write(&rig).await;
    gate.first_begun().await;
    let second = write(&rig).await;
    let down = tokio::spawn(rig.driver.shutdown());
    tokio::task::yield_now().await;
    assert!(!down.is_finished());
    gate.set(|it| it.open = true);
    within(down).await.unwrap().unwrap();
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_keep_up_stops_the_readers_and_loses_nothing() {
    const FRAMES: usize = 30_000;
    let gate = Gate::closed(Durability::Sync);
    let mut rig = rig(&gate, true);
    let mut client = connect(rig.serve().await).await;
    let peer = rig.next_up().await;
    let writing = tokio::spawn(async move {
        for number in 0..FRAMES {
            client
                .feed(Message::text(number.to_string()))
                .await
                .unwrap();
        }
        client.flush().await.unwrap();
        client
    });

    let mut heard = 0;
    // Taken in: one commit under way, a full queue, and the turn that filled it.
    let taken_max = 1 + 4096 + 64;
    let waited = quick().ping_timeout * 2;
    while let Ok(saw) = tokio::time::timeout(waited, rig.saw.recv()).await {
        assert_eq!(saw, Some(Saw::Heard(peer, heard.to_string().into())));
        heard += 1;
        assert!(
            heard <= taken_max,
            "more was taken in than the store's queue holds"
        );
    }
    assert!(heard >= 4096, "stopped after {heard}");

    gate.set(|it| it.open = true);
    while heard < FRAMES {
        match rig.next().await {
            Saw::Heard(_, frame) => {
                assert_eq!(frame, heard.to_string());
                heard += 1;
            }
            Saw::Committed(_) => {}
            other => panic!("not reading on purpose is not a reason to hang up: {other:?}"),
        }
    }
    drop(within(writing).await.unwrap());
}

#[tokio::test]
async fn a_server_that_broke_stores_what_it_was_asked_to_before_it_ends() {
    let gate = Gate::closed(Durability::Sync);
    let rig = rig(&gate, false);
    let done = write(&rig).await;
    gate.first_begun().await;
    let serving = tokio::spawn(async { panic!("a bug in the server") });
    let ending = serve_until(
        std::future::ready(()),
        std::future::pending(),
        rig.driver,
        serving,
        || {},
    );
    let ending = tokio::spawn(ending);
    // It has noticed by the time that nothing more can be asked.
    within(async {
        let ask = || rig.hub.try_command(Ask::Write(oneshot::channel().0));
        while ask() != Err(CommandError::Stopped) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!ending.is_finished(), "it waits for its store");
    gate.set(|it| it.open = true);
    let ended = within(ending).await.unwrap();
    assert!(matches!(ended, Err(ServeError::Broken(_))), "{ended:?}");
    assert!(within(done).await.is_ok());
}
