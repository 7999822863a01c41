//! A signed value: text that is JSON, `{":": value, "~": signature}`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::js_text;
use crate::model::Write;

use super::certificate::{Certificate, InvalidCertificate};
use super::object;
use super::signature::Key;

/// What is in the text. A member twice, or one that no signature covers, makes it none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signed<'a> {
    #[serde(borrow, rename = ":")]
    value: &'a RawValue,
    #[serde(borrow, rename = "~")]
    signature: Cow<'a, str>,
    /// Who signed, if not the owner.
    #[serde(borrow, rename = "*", default)]
    pub(super) writer: Option<Cow<'a, str>>,
    /// The owner's permission.
    #[serde(borrow, rename = "+", default)]
    certificate: Option<Certificate<'a>>,
}

impl<'a> Signed<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        object(text)
    }

    /// Whether this key signed exactly this write.
    pub(super) fn is_by(&self, key: &Key, write: &Write) -> bool {
        key.signed(&self.record(write), &self.signature)
    }

    /// Whether `writer` signed this write, and the owner allows it.
    pub(super) fn check_certified(
        &self,
        writer: &str,
        owner: &Key,
        write: &Write,
    ) -> Result<(), InvalidCertificate> {
        let certificate = self.certificate.as_ref();
        let certificate = certificate.ok_or(InvalidCertificate::Missing)?;
        let writer = Key::parse(writer).ok_or(InvalidCertificate::NoWriter)?;
        certificate.check(owner, &writer, write)?;
        if self.is_by(&writer, write) {
            Ok(())
        } else {
            Err(InvalidCertificate::WrongSignature)
        }
    }

    /// What gun.js signs: as `JSON.stringify` prints it.
    fn record(&self, write: &Write) -> String {
        // Anything but a GUN value can only be what the signer printed, and is left alone.
        let value = js_text::canonical_raw(self.value);
        let value = value.unwrap_or_else(|_| Cow::Borrowed(self.value.get()));
        format!(
            "{{\"#\":{},\".\":{},\":\":{value},\">\":{}}}",
            js_text::string(&write.soul),
            js_text::string(&write.field),
            write.cell.stamp
        )
    }
}
