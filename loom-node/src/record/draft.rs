//! A record as a user of the REST API sends it, checked.

use serde_json::{Map, Number, Value as Json};

use super::invalid::Invalid;
use super::{DEFAULT_TYPE, Link, Table};
use crate::limits::{ID_BYTES_MAX, LABELS_MAX, PROPERTY_DEPTH_MAX, TYPE_BYTES_MAX};

/// The content of a record to be; ids, times and versions are the replica's business.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Where it goes.
    pub table: Table,
    /// None: the replica makes one.
    pub id: Option<String>,
    /// LoomDB's `type`.
    pub kind: String,
    /// The user's own data.
    pub properties: Map<String, Json>,
    /// Present for edges.
    pub link: Option<Link>,
    /// `metadata.labels`.
    pub labels: Option<Vec<String>>,
}

impl Draft {
    /// Checks a request body. Members a record has no place for are ignored, as LoomDB does, so
    /// that what was read from here can be written back.
    ///
    /// # Errors
    ///
    /// [`Invalid`] names the first member that cannot be taken.
    pub fn read(table: Table, path_id: Option<&str>, body: Json) -> Result<Self, Invalid> {
        let Json::Object(mut members) = body else {
            return Err(Invalid::NotAnObject);
        };
        let id = read_id(table, path_id, members.remove("id"))?;
        let link = match table {
            Table::Nodes => None,
            Table::Edges => Some(read_link(&mut members)?),
        };
        let kind = match members.remove("type") {
            None => DEFAULT_TYPE.to_owned(),
            Some(kind) => read_type(table, kind)?,
        };
        let properties = match members.remove("properties") {
            None => Map::new(),
            Some(properties) => read_properties(table, properties)?,
        };
        let labels = read_labels(table, members.remove("metadata"))?.flatten();
        Ok(Self {
            table,
            id,
            kind,
            properties,
            link,
            labels,
        })
    }
}

fn read_id(
    table: Table,
    path_id: Option<&str>,
    body_id: Option<Json>,
) -> Result<Option<String>, Invalid> {
    let body_id = match body_id {
        None => None,
        Some(Json::String(id)) if !id.is_empty() => Some(id),
        Some(_) => return Err(Invalid::Id(table)),
    };
    let id = match (path_id, body_id) {
        (Some(path), Some(body)) if path != body => {
            return Err(Invalid::IdMismatch {
                table,
                path: path.to_owned(),
                body,
            });
        }
        (Some(path), _) => Some(path.to_owned()),
        (None, body) => body,
    };
    if let Some(id) = &id {
        check_id("id", id)?;
    }
    Ok(id)
}

/// Whether `id` can name a record; `member` is what to call it if not.
pub(super) fn check_id(member: &'static str, id: &str) -> Result<(), Invalid> {
    if id == "_" {
        return Err(Invalid::ReservedId);
    }
    if id.len() > ID_BYTES_MAX {
        return Err(Invalid::IdTooLong {
            member,
            bytes: id.len(),
        });
    }
    Ok(())
}

fn read_link(members: &mut Map<String, Json>) -> Result<Link, Invalid> {
    let from = read_end("from", Invalid::From, members.remove("from"))?;
    let to = read_end("to", Invalid::To, members.remove("to"))?;
    let weight = members.remove("weight").map(read_weight).transpose()?;
    let directed = members.get("directed").map(read_directed).transpose()?;
    Ok(Link {
        from,
        to,
        weight: weight.flatten(),
        directed: directed.unwrap_or(true),
    })
}

pub(super) fn read_end(
    member: &'static str,
    otherwise: Invalid,
    end: Option<Json>,
) -> Result<String, Invalid> {
    match end {
        Some(Json::String(id)) if !id.is_empty() => check_id(member, &id).map(|()| id),
        _ => Err(otherwise),
    }
}

/// `null` is no weight.
pub(super) fn read_weight(weight: Json) -> Result<Option<Number>, Invalid> {
    match weight {
        Json::Number(weight) => Ok(Some(weight)),
        Json::Null => Ok(None),
        _ => Err(Invalid::Weight),
    }
}

pub(super) fn read_directed(directed: &Json) -> Result<bool, Invalid> {
    directed.as_bool().ok_or(Invalid::Directed)
}

pub(super) fn read_type(table: Table, kind: Json) -> Result<String, Invalid> {
    match kind {
        Json::String(kind) if kind.len() > TYPE_BYTES_MAX => Err(Invalid::TypeTooLong {
            member: "type",
            bytes: kind.len(),
        }),
        Json::String(kind) if !kind.is_empty() => Ok(kind),
        _ => Err(Invalid::Type(table)),
    }
}

fn read_properties(table: Table, properties: Json) -> Result<Map<String, Json>, Invalid> {
    let Json::Object(properties) = properties else {
        return Err(Invalid::Properties(table));
    };
    check_depth(&properties)?;
    Ok(properties)
}

pub(super) fn check_depth(properties: &Map<String, Json>) -> Result<(), Invalid> {
    let fits = (properties.values()).all(|value| depth_within(value, PROPERTY_DEPTH_MAX - 1));
    if fits { Ok(()) } else { Err(Invalid::TooDeep) }
}

fn depth_within(value: &Json, levels: usize) -> bool {
    // The parser refuses more than 128 levels, so this recursion is bounded either way.
    let mut inner: Box<dyn Iterator<Item = &Json>> = match value {
        Json::Array(items) => Box::new(items.iter()),
        Json::Object(members) => Box::new(members.values()),
        _ => return true,
    };
    levels > 0 && inner.all(|value| depth_within(value, levels - 1))
}

/// `None`: not mentioned; `Some(None)`: taken away.
pub(super) fn read_labels(
    table: Table,
    metadata: Option<Json>,
) -> Result<Option<Option<Vec<String>>>, Invalid> {
    let mut metadata = match metadata {
        None => return Ok(None),
        Some(Json::Object(metadata)) => metadata,
        Some(_) => return Err(Invalid::Metadata(table)),
    };
    let labels = match metadata.remove("labels") {
        None => return Ok(None),
        Some(Json::Null) => return Ok(Some(None)),
        Some(Json::Array(labels)) if labels.len() <= LABELS_MAX => labels,
        Some(_) => return Err(Invalid::Labels(table)),
    };
    let labels = labels.into_iter().map(|label| match label {
        Json::String(label) if label.len() > TYPE_BYTES_MAX => Err(Invalid::TypeTooLong {
            member: "label",
            bytes: label.len(),
        }),
        Json::String(label) => Ok(label),
        _ => Err(Invalid::Labels(table)),
    });
    Ok(Some(Some(labels.collect::<Result<_, _>>()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(table: Table, body: Json) -> String {
        Draft::read(table, None, body).unwrap_err().to_string()
    }

    #[test]
    fn loomdbs_refusals_are_word_for_word() {
        let edge = |extra: Json| {
            let mut edge = json!({"from": "a", "to": "b"});
            edge.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            edge
        };
        for (table, body, words) in [
            (
                Table::Nodes,
                json!({"id": 5}),
                "Node ID is required and must be a string",
            ),
            (
                Table::Nodes,
                json!({"id": ""}),
                "Node ID is required and must be a string",
            ),
            (
                Table::Nodes,
                json!({"type": null}),
                "Node type is required and must be a string",
            ),
            (
                Table::Nodes,
                json!({"properties": []}),
                "Node properties are required and must be an object",
            ),
            (
                Table::Edges,
                edge(json!({"id": {}})),
                "Edge ID is required and must be a string",
            ),
            (
                Table::Edges,
                json!({"to": "b"}),
                "Edge source (from) is required and must be a string",
            ),
            (
                Table::Edges,
                json!({"from": "a", "to": 5}),
                "Edge target (to) is required and must be a string",
            ),
            (
                Table::Edges,
                edge(json!({"type": ""})),
                "Edge type is required and must be a string",
            ),
            (
                Table::Edges,
                edge(json!({"properties": "x"})),
                "Edge properties are required and must be an object",
            ),
            (
                Table::Edges,
                edge(json!({"weight": "1"})),
                "Edge weight must be a number",
            ),
        ] {
            assert_eq!(refused(table, body), words);
        }
    }

    #[test]
    fn limits_are_inclusive_and_named() {
        let node = |body: Json| Draft::read(Table::Nodes, None, body).map_err(|why| why.code());
        let nested = |levels: usize| {
            let mut value = json!(1);
            for _ in 0..levels {
                value = json!({"a": value});
            }
            json!({"properties": value})
        };
        assert!(node(json!({"id": "i".repeat(256)})).is_ok());
        assert_eq!(node(json!({"id": "i".repeat(257)})), Err("id_too_long"));
        assert!(node(json!({"type": "t".repeat(128)})).is_ok());
        assert_eq!(node(json!({"type": "t".repeat(129)})), Err("type_too_long"));
        assert!(node(nested(32)).is_ok());
        assert_eq!(node(nested(33)), Err("too_deep"));
        assert_eq!(node(json!({"id": "_"})), Err("reserved_id"));
        assert_eq!(node(json!([])), Err("not_an_object"));
        assert_eq!(
            node(json!({"metadata": {"labels": "x"}})),
            Err("invalid_labels")
        );
        assert!(node(json!({"id": "__proto__", "properties": {"__proto__": 1}})).is_ok());
    }

    #[test]
    fn what_was_read_can_be_written_back() {
        let body = json!({"id": "a", "type": "t", "properties": {"x": 1}, "state": 5.5,
            "metadata": {"createdAt": 1, "version": 3, "labels": ["l"]}});
        let draft = Draft::read(Table::Nodes, Some("a"), body).unwrap();
        assert_eq!(draft.labels, Some(vec!["l".to_owned()]));
        let mismatch = Draft::read(Table::Nodes, Some("b"), json!({"id": "a"})).unwrap_err();
        assert_eq!(mismatch.code(), "id_mismatch");
    }
}
