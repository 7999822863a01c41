//! Certificates: the owner of a soul lets somebody else write to parts of it.
//!
//! `{"m": {"c": who, "w": where, "e": until, "wb": block list}, "s": signature}`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::Write;

use super::lex::Pattern;
use super::object;
use super::signature::Key;

/// Why a certificate does not allow a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// There is none.
    #[error("there is no certificate of the owner with it")]
    Missing,
    /// The name in `*` is no key.
    #[error("the writer named is no key")]
    NoWriter,
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// The owner did not sign it.
    #[error("the owner did not sign the certificate")]
    NotTheOwners,
    /// It is for others.
    #[error("the certificate is for somebody else")]
    ForOthers,
    /// The write is stamped later than it lasts.
    #[error("the certificate has expired")]
    Expired,
    /// It is for other parts of the graph.
    #[error("the certificate is for other paths or fields")]
    Elsewhere,
    /// It wants the writer's key in the path or the field.
    #[error("the certificate wants the writer's key in the path or the field")]
    Unnamed,
    /// It has a list of those blocked.
    #[error("the certificate has a list of blocked writers, which is not held here for sure")]
    BlockList,
    /// The writer named did not sign the write.
    #[error("the signature is not the writer's for this value, field, soul and state")]
    WrongSignature,
}

#[derive(Deserialize)]
pub(super) struct Certificate<'a> {
    #[serde(borrow, rename = "m")]
    terms: &'a RawValue,
    #[serde(borrow, rename = "s")]
    signature: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Terms<'a> {
    #[serde(borrow, rename = "c")]
    who: &'a RawValue,
    #[serde(borrow, rename = "w")]
    places: &'a RawValue,
    #[serde(borrow, rename = "e", default)]
    until: Option<&'a RawValue>,
    #[serde(borrow, rename = "wb", default)]
    blocked: Option<&'a RawValue>,
}

/// One place: a pattern for the path, or patterns for path and field.
#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow, rename = "#", default)]
    path: Option<&'a RawValue>,
    #[serde(borrow, rename = ".", default)]
    field: Option<&'a RawValue>,
    /// Holds a `*` if the writer's key must be in the path or the field.
    #[serde(borrow, rename = "+", default)]
    named: Option<&'a RawValue>,
}

impl Certificate<'_> {
    /// Whether `owner` allows `writer` this write, who signed it.
    pub(super) fn check(
        &self,
        owner: &Key,
        writer: &Key,
        write: &Write,
    ) -> Result<(), InvalidCertificate> {
        let terms: Option<Terms<'_>> = object(self.terms.get());
        let terms = terms.ok_or(InvalidCertificate::Unreadable)?;
        if terms.has_expired(write.cell.stamp.ms()) {
            return Err(InvalidCertificate::Expired);
        }
        if !terms.is_for(writer) {
            return Err(InvalidCertificate::ForOthers);
        }
        terms.check_place(writer, write)?;
        if terms.blocked.is_some() {
            return Err(InvalidCertificate::BlockList);
        }
        // The only costly question comes last.
        if !owner.signed(self.terms.get(), &self.signature) {
            return Err(InvalidCertificate::NotTheOwners);
        }
        Ok(())
    }
}

impl Terms<'_> {
    fn has_expired(&self, stamp_ms: f64) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let text = until.get().trim_matches('"');
        // What is no number lasts for ever, as in JavaScript.
        text.parse().is_ok_and(|until_ms: f64| stamp_ms > until_ms)
    }

    /// A key, a text with a `*` in it for everybody, or a list with `"*"` in it. A list of keys is
    /// for nobody: gun.js does not look for them in it.
    fn is_for(&self, writer: &Key) -> bool {
        if let Ok(who) = serde_json::from_str::<String>(self.who.get()) {
            return who == writer.text() || who.contains('*');
        }
        let list: Vec<serde_json::Value> = serde_json::from_str(self.who.get()).unwrap_or_default();
        list.iter().any(|who| who == "*")
    }

    fn check_place(&self, writer: &Key, write: &Write) -> Result<(), InvalidCertificate> {
        let soul = write.soul.as_str();
        let path = soul.split_once('/').map_or("", |(_, path)| path);
        let field = write.field.as_str();
        let whole = match path {
            "" => field.to_owned(),
            path => format!("{path}/{field}"),
        };
        let places: Vec<&RawValue> =
            serde_json::from_str(self.places.get()).unwrap_or_else(|_| vec![self.places]);
        for raw in places {
            let place: Option<Place<'_>> = object(raw.get());
            if !allows(raw, place.as_ref(), path, field, &whole) {
                continue;
            }
            let must_name = place.and_then(|place| place.named);
            let must_name = must_name.is_some_and(|named| named.get().contains('*'));
            let named = [path, field].iter().any(|it| it.contains(writer.text()));
            // gun.js does not insist where there is no path.
            if must_name && !path.is_empty() && !named {
                return Err(InvalidCertificate::Unnamed);
            }
            return Ok(());
        }
        Err(InvalidCertificate::Elsewhere)
    }
}

/// As gun.js asks: any one of path, field, and both together is enough.
fn allows(raw: &RawValue, place: Option<&Place<'_>>, path: &str, field: &str, whole: &str) -> bool {
    let matches = |pattern: &RawValue, text| {
        Pattern::parse(pattern.get()).is_some_and(|pattern| pattern.matches(text))
    };
    let of_path = place.and_then(|place| place.path);
    let of_field = place.and_then(|place| place.field);
    let path_fits = of_path.is_some_and(|pattern| matches(pattern, path));
    let field_fits = of_field.is_some_and(|pattern| matches(pattern, field));
    (path_fits && (field_fits || of_field.is_none()))
        || (of_path.is_none() && field_fits)
        || matches(of_path.unwrap_or(raw), whole)
}
