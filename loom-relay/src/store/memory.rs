//! A store that forgets everything with the process: for tests.

use super::{Durability, Store, StoreError};
use crate::graph::{Graph, Held};
use crate::machine::{Batch, Deferral};
use crate::model::{Stamp, Write};

/// Keeps the newest write of each field in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    graph: Graph,
    deferred: Vec<Write>,
    lease: Option<Stamp>,
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Held, StoreError> {
        Ok(Held {
            graph: self.graph.clone(),
            deferred: self.deferred.clone(),
            lease: self.lease,
        })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for change in &batch.changes {
            self.graph.overrule(change.write.clone());
        }
        for deferral in &batch.deferrals {
            let (Deferral::Waits(write) | Deferral::Over(write)) = deferral;
            self.deferred.retain(|held| held != write);
            if let Deferral::Waits(write) = deferral {
                self.deferred.push(write.clone());
            }
        }
        self.lease = self.lease.max(batch.lease);
        Ok(())
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.lease = None;
        Ok(())
    }

    fn durability(&self) -> Durability {
        // As durable as it will ever be once `commit` has returned; acknowledge after that.
        Durability::Os
    }
}
