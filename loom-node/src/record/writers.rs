//! Which writes a record builds on: how many of each node. Tells an update from a conflict.
//!
//! HAM picks a winner by time and says nothing about what its writer had seen. Two writes are in
//! conflict when neither builds on the other; comparing these counts decides that exactly
//! (a version vector: Parker et al., "Detection of Mutual Inconsistency", 1983).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

/// Writes counted by node id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Writers(BTreeMap<String, u64>);

impl Writers {
    /// Reads `metadata.writers`; anything that is not a count is left out.
    pub fn read(json: Json) -> Self {
        let Json::Object(members) = json else {
            return Self::default();
        };
        let counts = members.into_iter();
        Self(
            counts
                .filter_map(|(node, count)| Some((node, count.as_u64()?)))
                .collect(),
        )
    }

    /// Whether nothing is known: the writer was not a Loom node.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts one more write of `node`.
    pub fn count(&mut self, node: &str) {
        let count = self.0.entry(node.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// Whether every write counted in `other` is counted here, and at least one more.
    pub fn builds_on(&self, other: &Self) -> bool {
        self != other && (other.0.iter()).all(|(node, count)| self.0.get(node) >= Some(count))
    }

    /// Whether neither write builds on the other. Not known, and so false, when either writer
    /// does not count.
    pub fn conflict_with(&self, other: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && !self.builds_on(other) && !other.builds_on(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_writes_that_do_not_build_on_each_other_conflict() {
        for (a, b, conflict) in [
            (json!({"n1": 1}), json!({"n1": 2}), false),
            (json!({"n1": 1}), json!({"n1": 1, "n2": 1}), false),
            (json!({"n1": 2}), json!({"n1": 1, "n2": 1}), true),
            (json!({"n1": 1}), json!({"n2": 1}), true),
            // Both from the same node's first write: it forgot the other one.
            (json!({"n1": 1}), json!({"n1": 1}), true),
            (json!({}), json!({"n1": 1}), false),
            (json!("odd"), json!({"n1": "odd"}), false),
        ] {
            let (left, right) = (Writers::read(a.clone()), Writers::read(b.clone()));
            assert_eq!(left.conflict_with(&right), conflict, "{a} against {b}");
            assert_eq!(right.conflict_with(&left), conflict, "{b} against {a}");
        }
    }

    #[test]
    fn a_counted_write_builds_on_what_it_was_counted_on() {
        let mut writers = Writers::read(json!({"n1": 3, "n2": 1}));
        let before = writers.clone();
        writers.count("n3");
        assert!(writers.builds_on(&before));
        assert!(!before.builds_on(&writers));
    }
}
