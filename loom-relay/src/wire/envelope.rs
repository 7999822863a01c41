//! A message's members as raw JSON, borrowed from its frame: the first look at what came.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::MESSAGES_PER_FRAME_MAX;

/// The members of a message this side knows, as raw JSON.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) answers: Option<&'a RawValue>,
    pub(super) content_hash: Option<&'a RawValue>,
    pub(super) put: Option<&'a RawValue>,
    pub(super) get: Option<&'a RawValue>,
    pub(super) ok: Option<&'a RawValue>,
    pub(super) err: Option<&'a RawValue>,
    pub(super) dam: Option<&'a RawValue>,
    pub(super) here_only: Option<&'a RawValue>,
    pub(super) pid: Option<&'a RawValue>,
    pub(super) loom: Option<&'a RawValue>,
    pub(super) ask: Option<&'a RawValue>,
    pub(super) after: Option<&'a RawValue>,
    pub(super) root: Option<&'a RawValue>,
    pub(super) count: Option<&'a RawValue>,
    pub(super) next: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Name(name)) = map.next_key()? {
                    let slot = match &*name {
                        "#" => &mut envelope.id,
                        "@" => &mut envelope.answers,
                        "##" => &mut envelope.content_hash,
                        "put" => &mut envelope.put,
                        "get" => &mut envelope.get,
                        "ok" => &mut envelope.ok,
                        "err" => &mut envelope.err,
                        "dam" => &mut envelope.dam,
                        "nts" | "NTS" => &mut envelope.here_only,
                        "pid" => &mut envelope.pid,
                        "loom" => &mut envelope.loom,
                        "ask" => &mut envelope.ask,
                        "after" => &mut envelope.after,
                        "root" => &mut envelope.root,
                        "count" => &mut envelope.count,
                        "next" => &mut envelope.next,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    // Parsers disagree on which of two counts, so two peers could merge
                    // different things from the same bytes.
                    if slot.replace(map.next_value()?).is_some() {
                        return Err(A::Error::custom(format_args!("`{name}` is given twice")));
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A member's name, borrowed when it has no escapes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The elements of an array frame; one more than the bound at most.
pub(super) struct Elements<'a>(pub(super) Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sequence;
        impl<'de> Visitor<'de> for Sequence {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if elements.len() <= MESSAGES_PER_FRAME_MAX {
                        elements.push(element);
                    }
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Sequence)
    }
}
