//! What Loom peers say to each other: `dam:"loom"`, which gun.js ignores.
//!
//! Every question has an id and at most one answer, which names it in `@`. What version 2 added
//! stands in the member `loom`; version 1 knew only roots and chunks, and ignores the rest.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::graph::{BRIEF_BYTES, Brief, Root};
use crate::js_text;
use crate::model::{Field, Soul, Stamp, Write};

use super::decode::{object, text};
use super::envelope::Envelope;
use super::message::{BadMessage, Id};
use super::put;

/// The reconciliation this side speaks: `"loom":{"sync":2}` in its greeting.
///
/// 1: roots, and chunks of the whole graph. 2: differences as well, worked out by the side that
/// dialled.
pub const SYNC_VERSION: u32 = 2;

/// Longest message of negentropy that is read; this side makes none above half of it.
pub const DIFF_BYTES_MAX: usize = 512 << 10;

/// Most items asked for in one question.
pub const ITEMS_MAX: usize = 16_384;

/// Reconciliation between Loom peers.
#[derive(Clone, Debug)]
pub enum LoomTalk {
    /// What is your root?
    AskRoot {
        /// The asker's own; a peer of version 1 does not say.
        own: Option<Standing>,
    },
    /// The answer to that.
    Root {
        /// [`Root`] as hex.
        root: String,
        /// Fields it is the root of.
        count: u64,
        /// What helps to find the difference; a peer of version 1 does not say.
        hint: Hint,
    },
    /// Give me fields after this one, in (soul, field) order.
    AskChunk {
        /// `None` from the beginning.
        after: Option<(Soul, Field)>,
    },
    /// The answer to that.
    Chunk {
        /// The fields.
        writes: Vec<Write>,
        /// Where to go on; `None` at the end.
        next: Option<(Soul, Field)>,
    },
    /// What differs among the fields stamped `from` or later?
    AskDiff {
        /// `None`: among all.
        from: Option<Stamp>,
        /// It is the first question of a pass.
        first: bool,
        /// A message of negentropy.
        diff: Vec<u8>,
    },
    /// The answer to that.
    Diff {
        /// A message of negentropy.
        diff: Vec<u8>,
    },
    /// Give me these.
    AskItems {
        /// At most [`ITEMS_MAX`].
        wanted: Vec<Brief>,
    },
    /// The answer to that.
    Items {
        /// Those that are still held.
        writes: Vec<Write>,
        /// How many of the wanted ones this settles, from the first on.
        done: u64,
    },
    /// Take these.
    Give {
        /// What the other side lacks.
        writes: Vec<Write>,
    },
    /// The answer to that.
    Given {
        /// How many there was no room for.
        refused: u64,
    },
    /// Something a newer Loom says.
    Unknown,
}

/// What an asker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// [`Root`] as hex.
    pub root: String,
    /// Fields it is the root of.
    pub count: u64,
    /// The pass that went before found and moved everything.
    pub passed: bool,
}

/// What the asked one says beside its root.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hint {
    /// The latest stamp it knows.
    pub latest: Option<Stamp>,
    /// What it has taken in since both sides last held the same.
    pub since: Since,
    /// It can store nothing at the moment, and so takes nothing in.
    pub stalled: bool,
    /// Since both sides last held the same it has not taken in something that was sent to it.
    pub missed: bool,
}

/// What was taken in since a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Since {
    /// The moment is not known.
    #[default]
    Unknown,
    /// Nothing.
    Nothing,
    /// This is the oldest stamp of it.
    Oldest(Stamp),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Members<'a> {
    sync: u32,
    #[serde(borrow)]
    root: Option<Cow<'a, str>>,
    count: u64,
    passed: bool,
    latest: Option<f64>,
    /// Absent is unknown, null is nothing.
    #[serde(deserialize_with = "present")]
    since: Option<Option<f64>>,
    stalled: bool,
    missed: bool,
    from: Option<f64>,
    first: bool,
    #[serde(borrow)]
    diff: Option<Cow<'a, str>>,
    #[serde(borrow)]
    items: Option<Cow<'a, str>>,
    done: Option<u64>,
    refused: Option<u64>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Which reconciliation a greeting's `loom` member announces.
pub(super) fn spoken(raw: &RawValue) -> u32 {
    object(raw.get()).map_or(0, |Members { sync, .. }| sync)
}

pub(super) fn read(envelope: &Envelope<'_>, is_answer: bool) -> Result<LoomTalk, BadMessage> {
    let members = envelope
        .loom
        .map(|raw| object(raw.get()).ok_or(BadMessage::Loom))
        .transpose()?
        .unwrap_or_default();
    match is_answer {
        true => answer(envelope, &members),
        false => question(envelope, members),
    }
}

fn question(envelope: &Envelope<'_>, members: Members<'_>) -> Result<LoomTalk, BadMessage> {
    let bad = BadMessage::Loom;
    Ok(match envelope.ask.map(RawValue::get) {
        Some("\"root\"") => LoomTalk::AskRoot {
            own: members.root.map(|root| Standing {
                root: root.into_owned(),
                count: members.count,
                passed: members.passed,
            }),
        },
        Some("\"chunk\"") => LoomTalk::AskChunk {
            after: cursor(envelope.after)?,
        },
        Some("\"diff\"") => LoomTalk::AskDiff {
            from: stamp(members.from)?,
            first: members.first,
            diff: bytes(&members.diff.ok_or(bad)?)?,
        },
        Some("\"items\"") => {
            let wanted = bytes(&members.items.ok_or(bad)?)?;
            let (wanted, []) = wanted.as_chunks::<BRIEF_BYTES>() else {
                return Err(BadMessage::Loom);
            };
            if wanted.len() > ITEMS_MAX {
                return Err(BadMessage::Loom);
            }
            let wanted = wanted.iter().copied().map(Brief::new);
            LoomTalk::AskItems {
                wanted: wanted.collect(),
            }
        }
        Some("\"take\"") => LoomTalk::Give {
            writes: put::parse(envelope.put.ok_or(bad)?)?,
        },
        _ => LoomTalk::Unknown,
    })
}

fn answer(envelope: &Envelope<'_>, members: &Members<'_>) -> Result<LoomTalk, BadMessage> {
    let bad = || BadMessage::Loom;
    if let Some(root) = envelope.root {
        let since = match members.since {
            None => Since::Unknown,
            Some(None) => Since::Nothing,
            Some(oldest) => stamp(oldest)?.map_or(Since::Unknown, Since::Oldest),
        };
        return Ok(LoomTalk::Root {
            root: text(root).ok_or_else(bad)?.into_owned(),
            count: envelope
                .count
                .and_then(|count| count.get().parse().ok())
                .ok_or_else(bad)?,
            hint: Hint {
                latest: stamp(members.latest)?,
                since,
                stalled: members.stalled,
                missed: members.missed,
            },
        });
    }
    if let Some(diff) = &members.diff {
        return Ok(LoomTalk::Diff { diff: bytes(diff)? });
    }
    if let Some(refused) = members.refused {
        return Ok(LoomTalk::Given { refused });
    }
    let Some(graph) = envelope.put else {
        return Ok(LoomTalk::Unknown);
    };
    let writes = put::parse(graph)?;
    Ok(match members.done {
        Some(done) => LoomTalk::Items { writes, done },
        None => LoomTalk::Chunk {
            writes,
            next: cursor(envelope.next)?,
        },
    })
}

fn stamp(ms: Option<f64>) -> Result<Option<Stamp>, BadMessage> {
    ms.map(|ms| Stamp::new(ms).ok_or(BadMessage::Loom))
        .transpose()
}

fn bytes(text: &str) -> Result<Vec<u8>, BadMessage> {
    if text.len() > DIFF_BYTES_MAX.div_ceil(3) * 4 {
        return Err(BadMessage::Loom);
    }
    BASE64.decode(text).map_err(|_| BadMessage::Loom)
}

fn cursor(raw: Option<&RawValue>) -> Result<Option<(Soul, Field)>, BadMessage> {
    let Some(raw) = raw else { return Ok(None) };
    let cursor: Option<(String, String)> =
        serde_json::from_str(raw.get()).map_err(|_| BadMessage::Loom)?;
    Ok(cursor.map(|(soul, field)| (soul.into(), field.into())))
}

/// "What is your root?" to a peer of version 1.
pub fn ask_root(id: &Id) -> Bytes {
    format!("{{\"#\":{},\"dam\":\"loom\",\"ask\":\"root\"}}", id.json()).into()
}

/// "What is your root? This is mine."
pub fn compare(id: &Id, own: Root, passed: bool) -> Bytes {
    let (id, root, count) = (id.json(), own.hex(), own.count());
    let own = format!("{{\"root\":\"{root}\",\"count\":{count},\"passed\":{passed}}}");
    format!("{{\"#\":{id},\"dam\":\"loom\",\"ask\":\"root\",\"loom\":{own}}}").into()
}

/// The answer to either; a peer of version 1 gets no hint.
pub fn tell_root(id: &Id, to: &Id, root: Root, hint: Option<Hint>) -> Bytes {
    let (id, to, count) = (id.json(), to.json(), root.count());
    let hint = hint.map_or_else(String::new, |hint| {
        let latest = number(hint.latest);
        let since = match hint.since {
            Since::Unknown => String::new(),
            Since::Nothing => ",\"since\":null".to_owned(),
            Since::Oldest(stamp) => format!(",\"since\":{stamp}"),
        };
        let stalled = if hint.stalled {
            ",\"stalled\":true"
        } else {
            ""
        };
        let missed = if hint.missed { ",\"missed\":true" } else { "" };
        format!(",\"loom\":{{\"latest\":{latest}{since}{stalled}{missed}}}")
    });
    format!(
        "{{\"#\":{id},\"@\":{to},\"dam\":\"loom\",\"root\":\"{}\",\"count\":{count}{hint}}}",
        root.hex()
    )
    .into()
}

/// "What do you hold after this?"
pub fn ask_chunk(id: &Id, after: Option<&(Soul, Field)>) -> Bytes {
    let (id, after) = (id.json(), place(after));
    format!("{{\"#\":{id},\"dam\":\"loom\",\"ask\":\"chunk\",\"after\":{after}}}").into()
}

/// The answer to that.
pub fn tell_chunk(id: &Id, to: &Id, graph: &str, next: Option<&(Soul, Field)>) -> Bytes {
    let (id, to, next) = (id.json(), to.json(), place(next));
    format!("{{\"#\":{id},\"@\":{to},\"dam\":\"loom\",\"next\":{next},\"put\":{graph}}}").into()
}

/// "What differs?"
pub fn ask_diff(id: &Id, from: Option<Stamp>, first: bool, diff: &[u8]) -> Bytes {
    let (id, from, diff) = (id.json(), number(from), BASE64.encode(diff));
    let loom = format!("{{\"from\":{from},\"first\":{first},\"diff\":\"{diff}\"}}");
    format!("{{\"#\":{id},\"dam\":\"loom\",\"ask\":\"diff\",\"loom\":{loom}}}").into()
}

/// The answer to that.
pub fn tell_diff(id: &Id, to: &Id, diff: &[u8]) -> Bytes {
    let (id, to, diff) = (id.json(), to.json(), BASE64.encode(diff));
    format!("{{\"#\":{id},\"@\":{to},\"dam\":\"loom\",\"loom\":{{\"diff\":\"{diff}\"}}}}").into()
}

/// "Give me these."
pub fn ask_items<'a>(id: &Id, wanted: impl Iterator<Item = &'a Brief>) -> Bytes {
    let wanted: Vec<u8> = wanted.flat_map(|brief| *brief.bytes()).collect();
    let (id, items) = (id.json(), BASE64.encode(wanted));
    format!("{{\"#\":{id},\"dam\":\"loom\",\"ask\":\"items\",\"loom\":{{\"items\":\"{items}\"}}}}")
        .into()
}

/// The answer to that.
pub fn tell_items(id: &Id, to: &Id, graph: &str, done: usize) -> Bytes {
    let (id, to) = (id.json(), to.json());
    format!(
        "{{\"#\":{id},\"@\":{to},\"dam\":\"loom\",\"loom\":{{\"done\":{done}}},\"put\":{graph}}}"
    )
    .into()
}

/// "Take these."
pub fn give(id: &Id, graph: &str) -> Bytes {
    let id = id.json();
    format!("{{\"#\":{id},\"dam\":\"loom\",\"ask\":\"take\",\"put\":{graph}}}").into()
}

/// The answer to that.
pub fn given(id: &Id, to: &Id, refused: u64) -> Bytes {
    let (id, to) = (id.json(), to.json());
    format!("{{\"#\":{id},\"@\":{to},\"dam\":\"loom\",\"loom\":{{\"refused\":{refused}}}}}").into()
}

fn place(at: Option<&(Soul, Field)>) -> String {
    at.map_or("null".to_owned(), |(soul, field)| {
        format!("[{},{}]", js_text::string(soul), js_text::string(field))
    })
}

fn number(stamp: Option<Stamp>) -> String {
    stamp.map_or("null".to_owned(), |stamp| stamp.to_string())
}
