//! Records word for word, as they are stored: equal stamps are decided on this text, so a judge
//! of winners must not see it through a parser that reorders members.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::wire::{EdgeFilter, Key, Kind, Page, Stamp, VertexFilter};
use super::{Json, NodeClient, Outcome, PAGE_LIMIT, Paging, segment};

/// A record as it is stored, and the stamp that won it its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Which record.
    pub key: Key,
    /// Its stamp.
    pub state: Stamp,
    /// The stored text: without `state` and `dangling`, which are only added when it is shown.
    pub record: Json,
}

impl NodeClient {
    /// One record; `None` when the node answers that it is not there.
    pub async fn shown(&self, key: &Key) -> Outcome<Option<Shown>> {
        let path = match key.kind {
            Kind::Edge => format!("/edges/{}", segment(&key.id)),
            Kind::Vertex | Kind::Canary => format!("/nodes/{}", segment(&key.id)),
        };
        match self.get::<One>(&path).await {
            Outcome::Ok(one) => match one.0.shown(key.kind) {
                Some(shown) => Outcome::Ok(Some(shown)),
                None => Outcome::Info("answered a record without its id or state".to_owned()),
            },
            Outcome::Fail(refusal) if refusal.status == Some(404) => Outcome::Ok(None),
            Outcome::Fail(refusal) => Outcome::Fail(refusal),
            Outcome::Info(why) => Outcome::Info(why),
        }
    }

    /// Every vertex that matches, all pages of it.
    pub async fn vertices_shown(&self, filter: &VertexFilter) -> Outcome<Vec<Shown>> {
        self.list_shown(Kind::Vertex, "/nodes", filter).await
    }

    /// Every edge that matches, all pages of it.
    pub async fn edges_shown(&self, filter: &EdgeFilter) -> Outcome<Vec<Shown>> {
        self.list_shown(Kind::Edge, "/edges", filter).await
    }

    async fn list_shown<F>(&self, kind: Kind, path: &str, filter: &F) -> Outcome<Vec<Shown>>
    where
        F: serde::Serialize + Sync + ?Sized,
    {
        self.all_pages(|cursor| async move {
            let limit = Some(PAGE_LIMIT);
            let request = self
                .request(reqwest::Method::GET, path)
                .query(filter)
                .query(&Paging { limit, cursor });
            let listed = self.send::<Many>(request).await;
            listed.and_then(|(_, many)| {
                let items = many.items.into_iter().map(|item| item.shown(kind));
                match items.collect::<Option<Vec<_>>>() {
                    Some(items) => Outcome::Ok(Page {
                        items,
                        next: many.next,
                    }),
                    None => Outcome::Info("listed a record without its id or state".to_owned()),
                }
            })
        })
        .await
    }
}

/// A record in its envelope, under either name.
#[derive(Deserialize)]
struct One(#[serde(deserialize_with = "in_envelope")] Members);

/// A list in its envelope, under either name.
#[derive(Deserialize)]
struct Many {
    #[serde(alias = "nodes", alias = "edges")]
    items: Vec<Members>,
    next: Option<String>,
}

/// The members of a JSON object in the order they came.
#[derive(Debug)]
pub(super) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// The stored record in what a node shows.
    pub(super) fn record(&self) -> Json {
        let mut text = String::from("{");
        let stored = self.0.iter().filter(|(name, _)| !is_added(name));
        for (name, value) in stored {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&serde_json::Value::from(name.as_str()).to_string());
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        Json::parse(&text).expect("members that were JSON are JSON again")
    }

    fn shown(&self, kind: Kind) -> Option<Shown> {
        let id: String = self.read("id")?;
        let state = self.read("state")?;
        Some(Shown {
            key: Key {
                kind,
                id: id.into(),
            },
            state,
            record: self.record(),
        })
    }

    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        let (_, value) = self.0.iter().find(|(member, _)| member == name)?;
        serde_json::from_str(value.get()).ok()
    }
}

/// Members a node adds to a record when it shows it.
fn is_added(name: &str) -> bool {
    matches!(name, "state" | "dangling")
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

fn in_envelope<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
    let envelope = Members::deserialize(deserializer)?;
    let record = envelope.read("node").or_else(|| envelope.read("edge"));
    // The state stands beside the record or in it.
    let mut record: Members = record.ok_or_else(|| D::Error::custom("neither node nor edge"))?;
    let state = envelope.0.into_iter().find(|(name, _)| name == "state");
    record.0.extend(state);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_text_keeps_its_order_and_loses_what_was_added() {
        let stored = r#"{"id":"a","type":"t","properties":{"z":1.50,"b":"\u00e9"},"metadata":{"version":1}}"#;
        let shown = stored.replace(
            r#","metadata""#,
            r#","state":5.25,"dangling":true,"metadata""#,
        );
        let listed: Many = serde_json::from_str(&format!(
            r#"{{"success":true,"edges":[{shown}],"next":null}}"#
        ))
        .unwrap();
        let shown = listed.items[0].shown(Kind::Edge).unwrap();
        assert_eq!(shown.record.text(), stored);
        assert_eq!(shown.state, Stamp(5.25));
        assert_eq!(shown.key, Key::edge("a"));
    }

    #[test]
    fn the_state_may_stand_beside_the_record() {
        let one: One =
            serde_json::from_str(r#"{"success":true,"node":{"id":"a"},"state":7}"#).unwrap();
        assert_eq!(one.0.shown(Kind::Vertex).unwrap().state, Stamp(7.0));
        assert!(serde_json::from_str::<One>(r#"{"success":true}"#).is_err());
    }
}
