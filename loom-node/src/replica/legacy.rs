//! LoomDB's index souls, for original nodes in the same cluster: they answer `?type=` and the like
//! from these, and would not list our records otherwise. Loom itself never reads them.

use std::collections::BTreeSet;

use loom_relay::model::{Stamp, Value, Write};
use loom_relay::wire::check_write;

use super::write::write;
use crate::index::Row;

/// Appends what makes the index souls tell `now` instead of `was`.
pub(super) fn push_writes(
    was: Option<&Row>,
    now: Option<&Row>,
    stamp: Stamp,
    together: &mut Vec<Write>,
) {
    let before = was.map(souls).unwrap_or_default();
    let after = now.map(souls).unwrap_or_default();
    let Some(row) = now.or(was) else { return };
    let listed = after.iter().map(|soul| (soul, Value::from(true)));
    let gone = before.difference(&after).map(|soul| (soul, Value::null()));
    for (soul, value) in listed.chain(gone) {
        let write = write(soul, &row.id, stamp, value);
        // A record of another peer may have a type too long for a soul; nobody has one of that name.
        if check_write(&write).is_ok() {
            together.push(write);
        }
    }
}

/// The index souls that list this record.
fn souls(row: &Row) -> BTreeSet<String> {
    let kind = &row.kind;
    match &row.ends {
        None => {
            let labels = row.record().metadata.labels.unwrap_or_default();
            let labels = labels.into_iter().filter(|label| !label.is_empty());
            let of_label = labels.map(|label| format!("loomdb:index:nodes:label:{label}"));
            of_label
                .chain([format!("loomdb:index:nodes:type:{kind}")])
                .collect()
        }
        Some(ends) => {
            let (from, to) = (&ends.from, &ends.to);
            BTreeSet::from([
                format!("loomdb:index:edges:type:{kind}"),
                format!("loomdb:index:edges:outgoing:{from}"),
                format!("loomdb:index:edges:outgoing:{from}:{kind}"),
                format!("loomdb:index:edges:incoming:{to}"),
                format!("loomdb:index:edges:incoming:{to}:{kind}"),
            ])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, Table};

    fn told(was: Option<&str>, now: Option<&str>) -> Vec<String> {
        let stamp = Stamp::new(1.0).unwrap();
        let row = |text: &str| {
            let record = Record::read(Table::Nodes, "a", text, stamp).unwrap();
            Row::new(&record, stamp)
        };
        let (was, now) = (was.map(row), now.map(row));
        let mut writes = Vec::new();
        push_writes(was.as_ref(), now.as_ref(), stamp, &mut writes);
        let told = writes.iter().map(|write| {
            assert_eq!(write.field.as_str(), "a");
            format!("{}={}", write.soul, write.cell.value.json())
        });
        told.collect()
    }

    #[test]
    fn index_souls_follow_the_record() {
        assert_eq!(
            told(None, Some(r#"{"type":"x"}"#)),
            ["loomdb:index:nodes:type:x=true"]
        );
        assert_eq!(
            told(
                Some(r#"{"type":"x","metadata":{"labels":["l"]}}"#),
                Some(r#"{"type":"y"}"#)
            ),
            [
                "loomdb:index:nodes:type:y=true",
                "loomdb:index:nodes:label:l=null",
                "loomdb:index:nodes:type:x=null",
            ]
        );
        assert_eq!(
            told(Some(r#"{"type":"x"}"#), None),
            ["loomdb:index:nodes:type:x=null"]
        );
    }
}
