//! The nouns of GUN's graph: soul, field, value, stamp, and what a merge changes.
//!
//! GUN calls a field's version its *state*; here it is a [`Stamp`], so that "state" stays free for
//! state machines. A value is kept as the JSON text JavaScript would print for it, because that
//! text is what ties are decided on, what is hashed, and what goes on the wire.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::js_text;

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<$name> for Arc<str> {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_newtype! {
    /// The name of a vertex in GUN's graph, such as `loomdb:nodes`.
    Soul
}

text_newtype! {
    /// The name of one field of a vertex.
    Field
}

/// One end of a link, numbered by the driver; never reused while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

impl PeerId {
    /// Whatever link something came over before this process started.
    pub const FORMER: Self = Self(u64::MAX);
}

/// A field's version: milliseconds since the Unix epoch, with fractions, as GUN stamps writes.
///
/// Always finite, so it has a total order.
#[derive(Clone, Copy, PartialEq)]
pub struct Stamp(f64);

impl Stamp {
    /// Takes a state as it came over the wire; `None` when it is not a finite number.
    pub fn new(ms: f64) -> Option<Self> {
        // Adding zero turns -0 into 0: JavaScript does not tell them apart either.
        ms.is_finite().then_some(Self(ms + 0.0))
    }

    /// Milliseconds since the Unix epoch.
    pub fn ms(self) -> f64 {
        self.0
    }
}

impl Eq for Stamp {}

impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&js_text::number(self.0))
    }
}

/// A field's value as compact JSON text, exactly as `JSON.stringify` prints it.
///
/// GUN knows five kinds: null, booleans, finite numbers, strings, and links (`{"#":soul}`).
/// Lone surrogates, which a JavaScript string may hold and a Rust one may not, stay `\udxxx`
/// escapes in this text, as `JSON.stringify` writes them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value(Arc<str>);

/// Why a piece of JSON is not a GUN value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// An array.
    #[error("arrays are not GUN values")]
    Array,
    /// An object that is not exactly `{"#": <non-empty string>}`.
    #[error("an object must be a link, {{\"#\":soul}}, and nothing else")]
    NotALink,
    /// A number beyond the range of a double.
    #[error("numbers must be finite")]
    NotFinite,
    /// Not JSON at all.
    #[error("not valid JSON")]
    NotJson,
}

impl Value {
    /// The tombstone.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// A string value.
    pub fn text(text: &str) -> Self {
        Self(js_text::string(text).into())
    }

    /// A number; `None` when it is not finite.
    pub fn number(number: f64) -> Option<Self> {
        number
            .is_finite()
            .then(|| Self(js_text::number(number).into()))
    }

    /// A link to another vertex.
    pub fn link(soul: &Soul) -> Self {
        Self(format!("{{\"#\":{}}}", js_text::string(soul)).into())
    }

    /// Reads one JSON value from the wire and brings it to the form JavaScript prints.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] when GUN has no such value.
    pub fn parse(json: &str) -> Result<Self, InvalidValue> {
        js_text::canonical(json).map(|text| Self((&*text).into()))
    }

    /// The same for what is known to be JSON.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] when GUN has no such value.
    pub fn from_raw(raw: &RawValue) -> Result<Self, InvalidValue> {
        js_text::canonical_raw(raw).map(|text| Self((&*text).into()))
    }

    /// Takes back what [`Value::json`] gave out, from where it was kept with a checksum: texts and
    /// links are not looked through again, because a store holds millions of them.
    pub(crate) fn kept(json: &str) -> Option<Self> {
        let is_within =
            |open, close| json.len() > 1 && json.starts_with(open) && json.ends_with(close);
        if is_within('"', '"') || is_within('{', '}') {
            return Some(Self(json.into()));
        }
        Self::parse(json).ok()
    }

    /// The JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// Whether this is the tombstone.
    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }

    /// The vertex linked to, if this is a link and its soul has no lone surrogates.
    pub fn as_link(&self) -> Option<Soul> {
        let soul = self.0.strip_prefix("{\"#\":")?.strip_suffix('}')?;
        let soul: String = serde_json::from_str(soul).ok()?;
        Some(soul.as_str().into())
    }

    /// The string held, if this is a string without lone surrogates.
    pub fn as_text(&self) -> Option<String> {
        let mut text = String::new();
        self.read_text(&mut text)?;
        Some(text)
    }

    /// The same in a buffer, whose content it replaces, for whoever reads many.
    pub fn read_text<'a>(&self, buffer: &'a mut String) -> Option<&'a str> {
        buffer.clear();
        buffer.reserve(self.0.len());
        js_text::unquote(&self.0, buffer).then_some(buffer)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self(if value { "true" } else { "false" }.into())
    }
}

/// Orders values as GUN breaks ties: by JSON text, compared in UTF-16 code units.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        js_text::compare(&self.0, &other.0)
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value and the stamp it was written with: what one field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// When it was written, by the writer's state clock.
    pub stamp: Stamp,
    /// What was written.
    pub value: Value,
}

/// One write of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The vertex written to.
    pub soul: Soul,
    /// The field written.
    pub field: Field,
    /// The stamped value.
    pub cell: Cell,
}

/// A write that won its merge, with what it replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The write as merged.
    pub write: Write,
    /// What the field held before; `None` when it was unknown.
    pub was: Option<Cell>,
    /// The link it came over; `None` for a write of this process.
    pub from: Option<PeerId>,
}
