//! How one write lies in the database: its key and its value, as bytes.
//!
//! ```text
//! a field     key   = length of soul (u32 BE), soul, field
//!             value = stamp (f64 BE), JSON text
//!        or, where that key would be longer than the database allows,
//!             key   = 0xffffffff, BLAKE3 of the key above
//!             value = length of the key above (u32 BE), that key, stamp, JSON text
//! deferred    key   = BLAKE3 of the value
//!             value = as the long form of a field
//! ```

use crate::model::{Cell, Field, Soul, Stamp, Value, Write};

/// The entry that keeps a field: its key and its value in the database.
pub(super) fn encode(soul: &Soul, field: &Field, cell: &Cell) -> (Vec<u8>, Vec<u8>) {
    let json = cell.value.json();
    let name = encode_name(soul, field);
    let mut value = Vec::with_capacity(8 + json.len());
    let key = if name.len() <= KEY_BYTES_MAX {
        name
    } else {
        value.extend_from_slice(&length(name.len()));
        value.extend_from_slice(&name);
        [LONG, blake3::hash(&name).as_bytes()].concat()
    };
    value.extend_from_slice(&cell.stamp.ms().to_be_bytes());
    value.extend_from_slice(json.as_bytes());
    (key, value)
}

/// The field that an entry keeps. Most fields have the soul of the one before: that is shared.
pub(super) fn decode(key: &[u8], value: &[u8], before: Option<&Soul>) -> Option<Write> {
    let (name, value) = match key.strip_prefix(LONG) {
        None => (key, value),
        Some(hash) => {
            let (name, value) = split_prefixed(value)?;
            (blake3::hash(name).as_bytes() == hash).then_some((name, value))?
        }
    };
    let (soul, field) = split_prefixed(name)?;
    let (stamp, json) = value.split_first_chunk::<8>()?;
    let soul = match before {
        Some(before) if before.as_bytes() == soul => before.clone(),
        _ => str::from_utf8(soul).ok()?.into(),
    };
    Some(Write {
        soul,
        field: str::from_utf8(field).ok()?.into(),
        cell: Cell {
            stamp: Stamp::new(f64::from_be_bytes(*stamp))?,
            value: Value::kept(str::from_utf8(json).ok()?)?,
        },
    })
}

/// The entry that keeps a deferred write. Its key says what it is, because a field may have several
/// writes waiting, and two of them may have one stamp.
pub(super) fn encode_deferred(write: &Write) -> (Vec<u8>, Vec<u8>) {
    let Write { soul, field, cell } = write;
    let name = encode_name(soul, field);
    let json = cell.value.json();
    let mut value = Vec::with_capacity(4 + name.len() + 8 + json.len());
    value.extend_from_slice(&length(name.len()));
    value.extend_from_slice(&name);
    value.extend_from_slice(&cell.stamp.ms().to_be_bytes());
    value.extend_from_slice(json.as_bytes());
    (blake3::hash(&value).as_bytes().to_vec(), value)
}

pub(super) fn decode_deferred(key: &[u8], value: &[u8]) -> Option<Write> {
    if blake3::hash(value).as_bytes() != key {
        return None;
    }
    let (name, value) = split_prefixed(value)?;
    decode(name, value, None)
}

/// Soul and field, told apart by a length because either may contain any character.
fn encode_name(soul: &Soul, field: &Field) -> Vec<u8> {
    let mut name = Vec::with_capacity(4 + soul.len() + field.len());
    name.extend_from_slice(&length(soul.len()));
    name.extend_from_slice(soul.as_bytes());
    name.extend_from_slice(field.as_bytes());
    name
}

fn split_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes)
        .expect("frames are limited far below 4 GiB")
        .to_be_bytes()
}

/// What `fjall` takes as a key; it panics beyond.
const KEY_BYTES_MAX: usize = 65_535;
/// Starts a key that is a hash; no soul is that long.
const LONG: &[u8] = &[0xff; 4];
