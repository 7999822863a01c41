//! A record: one vertex or one edge, as LoomDB lays it out in JSON.
//!
//! The door in is [`Record::read`], which takes what any peer wrote; the door out is
//! [`Record::json`], which always has the whole shape. What the users of the REST API send goes
//! through [`draft`] and [`patch`], which are strict and explain themselves.

pub mod draft;
pub mod id;
pub mod invalid;
pub mod json;
pub mod outline;
pub mod patch;
pub mod writers;

use std::fmt;

use loom_relay::model::Stamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Number, Value as Json};

use self::json::Plain;
use self::writers::Writers;

/// Which of the two kinds of record: each lives under a soul of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `loomdb:nodes`, `/nodes`.
    Nodes,
    /// `loomdb:edges`, `/edges`.
    Edges,
}

impl Table {
    /// Both, in the order they are listed everywhere.
    pub const ALL: [Self; 2] = [Self::Nodes, Self::Edges];

    /// The soul LoomDB keeps these records under.
    pub fn soul(self) -> &'static str {
        match self {
            Self::Nodes => "loomdb:nodes",
            Self::Edges => "loomdb:edges",
        }
    }

    /// The table kept under `soul`.
    pub fn of_soul(soul: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.soul() == soul)
    }

    /// `node` or `edge`: the member a record is answered under, and the start of its change types.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Nodes => "node",
            Self::Edges => "edge",
        }
    }

    /// `nodes` or `edges`: the member a list is answered under, and its path.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Edges => "edges",
        }
    }

    /// As sentences start with it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Nodes => "Node",
            Self::Edges => "Edge",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.plural())
    }
}

/// The type of a record whose writer gave none.
pub const DEFAULT_TYPE: &str = "custom";

/// A vertex, or an edge if it has a [`Link`].
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Unique in its table; also the field it is kept in.
    pub id: String,
    /// LoomDB's `type`. Any string; LoomDB suggests some.
    pub kind: String,
    /// The user's own data.
    pub properties: Map<String, Json>,
    /// What makes it an edge.
    pub link: Option<Link>,
    /// Who wrote it and when.
    pub metadata: Metadata,
    /// Members this version does not know, as another peer wrote them.
    pub extra: Map<String, Json>,
}

/// What an edge has beyond a vertex.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Id of the vertex it leaves; that vertex may not have arrived yet.
    pub from: String,
    /// Id of the vertex it enters; that vertex may not have arrived yet.
    pub to: String,
    /// If its writer gave one.
    pub weight: Option<Number>,
    /// True unless its writer said otherwise.
    pub directed: bool,
}

/// Who wrote a record and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Milliseconds since the Unix epoch, by the creator's clock.
    pub created_at: Number,
    /// Milliseconds since the Unix epoch, by the last writer's clock.
    pub updated_at: Number,
    /// Node id of the creator.
    pub created_by: String,
    /// 1 when created, one more with each write.
    pub version: u64,
    /// How many writes of each node this version builds on; empty if its writer does not count.
    pub writers: Writers,
    /// LoomDB's labels.
    pub labels: Option<Vec<String>>,
    /// Members this version does not know, as another peer wrote them.
    pub extra: Map<String, Json>,
}

/// Why a value under a record soul is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// Not a JSON object in text form.
    #[error("not the text of a JSON object")]
    NotAnObject,
    /// `type` or `properties` of an unexpected kind.
    #[error("its type must be a string and its properties an object")]
    OddMember,
    /// An edge without both ends.
    #[error("an edge needs from and to")]
    NoEnds,
}

impl Record {
    /// Reads what some peer wrote for `id`, stamped `stamp`. Whatever LoomDB has a default for may
    /// be missing; members this version does not know are kept.
    ///
    /// # Errors
    ///
    /// [`Foreign`] when it cannot be shown as a record of this table.
    pub fn read(table: Table, id: &str, text: &str, stamp: Stamp) -> Result<Self, Foreign> {
        let Ok(Plain(Json::Object(mut members))) = serde_json::from_str(text) else {
            return Err(Foreign::NotAnObject);
        };
        // The field decides what a record is called; these two are added when it is shown.
        for shown in ["id", "state", "dangling"] {
            members.remove(shown);
        }
        let kind = match members.remove("type") {
            None | Some(Json::Null) => DEFAULT_TYPE.to_owned(),
            Some(Json::String(kind)) => kind,
            Some(_) => return Err(Foreign::OddMember),
        };
        let properties = match members.remove("properties") {
            None | Some(Json::Null) => Map::new(),
            Some(Json::Object(properties)) => properties,
            Some(_) => return Err(Foreign::OddMember),
        };
        let link = match table {
            Table::Nodes => None,
            Table::Edges => Some(Link::read(&mut members).ok_or(Foreign::NoEnds)?),
        };
        let metadata = match members.remove("metadata") {
            Some(Json::Object(metadata)) => Metadata::read(metadata, stamp),
            _ => Metadata::read(Map::new(), stamp),
        };
        Ok(Self {
            id: id.to_owned(),
            kind,
            properties,
            link,
            metadata,
            extra: members,
        })
    }

    /// The record as JSON text, members in LoomDB's order.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("string keys and plain values always serialise")
    }

    /// Whether two writes say the same to a user, whoever wrote them and when.
    pub fn same_content(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.properties == other.properties
            && self.link == other.link
            && self.metadata.labels == other.metadata.labels
            && self.extra == other.extra
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        if let Some(link) = &self.link {
            map.serialize_entry("from", &link.from)?;
            map.serialize_entry("to", &link.to)?;
        }
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("properties", &self.properties)?;
        if let Some(link) = &self.link {
            if let Some(weight) = &link.weight {
                map.serialize_entry("weight", weight)?;
            }
            map.serialize_entry("directed", &link.directed)?;
        }
        map.serialize_entry("metadata", &self.metadata)?;
        for (key, value) in &self.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Link {
    fn read(members: &mut Map<String, Json>) -> Option<Self> {
        let (Some(Json::String(from)), Some(Json::String(to))) =
            (members.remove("from"), members.remove("to"))
        else {
            return None;
        };
        let weight = match members.remove("weight") {
            Some(Json::Number(weight)) => Some(weight),
            _ => None,
        };
        let directed = !matches!(members.remove("directed"), Some(Json::Bool(false)));
        Some(Self {
            from,
            to,
            weight,
            directed,
        })
    }
}

impl Metadata {
    fn read(mut members: Map<String, Json>, stamp: Stamp) -> Self {
        let mut time = |name: &str| match members.remove(name) {
            Some(Json::Number(ms)) => ms,
            _ => Number::from(stamp.ms().max(0.0) as u64),
        };
        let created_at = time("createdAt");
        let updated_at = time("updatedAt");
        let created_by = match members.remove("createdBy") {
            Some(Json::String(node)) => node,
            _ => "unknown".to_owned(),
        };
        let version = members
            .remove("version")
            .and_then(|version| version.as_u64());
        let writers = members.remove("writers");
        let labels = match members.remove("labels") {
            Some(Json::Array(labels)) => Some(
                labels
                    .into_iter()
                    .filter_map(|label| match label {
                        Json::String(label) => Some(label),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => None,
        };
        Self {
            created_at,
            updated_at,
            created_by,
            version: version.unwrap_or(1),
            writers: writers.map(Writers::read).unwrap_or_default(),
            labels,
            extra: members,
        }
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("createdAt", &self.created_at)?;
        map.serialize_entry("updatedAt", &self.updated_at)?;
        map.serialize_entry("createdBy", &self.created_by)?;
        map.serialize_entry("version", &self.version)?;
        if !self.writers.is_empty() {
            map.serialize_entry("writers", &self.writers)?;
        }
        if let Some(labels) = &self.labels {
            map.serialize_entry("labels", labels)?;
        }
        for (key, value) in &self.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp::new(1_800_000_000_000.5).unwrap()
    }

    fn shown(table: Table, text: &str) -> Result<String, Foreign> {
        Record::read(table, "a", text, stamp()).map(|record| record.json())
    }

    #[test]
    fn a_record_of_the_original_is_shown_in_the_whole_shape() {
        let text = r#"{"id":"a","type":"agent","properties":{"n":1},"metadata":{"createdAt":5,"updatedAt":6,"createdBy":"node-1"}}"#;
        assert_eq!(
            shown(Table::Nodes, text).unwrap(),
            r#"{"id":"a","type":"agent","properties":{"n":1},"metadata":{"createdAt":5,"updatedAt":6,"createdBy":"node-1","version":1}}"#
        );
    }

    #[test]
    fn what_a_gun_user_left_out_is_filled_in_and_what_he_added_is_kept() {
        assert_eq!(
            shown(Table::Nodes, r#"{"id":"other","colour":"red","state":9}"#).unwrap(),
            r#"{"id":"a","type":"custom","properties":{},"metadata":{"createdAt":1800000000000,"updatedAt":1800000000000,"createdBy":"unknown","version":1},"colour":"red"}"#
        );
        assert_eq!(
            shown(Table::Edges, r#"{"from":"x","to":"y","weight":"heavy"}"#).unwrap(),
            r#"{"id":"a","from":"x","to":"y","type":"custom","properties":{},"directed":true,"metadata":{"createdAt":1800000000000,"updatedAt":1800000000000,"createdBy":"unknown","version":1}}"#
        );
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_record() {
        let text = r#"{"from":"x","to":"y","type":"t","properties":{"__proto__":{"deep":[1,2.5,null]}},"weight":1.5,"directed":false,"metadata":{"createdAt":1,"updatedAt":2,"createdBy":"n","version":7,"writers":{"n":7},"labels":["l"],"x":1},"y":2}"#;
        let record = Record::read(Table::Edges, "a", text, stamp()).unwrap();
        let again = Record::read(Table::Edges, "a", &record.json(), stamp()).unwrap();
        assert_eq!(record, again);
        assert_eq!(record.metadata.version, 7);
        assert_eq!(record.link.as_ref().unwrap().weight, Number::from_f64(1.5));
    }

    #[test]
    fn what_is_no_record_is_foreign_and_never_a_panic() {
        for (text, reason) in [
            ("", Foreign::NotAnObject),
            ("null", Foreign::NotAnObject),
            ("[1]", Foreign::NotAnObject),
            (r#"{"id""#, Foreign::NotAnObject),
            (r#"{"x":"\ud800"}"#, Foreign::NotAnObject),
            (r#"{"x":1e999}"#, Foreign::NotAnObject),
            (r#"{"type":7,"from":"a","to":"b"}"#, Foreign::OddMember),
            (
                r#"{"properties":[],"from":"a","to":"b"}"#,
                Foreign::OddMember,
            ),
            (r#"{"from":"a"}"#, Foreign::NoEnds),
            (r#"{"from":"a","to":5}"#, Foreign::NoEnds),
        ] {
            assert_eq!(shown(Table::Edges, text), Err(reason), "{text}");
        }
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
        assert_eq!(shown(Table::Nodes, &deep), Err(Foreign::NotAnObject));
    }
}
