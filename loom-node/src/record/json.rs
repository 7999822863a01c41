//! JSON text to values, and nothing else: the door is [`Plain`].
//!
//! [`Json`] reads an object whose first member has a name of `serde_json`'s own, such as
//! `$serde_json::private::RawValue`, as more text to be read, with a depth of its own. What it
//! then holds need not print as what was read, nor as anything that can be read. Here every name is
//! a name, one limit of depth holds for the whole text, and so what is read prints as text that
//! reads as the same.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// What a text says.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain(pub Json);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole).map(Self)
    }
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Json, E> {
        Ok(Json::Bool(it))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        // No text is infinite: the parser refuses what is out of range.
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(Plain(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Map::new();
        // Of members of one name the last counts.
        while let Some((name, Plain(value))) = members.next_entry()? {
            object.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn read(text: &str) -> Result<Json, String> {
        let read = serde_json::from_str::<Plain>(text);
        read.map(|Plain(json)| json).map_err(|why| why.to_string())
    }

    #[test]
    fn what_has_no_name_of_the_librarys_own_is_read_as_the_library_does() {
        for text in [
            r#"{"a":[1,-2,2.5,1e300,18446744073709551615,18446744073709551616,-0],"b":{}}"#,
            r#" {"a":null,"b":[true,false,"\ud83d\ude00"],"a":"the last counts"} "#,
            r#"{"x":"\ud800"}"#,
            r#"{"x":1e999}"#,
            r#"{"x":1} {}"#,
            "7",
            "",
            "nul",
            &"[".repeat(1_000),
        ] {
            let expected = serde_json::from_str::<Json>(text).map_err(|why| why.to_string());
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn every_name_is_a_name() {
        for name in ["RawValue", "Number"] {
            for value in ["\"7\"", "\"{}\"", "\"x\"", "7", "null", r#"{"a":1}"#] {
                let text = format!(r#"{{"$serde_json::private::{name}":{value}}}"#);
                assert_eq!(read(&text).unwrap().to_string(), text);
            }
        }
    }

    #[test]
    fn what_was_read_prints_as_what_reads_as_the_same() {
        const NAMES: [&str; 5] = [
            "$serde_json::private::RawValue",
            "$serde_json::private::Number",
            "!before",
            "after",
            "",
        ];
        const TEXTS: [&str; 6] = ["\"x\"", "\"{}\"", "\"[[1]]\"", "1e21", "-0", "null"];
        fn value(rng: &mut SmallRng, levels: usize, out: &mut String) {
            let kind = rng.random_range(0..if levels == 0 { 1 } else { 3 });
            if kind == 0 {
                return out.push_str(TEXTS[rng.random_range(0..TEXTS.len())]);
            }
            out.push(if kind == 1 { '[' } else { '{' });
            for nth in 0..rng.random_range(0..4) {
                if nth > 0 {
                    out.push(',');
                }
                if kind == 2 {
                    out.push_str(&format!("\"{}\":", NAMES[rng.random_range(0..NAMES.len())]));
                }
                value(rng, levels - 1, out);
            }
            out.push(if kind == 1 { ']' } else { '}' });
        }
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..5_000 {
            let mut text = String::new();
            value(&mut rng, 5, &mut text);
            let json = read(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
            assert_eq!(read(&json.to_string()), Ok(json), "{text}");
        }
    }

    #[test]
    fn no_text_within_a_text_goes_deeper_than_a_text_may() {
        let mut text = "1".to_owned();
        for _ in 0..3 {
            let inner = format!("{}{text}{}", "[".repeat(100), "]".repeat(100));
            let inner = Json::String(inner).to_string();
            text = format!(r#"{{"$serde_json::private::RawValue":{inner}}}"#);
        }
        let json = read(&text).unwrap();
        assert_eq!(read(&json.to_string()), Ok(json));
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(127)).is_ok());
        assert!(read(&deep(128)).unwrap_err().starts_with("recursion limit"));
    }
}
