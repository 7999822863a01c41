//! Whether a write may be what it claims: SEA, the part of GUN that says whose a soul is.
//!
//! [`check`] is the door. It needs nothing but the write itself, so that every peer decides alike.
//! The rules, each with the recorded case that shows it, are in `docs/protocol.md`; what gun.js
//! does about each of those cases is in `tests/vectors/sea-vectors.json`.

mod certificate;
mod hashed;
mod lex;
mod signature;
mod signed;
mod space;

use std::fmt;

use serde::Deserialize;

use crate::model::Write;

use self::certificate::InvalidCertificate;
use self::signed::Signed;
pub use self::space::Space;

/// A write that its soul does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// Of this vertex, cut to a length that can be shown.
    pub soul: String,
    /// This field, cut likewise.
    pub field: String,
    /// What is wrong.
    pub reason: Reason,
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            soul,
            field,
            reason,
        } = self;
        write!(f, "unverified: `{field}` of `{soul}`: {reason}")
    }
}

/// Why a soul does not allow a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The list of aliases holds links from a name to that alias' list of keys.
    #[error("the list of aliases links each alias to `~@` and its name, and to nothing else")]
    NotTheAlias,
    /// An alias holds links from a soul to itself.
    #[error("an alias links each account to itself, and to nothing else")]
    NotTheAccount,
    /// The field `pub` of an account is the key in its soul.
    #[error("`pub` is the key that the soul names, unsigned")]
    NotTheKey,
    /// Content-addressed: the field's name is the hash of the value.
    #[error("the field's name must end in the SHA-256 of the value")]
    NotTheHash,
    /// The soul names no point of the curve, so nobody can sign for it.
    #[error("the soul names no key that could sign; nobody can write there")]
    NoKey,
    /// Not a value and a signature.
    #[error("it is not signed; write it as the user the soul belongs to")]
    Unsigned,
    /// Another value, field, soul or state was signed, or somebody else signed.
    #[error("the signature is not the owner's for this value, field, soul and state")]
    WrongSignature,
    /// Somebody else signed, with a certificate that does not allow it.
    #[error("signed by somebody else than the owner: {0}")]
    Certificate(#[from] InvalidCertificate),
}

/// Whether a write is what its soul allows: signed by the key that the soul names, or a value that
/// follows from its name. Souls of no kind allow everything.
///
/// A signature takes a fraction of a millisecond to check, a certificate one more; everything else
/// is cheap.
///
/// # Errors
///
/// [`Unverified`] says which field, and what is wrong.
pub fn check(write: &Write) -> Result<(), Unverified> {
    let space = Space::of(&write.soul);
    reason(&space, write).map_err(|reason| Unverified {
        soul: shown(&write.soul),
        field: shown(&write.field),
        reason,
    })
}

fn reason(space: &Space, write: &Write) -> Result<(), Reason> {
    let (field, value) = (write.field.as_str(), &write.cell.value);
    let allowed = |allowed, reason| if allowed { Ok(()) } else { Err(reason) };
    match space {
        Space::Free => Ok(()),
        Space::Aliases => {
            let linked = value.as_link();
            let linked = linked.as_deref().and_then(|soul| soul.strip_prefix("~@"));
            allowed(linked == Some(field), Reason::NotTheAlias)
        }
        Space::Alias => {
            let linked = value.as_link();
            allowed(linked.as_deref() == Some(field), Reason::NotTheAccount)
        }
        Space::Hashed => allowed(hashed::is_hash_of(field, value), Reason::NotTheHash),
        Space::Owned { by } => {
            if field == "pub" && write.soul.strip_prefix('~') == Some(by) {
                let is_key = value.as_text().as_ref() == Some(by);
                return allowed(is_key, Reason::NotTheKey);
            }
            check_signed(by, write)
        }
    }
}

fn check_signed(owner: &str, write: &Write) -> Result<(), Reason> {
    let text = write.cell.value.as_text().ok_or(Reason::Unsigned)?;
    let signed = Signed::parse(&text).ok_or(Reason::Unsigned)?;
    // Before any arithmetic: a key that is none costs nothing.
    let owner = signature::Key::parse(owner).ok_or(Reason::NoKey)?;
    match &signed.writer {
        None if signed.is_by(&owner, write) => Ok(()),
        None => Err(Reason::WrongSignature),
        Some(writer) => Ok(signed.check_certified(writer, &owner, write)?),
    }
}

/// Reads an object. An array is none here, whatever serde makes of those.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    let is_object = json.trim_start().starts_with('{');
    is_object.then(|| serde_json::from_str(json).ok()).flatten()
}

/// A name short enough for an error message, without its end: keys differ early.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
