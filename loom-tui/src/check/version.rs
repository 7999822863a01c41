//! A record's version, ordered as GUN orders them: the tester's own HAM.
//!
//! Deliberately not loom-relay's: a checker that shares code with what it checks shares its
//! mistakes.

use std::cmp::Ordering;

use crate::client::Json;

/// A record as one node shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// HAM state in milliseconds since the Unix epoch.
    pub state: f64,
    /// The record, word for word.
    pub record: Json,
}

/// One version of a record, or its absence.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// HAM state in milliseconds since the Unix epoch.
    pub state: f64,
    /// The record; `None` is a tombstone.
    pub record: Option<Json>,
}

impl From<&Held> for Version {
    fn from(held: &Held) -> Self {
        Self {
            state: held.state,
            record: Some(held.record.clone()),
        }
    }
}

impl Version {
    /// Which of two versions of one record wins: the later state, then the greater JSON text in
    /// UTF-16 units, as JavaScript compares.
    pub fn contest(&self, other: &Self) -> Ordering {
        let text = |version: &Self| match &version.record {
            // The record travels as a JSON string inside JSON; that is the text GUN compares.
            Some(record) => quoted(record.text()),
            None => "null".to_owned(),
        };
        self.state.total_cmp(&other.state).then_with(|| {
            if self.record == other.record {
                return Ordering::Equal;
            }
            text(self).encode_utf16().cmp(text(other).encode_utf16())
        })
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(state: f64, record: Option<&str>) -> Version {
        Version {
            state,
            record: record.map(|text| Json::parse(text).unwrap()),
        }
    }

    #[test]
    fn the_later_state_wins_whatever_the_text() {
        let old = version(1.0, Some(r#""z""#));
        let new = version(1.001, Some(r#""a""#));
        assert_eq!(new.contest(&old), Ordering::Greater);
    }

    #[test]
    fn ties_go_to_the_greater_text_as_it_travels() {
        // Quotes travel escaped, as `\"`: greater than a digit, although `"` itself is smaller.
        let text = version(1.0, Some(r#"{"v":"x"}"#));
        let number = version(1.0, Some(r#"{"v":5}"#));
        assert_eq!(text.contest(&number), Ordering::Greater);
        // JavaScript compares UTF-16 units, not bytes.
        let wide = version(1.0, Some("{\"v\":\"\u{ff5e}\"}"));
        let emoji = version(1.0, Some("{\"v\":\"\u{1f600}\"}"));
        assert_eq!(wide.contest(&emoji), Ordering::Greater);
        // `null` is greater than any quoted text.
        assert_eq!(version(1.0, None).contest(&text), Ordering::Greater);
        assert_eq!(text.contest(&text.clone()), Ordering::Equal);
    }
}
