//! What a record is found by, without the rest: what a node has to know of a million of them before
//! it can answer.
//!
//! [`Outline::read`] says of every text what [`Record::read`] says. It looks through the text once
//! and keeps nothing of it; what is out of the ordinary it leaves to [`Record::read`].

use std::borrow::Cow;
use std::fmt;

use loom_relay::model::Stamp;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DEFAULT_TYPE, Foreign, Record, Table};

/// What a record is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline<'a> {
    /// LoomDB's `type`.
    pub kind: Cow<'a, str>,
    /// For edges: the ids of the vertices it leaves and enters.
    pub ends: Option<[Cow<'a, str>; 2]>,
}

impl<'a> Outline<'a> {
    /// The outline of what some peer wrote for `id`, stamped `stamp`.
    ///
    /// # Errors
    ///
    /// [`Foreign`] when [`Record::read`] gives that.
    pub fn read(table: Table, id: &str, text: &'a str, stamp: Stamp) -> Result<Self, Foreign> {
        if let Some(outline) = Self::glance(table, text) {
            return Ok(outline);
        }
        let record = Record::read(table, id, text, stamp)?;
        let ends = record.link.map(|link| [link.from.into(), link.to.into()]);
        let kind = record.kind.into();
        Ok(Self { kind, ends })
    }

    /// The outline of an ordinary record.
    fn glance(table: Table, text: &'a str) -> Option<Self> {
        let members: Members<'_> = serde_json::from_str(text).ok()?;
        if matches!(members.properties, Member::Text(_) | Member::Other) {
            return None;
        }
        let text = |member| match member {
            Member::Text(text) => Some(text),
            _ => None,
        };
        let ends = match table {
            Table::Nodes => None,
            Table::Edges => Some([text(members.from)?, text(members.to)?]),
        };
        let kind = match members.kind {
            Member::Nothing => DEFAULT_TYPE.into(),
            Member::Text(kind) => kind,
            Member::Object | Member::Other => return None,
        };
        Some(Self { kind, ends })
    }
}

#[derive(Default)]
struct Members<'a> {
    kind: Member<'a>,
    properties: Member<'a>,
    from: Member<'a>,
    to: Member<'a>,
}

/// One member's value, which has been looked through and is JSON that [`super::json`] takes.
#[derive(Default)]
enum Member<'a> {
    /// Missing or null.
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    Object,
    Other,
}

enum Key {
    Kind,
    Properties,
    From,
    To,
    Other,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                // Of members of one name the last counts.
                while let Some(key) = map.next_key()? {
                    let member = match key {
                        Key::Kind => &mut members.kind,
                        Key::Properties => &mut members.properties,
                        Key::From => &mut members.from,
                        Key::To => &mut members.to,
                        Key::Other => {
                            map.next_value::<Checked>()?;
                            continue;
                        }
                    };
                    *member = map.next_value()?;
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Whole)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "type" => Key::Kind,
                    "properties" => Key::Properties,
                    "from" => Key::From,
                    "to" => Key::To,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(Name)
    }
}

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

/// Looks at one value, and through what is in it.
struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<Checked>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_key::<Key>()?.is_some() {
            map.next_value::<Checked>()?;
        }
        Ok(Member::Object)
    }
}

/// Any value. Unlike [`serde::de::IgnoredAny`] it must be one that can be held: numbers in range, whole
/// surrogate pairs.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Checked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Checked, E> {
                Ok(Checked)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
                Ok(Checked)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
                Ok(Checked)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
                Ok(Checked)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
                Ok(Checked)
            }

            fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
                Ok(Checked)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Checked, A::Error> {
                Look.visit_seq(items).map(|_| Checked)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Checked, A::Error> {
                Look.visit_map(map).map(|_| Checked)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    const TEXTS: [&str; 14] = [
        r#"{"id":"a","type":"agent","properties":{"n":1.5e3,"t":[true,null,"\u00e4"]},"metadata":{"createdAt":5,"version":2}}"#,
        r#"{"type":"knows","from":"x","to":"y","weight":-0.5,"directed":false,"properties":null}"#,
        r#"{"type":null,"from":"\u0078","to":"\ud83d\ude00","labels":["l"]}"#,
        r#"{"type":"a","type":"b","from":1,"from":"f","to":"t","to":null}"#,
        r#"{"$serde_json::private::RawValue":"{\"type\":\"inner\",\"from\":\"a\",\"to\":\"b\"}"}"#,
        r#"{"properties":{"$serde_json::private::RawValue":"7"},"from":"a","to":"b"}"#,
        r#"{"properties":{"$serde_json::private::RawValue":"{}"},"from":"a","to":"b"}"#,
        r#"{"x":{"$serde_json::private::Number":"1e999"},"from":"a","to":"b"}"#,
        r#"{"x":1e999,"from":"a","to":"b"}"#,
        r#"{"x":"\ud800","from":"a","to":"b"}"#,
        r#" {"from" : "a" , "to" : "b", "properties":{"deep":[[[[{"a":{}}]]]]} } "#,
        r#"[{"from":"a","to":"b"}]"#,
        r#"{"type":7,"properties":[],"from":{},"to":"b"}"#,
        "",
    ];

    /// Whether both readers say the same.
    fn check(text: &str) {
        let stamp = Stamp::new(1.0).unwrap();
        for table in Table::ALL {
            let expected = Record::read(table, "a", text, stamp).map(|record| Outline {
                kind: record.kind.into(),
                ends: record.link.map(|link| [link.from.into(), link.to.into()]),
            });
            assert_eq!(Outline::read(table, "a", text, stamp), expected, "{text}");
        }
    }

    #[test]
    fn an_outline_says_what_the_record_says() {
        TEXTS.into_iter().for_each(check);
        for depth in [100, 124, 125, 126, 127, 128, 129, 130, 100_000] {
            let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
            check(&format!("{open}1{close}"));
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            check(&format!(r#"{{"from":"a","to":"b","x":{open}{close}}}"#));
        }
    }

    #[test]
    fn so_it_does_of_texts_that_were_damaged() {
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..20_000 {
            let mut text = TEXTS[rng.random_range(0..TEXTS.len())].to_owned();
            for _ in 0..rng.random_range(1..4) {
                let (at, until) = (rng.random_range(0..=text.len()), rng.random_range(0..6));
                let until = (at + until).min(text.len());
                let other = TEXTS[rng.random_range(0..TEXTS.len())];
                let from = rng.random_range(0..=other.len());
                let piece = &other[from..(from + rng.random_range(0..12)).min(other.len())];
                text.replace_range(at..until, piece);
            }
            check(&text);
        }
    }

    #[test]
    fn an_ordinary_record_is_read_at_a_glance() {
        for text in &TEXTS[..2] {
            assert!(Outline::glance(Table::Nodes, text).is_some(), "{text}");
        }
        assert!(Outline::glance(Table::Edges, TEXTS[1]).is_some());
    }
}
