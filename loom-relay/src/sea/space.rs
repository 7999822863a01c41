//! Whose a soul is.

/// What a soul is for, and so who may write there. In the order in which gun.js asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Space {
    /// `~@`: the list of aliases.
    Aliases,
    /// `~@name`: the accounts of that name.
    Alias,
    /// `~key`, `~key/profile`, also `chat/~key`: a user's.
    Owned {
        /// The key, as gun.js writes them: two base64url numbers and a dot between.
        by: String,
    },
    /// Has a `#`: every field is named by the hash of its value.
    Hashed,
    /// Anybody's.
    Free,
}

impl Space {
    /// What this soul is for.
    pub fn of(soul: &str) -> Self {
        if soul == "~@" {
            return Self::Aliases;
        }
        if soul.starts_with("~@") {
            return Self::Alias;
        }
        if let Some(by) = owner(soul) {
            return Self::Owned { by };
        }
        if soul.contains('#') {
            return Self::Hashed;
        }
        Self::Free
    }
}

/// The two words after the first tilde, whatever stands between them. Words that are no key make
/// a soul that nobody can write to, in gun.js as here.
fn owner(soul: &str) -> Option<String> {
    let (_, after) = soul.split_once('~')?;
    let named = after.split('~').next().filter(|named| !named.is_empty())?;
    let mut words = named.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    let (x, y) = (words.next()?, words.next()?);
    Some(format!("{x}.{y}"))
}
