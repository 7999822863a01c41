//! Patterns in certificates. gun.js reads them in its own way, unlike those of lookups, and who
//! may write must not depend on whom one asks.

use serde::Deserialize;

use crate::js_text;

use super::object;

/// A text, or `{"=", "*", ">", "<"}`.
#[derive(Debug)]
pub(super) enum Pattern {
    Exactly(String),
    Like(Like),
}

#[derive(Debug, Deserialize)]
pub(super) struct Like {
    #[serde(rename = "=")]
    exactly: Option<String>,
    #[serde(rename = "*")]
    prefix: Option<String>,
    #[serde(rename = ">")]
    from: Option<String>,
    #[serde(rename = "<")]
    to: Option<String>,
}

impl Pattern {
    /// Reads one; `None` for anything else, which matches nothing.
    pub(super) fn parse(json: &str) -> Option<Self> {
        if let Ok(text) = serde_json::from_str(json) {
            return Some(Self::Exactly(text));
        }
        object(json).map(Self::Like)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exactly(exactly) => !exactly.is_empty() && exactly == text,
            Self::Like(like) => like.matches(text),
        }
    }
}

impl Like {
    /// The same steps as gun.js, to which an empty text is as good as none where it says so.
    fn matches(&self, text: &str) -> bool {
        let given = |member: &Option<String>| member.clone().filter(|it| !it.is_empty());
        let prefix = given(&self.prefix).or_else(|| given(&self.from));
        let first = given(&self.exactly).or_else(|| prefix.clone());
        let first = first.or_else(|| given(&self.to));
        if first.as_deref() == Some(text) {
            return true;
        }
        if self.exactly.is_some() {
            return false;
        }
        if prefix.is_some_and(|prefix| text.starts_with(&prefix)) {
            return true;
        }
        if self.prefix.is_some() {
            return false;
        }
        let from = self.from.as_deref();
        let to = self.to.as_deref();
        (from.is_some() || to.is_some())
            && from.is_none_or(|from| js_text::compare(text, from).is_ge())
            && to.is_none_or(|to| js_text::compare(text, to).is_le())
    }
}
