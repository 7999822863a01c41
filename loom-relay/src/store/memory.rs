//! A store that forgets everything with the process: for tests.

use std::collections::BTreeMap;

use super::{Durability, Store, StoreError};
use crate::model::{Cell, Change, Field, Soul, Write};

/// Keeps the newest write of each field in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    fields: BTreeMap<(Soul, Field), Cell>,
}

impl Store for MemoryStore {
    fn load(&mut self, each: &mut dyn FnMut(Write)) -> Result<(), StoreError> {
        for ((soul, field), cell) in &self.fields {
            each(Write {
                soul: soul.clone(),
                field: field.clone(),
                cell: cell.clone(),
            });
        }
        Ok(())
    }

    fn commit(&mut self, batch: &[Change]) -> Result<(), StoreError> {
        for Change { write, .. } in batch {
            let key = (write.soul.clone(), write.field.clone());
            self.fields.insert(key, write.cell.clone());
        }
        Ok(())
    }

    fn durability(&self) -> Durability {
        // As durable as it will ever be once `commit` has returned; acknowledge after that.
        Durability::Os
    }
}
