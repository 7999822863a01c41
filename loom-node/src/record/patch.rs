//! A change to a record: JSON merge patch (RFC 7396) on what a user may set.

use serde_json::{Map, Number, Value as Json};

use super::draft::{check_depth, read_directed, read_end, read_labels, read_type, read_weight};
use super::invalid::Invalid;
use super::{Record, Table};

/// A checked patch. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    kind: Option<String>,
    properties: Option<Map<String, Json>>,
    from: Option<String>,
    to: Option<String>,
    weight: Option<Option<Number>>,
    directed: Option<bool>,
    labels: Option<Option<Vec<String>>>,
}

impl Patch {
    /// Checks a request body for the record `id`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] names the first member that cannot be taken.
    pub fn read(table: Table, id: &str, body: Json) -> Result<Self, Invalid> {
        let Json::Object(mut members) = body else {
            return Err(Invalid::NotAnObject);
        };
        match members.remove("id") {
            None => {}
            Some(Json::String(body)) if body == id => {}
            Some(Json::String(body)) if !body.is_empty() => {
                return Err(Invalid::IdMismatch {
                    table,
                    path: id.to_owned(),
                    body,
                });
            }
            Some(_) => return Err(Invalid::Id(table)),
        }
        let kind = members.remove("type").map(|kind| read_type(table, kind));
        let properties = match members.remove("properties") {
            None => None,
            Some(Json::Object(properties)) => Some(properties),
            Some(_) => return Err(Invalid::Properties(table)),
        };
        let mut patch = Self {
            kind: kind.transpose()?,
            properties,
            labels: read_labels(table, members.remove("metadata"))?,
            ..Self::default()
        };
        if table == Table::Edges {
            let end = |member, otherwise, end: Option<Json>| {
                end.map(|end| read_end(member, otherwise, Some(end)))
                    .transpose()
            };
            patch.from = end("from", Invalid::From, members.remove("from"))?;
            patch.to = end("to", Invalid::To, members.remove("to"))?;
            patch.weight = members.remove("weight").map(read_weight).transpose()?;
            patch.directed = members.get("directed").map(read_directed).transpose()?;
        }
        Ok(patch)
    }

    /// Changes `record`; its metadata's times and versions are the replica's business.
    ///
    /// # Errors
    ///
    /// [`Invalid::TooDeep`] when the merged properties are nested too deep.
    pub fn apply(self, record: &mut Record) -> Result<(), Invalid> {
        if let Some(patch) = self.properties {
            merge(&mut record.properties, patch);
            check_depth(&record.properties)?;
        }
        if let Some(kind) = self.kind {
            record.kind = kind;
        }
        if let Some(labels) = self.labels {
            record.metadata.labels = labels;
        }
        if let Some(link) = &mut record.link {
            if let Some(from) = self.from {
                link.from = from;
            }
            if let Some(to) = self.to {
                link.to = to;
            }
            if let Some(weight) = self.weight {
                link.weight = weight;
            }
            if let Some(directed) = self.directed {
                link.directed = directed;
            }
        }
        Ok(())
    }
}

/// RFC 7396, section 2: null takes a member away, objects merge, anything else replaces.
fn merge(target: &mut Map<String, Json>, patch: Map<String, Json>) {
    for (key, value) in patch {
        match value {
            Json::Null => {
                target.remove(&key);
            }
            Json::Object(patch) => {
                let slot = target.entry(key).or_insert(Json::Null);
                if !slot.is_object() {
                    *slot = Json::Object(Map::new());
                }
                if let Json::Object(inner) = slot {
                    merge(inner, patch);
                }
            }
            other => {
                target.insert(key, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use loom_relay::model::Stamp;
    use serde_json::json;

    use super::*;

    /// Cases of RFC 7396, appendix A, that apply to objects.
    #[test]
    fn properties_merge_as_rfc_7396_says() {
        for (original, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let (mut target, Json::Object(patch)) = (original.as_object().unwrap().clone(), patch)
            else {
                unreachable!()
            };
            merge(&mut target, patch);
            assert_eq!(Json::Object(target), result);
        }
    }

    #[test]
    fn a_patch_changes_what_it_mentions_and_keeps_the_rest() {
        let text =
            r#"{"from":"a","to":"b","type":"t","weight":2,"metadata":{"labels":["l"]},"x":1}"#;
        let stamp = Stamp::new(1.0).unwrap();
        let mut record = Record::read(Table::Edges, "e", text, stamp).unwrap();
        let body = json!({"to": "c", "weight": null, "properties": {"p": {"q": 1}}});
        Patch::read(Table::Edges, "e", body)
            .unwrap()
            .apply(&mut record)
            .unwrap();
        let link = record.link.as_ref().unwrap();
        assert_eq!((link.from.as_str(), link.to.as_str()), ("a", "c"));
        assert_eq!((link.weight.as_ref(), link.directed), (None, true));
        assert_eq!(record.kind, "t");
        assert_eq!(record.metadata.labels, Some(vec!["l".to_owned()]));
        assert_eq!(record.extra["x"], 1);
    }

    #[test]
    fn patches_cannot_nest_deeper_than_posts() {
        let deep = (0..31).fold(json!({"x": 1}), |inner, _| json!({"a": inner}));
        let mut record = Record::read(Table::Nodes, "n", "{}", Stamp::new(1.0).unwrap()).unwrap();
        let patch = |body| Patch::read(Table::Nodes, "n", body).unwrap();
        patch(json!({"properties": deep}))
            .apply(&mut record)
            .unwrap();
        let deeper = json!({"properties": {"b": deep}});
        assert_eq!(patch(deeper).apply(&mut record), Err(Invalid::TooDeep));
    }

    #[test]
    fn a_patch_cannot_rename() {
        let refused = Patch::read(Table::Nodes, "n", json!({"id": "m"})).unwrap_err();
        assert_eq!(refused.code(), "id_mismatch");
        let refused = Patch::read(Table::Nodes, "n", json!({"properties": null})).unwrap_err();
        assert_eq!(refused, Invalid::Properties(Table::Nodes));
    }
}
