//! ECDSA over P-256 as gun.js uses it: keys as text, and the text hashed twice.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// A key that signs.
pub(super) struct Key {
    text: String,
    point: VerifyingKey,
}

impl Key {
    /// Reads `x.y`, both 32 bytes as base64url; `None` unless it is a point of the curve.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (x, y) = text.split_once('.')?;
        let mut point = vec![UNCOMPRESSED];
        for part in [x, y] {
            let number = URL_SAFE_NO_PAD.decode(part).ok()?;
            if number.len() != NUMBER_BYTES {
                return None;
            }
            point.extend(number);
        }
        Some(Self {
            point: VerifyingKey::from_sec1_bytes(&point).ok()?,
            text: text.to_owned(),
        })
    }

    /// As it stands in souls and certificates.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether this key made `signature` (base64 of r and s) for `text`.
    pub(super) fn signed(&self, text: &str, signature: &str) -> bool {
        let bytes = STANDARD.decode(signature);
        let signature = bytes.ok().and_then(|it| Signature::from_slice(&it).ok());
        // gun.js signs the hash of the text, and signing hashes once more.
        let hash = Sha256::digest(Sha256::digest(text));
        signature.is_some_and(|it| self.point.verify_prehash(&hash, &it).is_ok())
    }
}

/// The tag of a point that is written as both its coordinates (SEC 1).
const UNCOMPRESSED: u8 = 4;
const NUMBER_BYTES: usize = 32;
