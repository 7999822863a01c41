//! The time between listening and having read the store: how far that is, and when it is over.
//!
//! Relays and nodes listen first, because reading takes as long as there is data.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::SetOnce;

use crate::config::StoreConfig;
use crate::driver::{Hub, PeerUrl};
use crate::graph::Held;
use crate::store::disk::DiskStore;
use crate::store::{Reading, Store, StoreError};

/// What a server goes on from, and where it keeps it; without a store it is in memory only.
pub type Opened = (Held, Option<Box<dyn Store>>);

/// Opens the store that is configured and reads all of it. Blocks.
///
/// # Errors
///
/// [`StoreError`] when it cannot be opened, or less can be read than was once stored.
pub fn open(config: &StoreConfig, reading: Arc<Reading>) -> Result<Opened, StoreError> {
    let started = Instant::now();
    let mut store = DiskStore::open(&config.directory, config.durability)?;
    store.watch_load(reading);
    let held = store.load()?;
    tracing::info!(
        directory = %config.directory.display(),
        durability = %config.durability,
        fields = held.graph.len(),
        deferred = held.deferred.len(),
        took = ?started.elapsed(),
        "store opened"
    );
    Ok((held, Some(Box::new(store))))
}

/// How far a server is with starting; when it has started, also what is known only then.
#[derive(Debug)]
pub struct Startup<T> {
    reading: Arc<Reading>,
    started: SetOnce<T>,
}

impl<T> Default for Startup<T> {
    fn default() -> Self {
        Self {
            reading: Arc::default(),
            started: SetOnce::new(),
        }
    }
}

impl<T> Startup<T> {
    /// Calls `open` in a thread that may block. Dropping what this returns gives the reading up.
    pub fn read<R, F>(&self, open: F) -> impl Future<Output = Result<R, StoreError>> + use<T, R, F>
    where
        R: Send + 'static,
        F: FnOnce(Arc<Reading>) -> Result<R, StoreError> + Send + 'static,
    {
        let reading = Arc::clone(&self.reading);
        let unwanted = GiveUp(Arc::clone(&self.reading));
        async move {
            let opened = tokio::task::spawn_blocking(move || open(reading)).await;
            drop(unwanted);
            opened.unwrap_or_else(|panic| Err(StoreError::new("reading the store", panic)))
        }
    }

    /// Everything that is held is there.
    pub fn over(&self, known: T) {
        // It is over once.
        let _ = self.started.set(known);
    }

    /// Returns when it is over.
    pub async fn wait(&self) {
        self.started.wait().await;
    }

    /// Dials `peers` when it is over: they are told what is held when they are dialled, so it has
    /// to be there. Never ends, so that a server may wait for it beside whatever ends the server.
    pub async fn dial<C>(self: Arc<Self>, hub: Hub<C>, peers: Vec<PeerUrl>) -> Infallible {
        self.wait().await;
        for peer in peers {
            hub.dial(peer);
        }
        std::future::pending().await
    }

    /// `None` while the store is being read.
    pub fn started(&self) -> Option<&T> {
        self.started.get()
    }

    /// Entries read so far.
    pub fn entries(&self) -> u64 {
        self.reading.entries()
    }
}

/// Whoever stops while the store is being read does not wait for the rest of it.
struct GiveUp(Arc<Reading>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
