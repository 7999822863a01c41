//! The graph inside a put: checked as a whole, so that nothing of a bad one is merged.
//!
//! gun.js merges as it reads and stops at the first mistake, and overlooks one in the last field;
//! `docs/protocol.md` says where and why this differs.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::{Cell, Field, InvalidValue, Soul, Stamp, Value, Write};

use super::decode::{object, text};
use super::envelope::Name;
use super::{FIELDS_PER_PUT_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX};

/// Why a graph was refused; nothing of it is merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPut {
    /// It, or its table of states, is not an object.
    #[error("invalid graph: it and its states must be objects")]
    NotAnObject,
    /// A JavaScript string that no Unicode text can hold names a soul or a field.
    #[error("invalid graph: a soul or field holds half a surrogate pair")]
    HalfSurrogate,
    /// One object has two members of this name.
    #[error("invalid graph: `{0}` is given twice")]
    Twins(String),
    /// The node is not an object.
    #[error("invalid graph: `{0}` is not a node")]
    NoNode(String),
    /// The node has no `_`.
    #[error("invalid graph: `{0}` has no metadata")]
    NoMeta(String),
    /// The soul inside is not the soul outside.
    #[error("invalid graph: `{0}` is labelled with another soul")]
    SoulDiffers(String),
    /// A field without a state that is a finite number.
    #[error("invalid graph: `{field}` of `{soul}` needs a state, a finite number")]
    NoState {
        /// Of this vertex.
        soul: String,
        /// This field.
        field: String,
    },
    /// A field with something that is no GUN value.
    #[error("invalid graph: `{field}` of `{soul}`: {reason}")]
    Value {
        /// Of this vertex.
        soul: String,
        /// This field.
        field: String,
        /// What is wrong with it.
        reason: InvalidValue,
    },
    /// A value above [`VALUE_BYTES_MAX`].
    #[error("invalid graph: `{field}` of `{soul}` is larger than {VALUE_BYTES_MAX} bytes")]
    ValueTooBig {
        /// Of this vertex.
        soul: String,
        /// This field.
        field: String,
    },
    /// A soul or field that cannot be written.
    #[error("invalid graph: {0}")]
    Name(#[from] BadName),
    /// More than [`FIELDS_PER_PUT_MAX`].
    #[error("invalid graph: more than {FIELDS_PER_PUT_MAX} fields in one put")]
    TooMany,
}

/// Why a soul or a field cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// The empty string; GUN skips those.
    #[error("a name must not be empty")]
    Empty,
    /// More than [`NAME_BYTES_MAX`].
    #[error("a name must not be longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// The field `_`, where GUN keeps a node's metadata.
    #[error("the name `_` is GUN's own")]
    Reserved,
}

/// Whether a field of this name can be written and travel.
///
/// # Errors
///
/// [`BadName`] says why not.
pub fn check_names(soul: &str, field: &str) -> Result<(), BadName> {
    if soul.is_empty() || field.is_empty() {
        return Err(BadName::Empty);
    }
    if soul.len() > NAME_BYTES_MAX || field.len() > NAME_BYTES_MAX {
        return Err(BadName::TooLong);
    }
    if field == META {
        return Err(BadName::Reserved);
    }
    Ok(())
}

/// Whether a write can travel: its names, and its value's size.
///
/// # Errors
///
/// [`BadPut`] says why not.
pub fn check_write(write: &Write) -> Result<(), BadPut> {
    check_names(&write.soul, &write.field)?;
    if write.cell.value.json().len() > VALUE_BYTES_MAX {
        return Err(BadPut::ValueTooBig {
            soul: shown(&write.soul),
            field: shown(&write.field),
        });
    }
    Ok(())
}

pub(super) const META: &str = "_";

/// Reads `{soul: {"_": {"#": soul, ">": {field: state}}, field: value}}`.
pub(super) fn parse(raw: &RawValue) -> Result<Vec<Write>, BadPut> {
    let nodes = members(raw)?;
    // gun.js takes a graph with both members for its internal one-field form and drops it.
    let has = |name: &str| nodes.iter().any(|(node, _)| node == name);
    if has("#") && has(".") {
        return Ok(Vec::new());
    }
    refuse_twins(&nodes)?;
    let mut writes = Vec::new();
    for (soul, node) in nodes {
        // gun.js skips these two without a word, so they must not cost their neighbours anything.
        if !soul.is_empty() {
            parse_node(&soul, node, &mut writes)?;
        }
    }
    Ok(writes)
}

fn parse_node(soul: &str, node: &RawValue, writes: &mut Vec<Write>) -> Result<(), BadPut> {
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow, default, rename = "#")]
        soul: Option<&'a RawValue>,
        #[serde(borrow, default, rename = ">")]
        states: Option<&'a RawValue>,
    }
    if !node.get().starts_with('{') {
        return Err(BadPut::NoNode(shown(soul)));
    }
    let fields = members(node)?;
    refuse_twins(&fields)?;
    let meta = fields.iter().find(|(name, _)| name == META);
    let meta: Meta<'_> = meta
        .and_then(|(_, raw)| object(raw.get()))
        .ok_or_else(|| BadPut::NoMeta(shown(soul)))?;
    if meta.soul.and_then(text).as_deref() != Some(soul) {
        return Err(BadPut::SoulDiffers(shown(soul)));
    }
    let states = meta.states.ok_or_else(|| BadPut::NoMeta(shown(soul)))?;
    let mut states = members(states)?;
    refuse_twins(&states)?;
    states.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let shared = Soul::from(soul);
    for (field, value) in fields {
        if field == META || field.is_empty() {
            continue;
        }
        check_names(soul, &field)?;
        if writes.len() == FIELDS_PER_PUT_MAX {
            return Err(BadPut::TooMany);
        }
        let place = || (shown(soul), shown(&field));
        let state = states.binary_search_by(|(name, _)| name.cmp(&field));
        let stamp = state.ok().and_then(|at| stamp(states[at].1.get()));
        let stamp = stamp.ok_or_else(|| {
            let (soul, field) = place();
            BadPut::NoState { soul, field }
        })?;
        if value.get().len() > VALUE_BYTES_MAX {
            let (soul, field) = place();
            return Err(BadPut::ValueTooBig { soul, field });
        }
        let value = Value::from_raw(value).map_err(|reason| {
            let (soul, field) = place();
            BadPut::Value {
                soul,
                field,
                reason,
            }
        })?;
        writes.push(Write {
            soul: shared.clone(),
            field: Field::from(&*field),
            cell: Cell { stamp, value },
        });
    }
    Ok(())
}

fn stamp(json: &str) -> Option<Stamp> {
    let number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    number
        .then(|| json.parse().ok())
        .flatten()
        .and_then(Stamp::new)
}

/// A name short enough for an error message.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Parsers disagree on which of two members of one name counts, so two peers could merge different
/// things from the same bytes.
fn refuse_twins(members: &[(Cow<'_, str>, &RawValue)]) -> Result<(), BadPut> {
    let twin = if members.len() <= FEW {
        let mut named = members.iter().enumerate();
        let twin =
            named.find(|(nth, (name, _))| members[..*nth].iter().any(|(other, _)| other == name));
        twin.map(|(_, (name, _))| &**name)
    } else {
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let twins = names.windows(2).find(|pair| pair[0] == pair[1]);
        twins.map(|pair| pair[0])
    };
    twin.map_or(Ok(()), |name| Err(BadPut::Twins(shown(name))))
}

/// Up to this many names comparing each with each costs less than sorting them.
const FEW: usize = 8;

fn members(raw: &RawValue) -> Result<Vec<(Cow<'_, str>, &RawValue)>, BadPut> {
    if !raw.get().starts_with('{') {
        return Err(BadPut::NotAnObject);
    }
    // It is JSON already: what is left to go wrong is a name.
    let Members(members) = serde_json::from_str(raw.get()).map_err(|_| BadPut::HalfSurrogate)?;
    // One more for the metadata.
    if members.len() > FIELDS_PER_PUT_MAX + 1 {
        return Err(BadPut::TooMany);
    }
    Ok(members)
}

/// An object's members in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    // Enough to see that there are too many.
                    if members.len() < FIELDS_PER_PUT_MAX + 2 {
                        members.push((name, value));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
