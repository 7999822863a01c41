//! Content-addressed fields: named by the SHA-256 of their value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::js_text;
use crate::model::Value;

/// Whether the field's name, or what follows its last `#`, is the hash: base64 or hexadecimal.
pub(super) fn is_hash_of(field: &str, value: &Value) -> bool {
    let name = field.rsplit('#').next().unwrap_or(field);
    // A string is hashed as it is, anything else as JSON.
    let text = js_text::utf8(value.json());
    let hash = Sha256::digest(text.as_deref().unwrap_or(value.json()));
    name == STANDARD.encode(hash) || is_hex_of(name, &hash)
}

fn is_hex_of(name: &str, hash: &[u8]) -> bool {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    name.eq_ignore_ascii_case(&hex)
}
