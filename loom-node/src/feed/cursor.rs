//! A place in the feed, as text: `<epoch>-<seq>`.

use std::fmt;
use std::str::FromStr;

/// Everything up to and including this change was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Random per start of the node: numbers of different starts are not comparable.
    pub epoch: u64,
    /// The change's number, from 1; 0 is before the first.
    pub seq: u64,
}

/// Where to start reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Only what happens from here on.
    Now,
    /// Everything since the node started.
    Start,
    /// Everything after a change that was seen.
    After(Cursor),
}

/// Text that is no cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no cursor: use now, 0, or the id of the last event you have seen, such as 5f1d9c3a00e2b714-42"
)]
pub struct BadCursor(pub String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let parsed = text.split_once('-').and_then(|(epoch, seq)| {
            let hex = epoch.len() == 16 && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
            let decimal = seq.bytes().all(|byte| byte.is_ascii_digit());
            Some(Self {
                epoch: hex.then(|| u64::from_str_radix(epoch, 16).ok())??,
                seq: decimal.then(|| seq.parse().ok())??,
            })
        });
        parsed.ok_or_else(|| BadCursor(text.chars().take(64).collect()))
    }
}

impl FromStr for Since {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        match text {
            "now" => Ok(Self::Now),
            "0" => Ok(Self::Start),
            cursor => cursor.parse().map(Self::After),
        }
    }
}
