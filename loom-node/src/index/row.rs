//! One record as the index holds it: its text, ready to be sent, and what it is found by.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use loom_relay::model::{Stamp, Value};

use crate::record::outline::Outline;
use crate::record::{Foreign, Record, Table};

/// A record that can be shown. Shared by the index, the feed, the history and answers on their way
/// out; never changed, only replaced.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it is listed.
    pub table: Table,
    /// Unique in its table.
    pub id: Arc<str>,
    /// LoomDB's `type`.
    pub kind: Arc<str>,
    /// For edges.
    pub ends: Option<Ends>,
    /// What it won its merge with.
    pub stamp: Stamp,
    /// [`Record::json`]: a JSON object, never empty.
    json: OnceLock<Box<str>>,
    /// What the graph holds, of a row that nobody has looked at since the start.
    held: Option<Value>,
}

/// The two vertices an edge connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Id of the vertex it leaves.
    pub from: Arc<str>,
    /// Id of the vertex it enters.
    pub to: Arc<str>,
}

/// What rows share while many are made.
#[derive(Debug, Default)]
pub struct Kinds {
    known: HashSet<Arc<str>>,
    buffer: String,
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        // The rest follows from the text.
        (self.table, &self.id, self.stamp) == (other.table, &other.id, other.stamp)
            && self.json() == other.json()
    }
}

impl Eq for Row {}

impl Row {
    /// The row of a record that holds since `stamp`.
    pub fn new(record: &Record, stamp: Stamp) -> Self {
        let ends = record.link.as_ref().map(|link| Ends {
            from: link.from.as_str().into(),
            to: link.to.as_str().into(),
        });
        Self {
            table: if ends.is_some() {
                Table::Edges
            } else {
                Table::Nodes
            },
            id: record.id.as_str().into(),
            kind: record.kind.as_str().into(),
            ends,
            stamp,
            json: OnceLock::from(Box::from(record.json())),
            held: None,
        }
    }

    /// The row of what the graph holds for `id`: nothing is made of it but what it is found by,
    /// until somebody looks at it. `None` for a record that was deleted.
    ///
    /// # Errors
    ///
    /// [`Foreign`] when that is no record.
    pub fn of_held(
        table: Table,
        id: Arc<str>,
        (stamp, held): (Stamp, &Value),
        kinds: &mut Kinds,
    ) -> Result<Option<Self>, Foreign> {
        if held.is_null() {
            return Ok(None);
        }
        let text = held.read_text(&mut kinds.buffer);
        let text = text.ok_or(Foreign::NotAnObject)?;
        let Outline { kind, ends } = Outline::read(table, &id, text, stamp)?;
        let ends = ends.map(|[from, to]| Ends {
            from: from.into(),
            to: to.into(),
        });
        let known = kinds.known.get(&*kind).cloned();
        let kind = known.unwrap_or_else(|| {
            let kind = Arc::<str>::from(kind);
            kinds.known.insert(kind.clone());
            kind
        });
        Ok(Some(Self {
            table,
            id,
            kind,
            ends,
            stamp,
            json: OnceLock::new(),
            held: Some(held.clone()),
        }))
    }

    /// The record itself, to be changed or compared.
    pub fn record(&self) -> Record {
        self.read(self.json())
    }

    fn read(&self, text: &str) -> Record {
        Record::read(self.table, &self.id, text, self.stamp).expect(
            "a record's text reads as that record, and what is held has been looked through",
        )
    }

    fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let text = self.held.as_ref().and_then(Value::as_text);
            let text = text.expect("a row without text is of a value that is one");
            self.read(&text).json().into()
        })
    }

    /// Appends the record as the API shows it: with its `state`, and marked if it `dangles`.
    pub fn push_json(&self, dangles: bool, out: &mut String) {
        let json = self.json();
        out.push_str(&json[..json.len() - 1]);
        let _ = write!(out, ",\"state\":{}", self.stamp);
        if dangles {
            out.push_str(",\"dangling\":true");
        }
        out.push('}');
    }

    /// About how much memory the row takes, in bytes.
    pub fn weight(&self) -> usize {
        let ends = (self.ends.as_ref()).map_or(0, |ends| ends.from.len() + ends.to.len());
        size_of::<Self>() + self.id.len() + self.kind.len() + ends + self.json().len()
    }
}
