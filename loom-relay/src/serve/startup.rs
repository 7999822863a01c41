//! The time between listening and having read the store: how far that is, and when it is over.

use std::sync::Arc;

use tokio::sync::SetOnce;

use super::Opened;
use crate::store::{Durability, Reading, StoreError};

/// How far a relay is with starting.
#[derive(Debug, Default)]
pub(super) struct Startup {
    reading: Arc<Reading>,
    /// Set when it has started: what its store promises, if it has one.
    started: SetOnce<Option<Durability>>,
}

impl Startup {
    /// Calls `open` in a thread that may block. Dropping what this returns gives the reading up.
    pub(super) fn read<F>(
        &self,
        open: F,
    ) -> impl Future<Output = Result<Opened, StoreError>> + use<F>
    where
        F: FnOnce(Arc<Reading>) -> Result<Opened, StoreError> + Send + 'static,
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
    pub(super) fn over(&self, durability: Option<Durability>) {
        // It is over once.
        let _ = self.started.set(durability);
    }

    /// Returns when it is over.
    pub(super) async fn wait(&self) {
        self.started.wait().await;
    }

    /// `None` while the store is being read; then what it promises, `None` again in memory.
    pub(super) fn durability(&self) -> Option<Option<Durability>> {
        self.started.get().copied()
    }

    /// Entries read so far.
    pub(super) fn entries(&self) -> u64 {
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
