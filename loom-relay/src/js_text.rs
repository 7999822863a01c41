//! Values as JavaScript prints and orders them.
//!
//! Two peers must print the same value as the same text: ties, hashes and signatures are all
//! computed from it. Source: ECMA-262 `JSON.stringify` and `Number::toString`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::model::InvalidValue;

/// A finite number as `String(n)` prints it: `1e+21`, `1e-7`, integers without `.0`, `-0` as `0`.
pub fn number(number: f64) -> String {
    debug_assert!(number.is_finite());
    let mut buffer = ryu_js::Buffer::new();
    buffer.format_finite(number + 0.0).to_owned()
}

/// A string as `JSON.stringify` quotes it.
pub fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    push_string(&mut quoted, text);
    quoted
}

/// The same at the end of `into`.
pub(crate) fn push_string(into: &mut String, text: &str) {
    into.push('"');
    if text.bytes().any(is_escaped) {
        for character in text.chars() {
            push_escaped(into, character);
        }
    } else {
        into.push_str(text);
    }
    into.push('"');
}

/// Brings the JSON text of one value to the form JavaScript prints.
///
/// # Errors
///
/// [`InvalidValue`] for what GUN does not know as a value.
pub fn canonical(json: &str) -> Result<Cow<'_, str>, InvalidValue> {
    // RawValue checks the grammar without insisting on paired surrogates.
    let raw = serde_json::from_str(json).map_err(|_| InvalidValue::NotJson)?;
    canonical_raw(raw)
}

/// The same for what is known to be JSON.
///
/// # Errors
///
/// [`InvalidValue`] for what GUN does not know as a value.
pub fn canonical_raw(raw: &RawValue) -> Result<Cow<'_, str>, InvalidValue> {
    let json = raw.get();
    match json.as_bytes().first() {
        Some(b'"') => canonical_string(json),
        Some(b'{') => canonical_link(json).map(Cow::Owned),
        Some(b'[') => Err(InvalidValue::Array),
        Some(b'-' | b'0'..=b'9') => {
            // The standard library rounds correctly.
            let parsed: f64 = json.parse().map_err(|_| InvalidValue::NotJson)?;
            if !parsed.is_finite() {
                return Err(InvalidValue::NotFinite);
            }
            Ok(number(parsed).into())
        }
        _ => Ok(json.into()),
    }
}

/// The string that a JSON text holds, as JavaScript turns it into UTF-8: half a surrogate pair
/// becomes U+FFFD. `None` when the text is no string.
pub fn utf8(json: &str) -> Option<String> {
    let mut rest = json.strip_prefix('"')?.strip_suffix('"')?;
    if let Ok(text) = serde_json::from_str(json) {
        return Some(text);
    }
    let mut units = Vec::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        units.extend(rest[..at].encode_utf16());
        let (unit, used) = unescape(&rest[at..])?;
        units.push(unit);
        rest = &rest[at + used..];
    }
    units.extend(rest.encode_utf16());
    Some(String::from_utf16_lossy(&units))
}

/// Appends the string that a JSON text holds; false, and anything appended, when the text is no
/// string or has lone surrogates.
pub(crate) fn unquote(json: &str, into: &mut String) -> bool {
    let text = json.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let Some(mut rest) = text.filter(|_| json.len() > 1) else {
        return false;
    };
    let start = into.len();
    while let Some(at) = rest.find('\\') {
        into.push_str(&rest[..at]);
        into.push(match rest.as_bytes().get(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            // Rare.
            _ => {
                into.truncate(start);
                let text: Result<String, _> = serde_json::from_str(json);
                return text.map(|text| into.push_str(&text)).is_ok();
            }
        });
        rest = &rest[at + 2..];
    }
    into.push_str(rest);
    true
}

/// Orders texts by UTF-16 code unit, as JavaScript's `<` does.
///
/// Rust's byte order differs only where one side has a character above U+FFFF (a surrogate pair
/// to JavaScript) and the other one from U+E000 to U+FFFF.
pub fn compare(a: &str, b: &str) -> Ordering {
    let same = a
        .bytes()
        .zip(b.bytes())
        .take_while(|(left, right)| left == right)
        .count();
    // The first difference may sit inside a character: step back to where that one starts.
    let start = (0..=same)
        .rev()
        .find(|&at| a.is_char_boundary(at) && b.is_char_boundary(at))
        .unwrap_or(0);
    a[start..].encode_utf16().cmp(b[start..].encode_utf16())
}

/// `raw` is known to be a JSON string.
fn canonical_string(raw: &str) -> Result<Cow<'_, str>, InvalidValue> {
    if is_canonical(raw) {
        return Ok(raw.into());
    }
    let mut text = String::with_capacity(raw.len());
    text.push('"');
    let mut rest = &raw[1..raw.len() - 1];
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (unit, used) = unescape(&rest[at..]).ok_or(InvalidValue::NotJson)?;
        rest = &rest[at + used..];
        if let Some(character) = char::from_u32(u32::from(unit)) {
            push_escaped(&mut text, character);
            continue;
        }
        let low = unescape(rest).filter(|_| is_high(unit));
        let pair = low.and_then(|(low, used)| {
            let character = char::decode_utf16([unit, low]).next()?.ok()?;
            Some((character, used))
        });
        if let Some((character, used)) = pair {
            text.push(character);
            rest = &rest[used..];
        } else {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text.push_str(rest);
    text.push('"');
    Ok(text.into())
}

/// Whether a JSON string has only escapes that JavaScript would write: what other programs send
/// nearly always.
fn is_canonical(raw: &str) -> bool {
    let mut rest = raw.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        match rest.get(at + 1) {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => rest = &rest[at + 2..],
            _ => return false,
        }
    }
    true
}

fn canonical_link(json: &str) -> Result<String, InvalidValue> {
    let members: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(json).map_err(|_| InvalidValue::NotALink)?;
    let mut members = members.into_iter();
    let (Some((key, soul)), None) = (members.next(), members.next()) else {
        return Err(InvalidValue::NotALink);
    };
    let soul = soul.get();
    if key != "#" || !soul.starts_with('"') || soul == "\"\"" {
        return Err(InvalidValue::NotALink);
    }
    Ok(format!("{{\"#\":{}}}", canonical_string(soul)?))
}

/// Whether `JSON.stringify` writes this byte of a text as something else.
fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..b' ')
}

fn push_escaped(text: &mut String, character: char) {
    match character {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\u{8}' => text.push_str("\\b"),
        '\u{c}' => text.push_str("\\f"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        control @ '\0'..'\u{20}' => {
            let _ = write!(text, "\\u{:04x}", u32::from(control));
        }
        other => text.push(other),
    }
}

/// Reads one escape at the start of `text`: the UTF-16 unit it stands for and its length in bytes.
fn unescape(text: &str) -> Option<(u16, usize)> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'\\') {
        return None;
    }
    let simple = |unit: u8| Some((u16::from(unit), 2));
    match bytes.get(1)? {
        b'b' => simple(8),
        b'f' => simple(12),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'u' => Some((u16::from_str_radix(text.get(2..6)?, 16).ok()?, 6)),
        other => simple(*other),
    }
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_javascript_prints_them() {
        for (from, to) in [
            ("1.0", "1"),
            ("-0", "0"),
            ("1e21", "1e+21"),
            ("1E-7", "1e-7"),
            ("0.1", "0.1"),
            ("1795409947056.001", "1795409947056.001"),
            ("123456789012345680000", "123456789012345680000"),
        ] {
            assert_eq!(canonical(from).as_deref(), Ok(to), "{from}");
        }
    }

    #[test]
    fn strings_keep_only_the_escapes_javascript_writes() {
        for (from, to) in [
            (r#""a\/b""#, r#""a/b""#),
            (r#""\u0041""#, r#""A""#),
            (r#""\u000a\u0001""#, r#""\n\u0001""#),
            (r#""\ud83d\ude00""#, "\"😀\""),
            (r#""\uD800x""#, r#""\ud800x""#),
            (r#""\ud800\ud83d\ude00""#, "\"\\ud800😀\""),
            (r#""\udc00\ud800""#, r#""\udc00\ud800""#),
            (r#""\u2028""#, "\"\u{2028}\""),
        ] {
            assert_eq!(canonical(from).as_deref(), Ok(to), "{from}");
        }
    }

    #[test]
    fn what_gun_has_no_value_for_is_refused() {
        for (json, reason) in [
            ("[]", InvalidValue::Array),
            ("{}", InvalidValue::NotALink),
            (r##"{"#":""}"##, InvalidValue::NotALink),
            (r##"{"#":5}"##, InvalidValue::NotALink),
            (r##"{"#":"a","x":1}"##, InvalidValue::NotALink),
            ("1e999", InvalidValue::NotFinite),
            ("nul", InvalidValue::NotJson),
            ("\"open", InvalidValue::NotJson),
            ("", InvalidValue::NotJson),
        ] {
            assert_eq!(canonical(json), Err(reason), "{json}");
        }
    }

    #[test]
    fn order_is_by_utf16_unit_not_by_byte() {
        assert_eq!(compare("\u{ffee}", "\u{1f600}"), Ordering::Greater);
        assert_eq!(compare("a\u{1f600}b", "a\u{1f600}c"), Ordering::Less);
        assert_eq!(compare("\u{1f600}", "\u{1f601}"), Ordering::Less);
        assert_eq!(compare("ab", "abc"), Ordering::Less);
        assert_eq!(compare("10", "9"), Ordering::Less);
    }
}
