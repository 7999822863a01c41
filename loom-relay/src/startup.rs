//! The time between listening and having read the store: how far that is, and when it is over.
//!
//! Relays and nodes listen first, because reading takes as long as there is data.

use std::sync::Arc;

use tokio::sync::SetOnce;

use crate::store::{Reading, StoreError};

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
