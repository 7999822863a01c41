//! The content hash that answers carry in `##`.

/// Java's `String.hashCode`: 31 h + unit over UTF-16 code units, as a signed 32-bit integer.
///
/// For a graph it is taken over the text [`super::encode::graph`] writes.
pub fn content_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}
