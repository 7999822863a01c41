//! Lexical queries: prefix, range, exact.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode::{object, text, truthy};

/// A pattern for names. Every member given must hold, for the whole name.
///
/// gun.js has two readings of its own, one in the client's filter and one in the relay's disk
/// lookup, and they contradict each other; `tests/gun_vectors.rs` lists each difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lex {
    /// `=`: exactly this. The others do not matter then.
    pub exact: Option<String>,
    /// `*`: starts with this.
    pub prefix: Option<String>,
    /// `>`: this or later.
    pub from: Option<String>,
    /// `<`: this or earlier.
    pub to: Option<String>,
    /// `-`: the last ones first.
    pub reverse: bool,
}

impl Lex {
    /// Reads `{"*":"a"}` and its like; `None` when a member is not a string.
    pub fn parse(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(borrow, default, rename = "=")]
            exact: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "*")]
            prefix: Option<&'a RawValue>,
            #[serde(borrow, default, rename = ">")]
            from: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "<")]
            to: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "-")]
            reverse: Option<&'a RawValue>,
        }
        let members: Members<'_> = object(json)?;
        let name = |raw: Option<&RawValue>| match raw {
            None => Some(None),
            Some(raw) => text(raw).map(|name| Some(name.into_owned())),
        };
        Some(Self {
            exact: name(members.exact)?,
            prefix: name(members.prefix)?,
            from: name(members.from)?,
            to: name(members.to)?,
            reverse: members.reverse.is_some_and(|raw| truthy(raw.get())),
        })
    }

    /// Whether `name` is meant. A pattern that says nothing matches nothing.
    pub fn matches(&self, name: &str) -> bool {
        if let Some(exact) = &self.exact {
            return name == exact;
        }
        let says_something = self.prefix.is_some() || self.from.is_some() || self.to.is_some();
        says_something
            && self
                .prefix
                .as_ref()
                .is_none_or(|prefix| name.starts_with(&**prefix))
            && self.from.as_deref().is_none_or(|from| name >= from)
            && self.to.as_deref().is_none_or(|to| name <= to)
    }

    /// Where a search in order may start.
    pub fn first(&self) -> &str {
        let starts = [&self.exact, &self.prefix, &self.from];
        let starts = starts.into_iter().flatten().map(String::as_str);
        starts.max().unwrap_or("")
    }

    /// Whether no name from here on can match.
    pub fn is_past(&self, name: &str) -> bool {
        let beyond_prefix = |prefix: &str| name > prefix && !name.starts_with(prefix);
        match self.exact.as_deref() {
            Some(exact) => name > exact,
            None => {
                self.to.as_deref().is_some_and(|to| name > to)
                    || self.prefix.as_deref().is_some_and(beyond_prefix)
            }
        }
    }
}
