//! What a frame can say: [`Message`] and its parts.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::js_text;
use crate::model::{Field, Soul, Write};

use super::lex::Lex;
use super::loom::LoomTalk;
use super::put::BadPut;

/// A message id. gun.js makes nine random characters; numbers are accepted and echoed as numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    text: Arc<str>,
    number: bool,
}

impl Id {
    /// An id that is a string.
    pub fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            number: false,
        }
    }

    pub(super) fn number(number: f64) -> Self {
        Self {
            text: js_text::number(number).into(),
            number: true,
        }
    }

    /// What JavaScript would use as the key of a table: `5` and `"5"` are the same.
    pub fn key(&self) -> &Arc<str> {
        &self.text
    }

    /// As it goes on the wire.
    pub fn json(&self) -> String {
        let mut json = String::with_capacity(self.text.len() + 2);
        self.push_json(&mut json);
        json
    }

    /// The same at the end of `into`.
    pub(super) fn push_json(&self, into: &mut String) {
        if self.number {
            into.push_str(&self.text);
        } else {
            js_text::push_string(into, &self.text);
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json())
    }
}

/// One message and the bytes it came in.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its own id; the receiver invents one when it is missing.
    pub id: Option<Id>,
    /// The message this one answers.
    pub answers: Option<Id>,
    /// `##` as text: never verified, only compared.
    pub content_hash: Option<Arc<str>>,
    /// The sender wants it processed here and not passed on (`nts`).
    pub here_only: bool,
    /// Exactly the bytes of this message's own JSON object.
    pub raw: Bytes,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Body {
    /// Writes: a broadcast, or with [`Message::answers`] the answer to a get.
    Put {
        /// In message order.
        writes: Vec<Write>,
        /// Present when the writer asks for acknowledgements.
        ack: Option<AckRequest>,
    },
    /// A question.
    Get(Get),
    /// A control message between the two ends of a link.
    Dam(Dam),
    /// `ok` or `err`: how an earlier message went.
    Verdict,
    /// Anything else: "nothing here" when it answers something, otherwise an application's own.
    Other,
}

/// `"ok":{"@":wanted,"/":links}` on a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckRequest {
    /// How many acknowledgements are still wanted.
    pub wanted: u64,
    /// Where its JSON stands in [`Message::raw`].
    pub span: Range<usize>,
}

/// A lookup.
#[derive(Clone, Debug, PartialEq)]
pub struct Get {
    /// Which vertices.
    pub soul: SoulQuery,
    /// Which fields of them.
    pub field: FieldQuery,
    /// `%`: how much of a lexical answer is wanted, in characters.
    pub budget: Option<u64>,
    /// `-`: from the end.
    pub reverse: bool,
}

/// The vertices a lookup is about.
#[derive(Clone, Debug, PartialEq)]
pub enum SoulQuery {
    /// This one.
    Is(Soul),
    /// All with a matching soul.
    Like(Lex),
    /// None was named.
    Missing,
}

/// The fields a lookup is about.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldQuery {
    /// The whole vertex.
    All,
    /// This one.
    Is(Field),
    /// All that match.
    Like(Lex),
}

/// A control message.
#[derive(Clone, Debug)]
pub enum Dam {
    /// `?`: who is there.
    Hello(Hello),
    /// `!`: the other side complains.
    Complaint,
    /// `loom`: between Loom peers only.
    Loom(LoomTalk),
    /// Everything else; ignored on purpose. `service` runs system commands in gun.js, `opt` lets
    /// strangers aim a relay.
    Unknown,
}

/// The greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The other side's name for itself.
    pub pid: Option<Arc<str>>,
    /// Which reconciliation of Loom's it speaks; 0 is none. See [`super::loom`].
    pub loom: u32,
}

/// A message that was not accepted, and why.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its id, if it could be read.
    pub id: Option<Id>,
    /// It was an answer; refusing those is not answered.
    pub is_answer: bool,
    /// What to tell the sender.
    pub reason: BadMessage,
}

/// Why one message of a frame was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// An envelope member occurs twice, or a name in it is not Unicode.
    #[error("unreadable message: {0}")]
    Envelope(String),
    /// `#` or `@` is neither a number nor a short string.
    #[error("a message id must be a number or a string of 1 to 64 bytes")]
    Id,
    /// The lookup cannot be understood.
    #[error("unreadable get: {0}")]
    Get(&'static str),
    /// The graph is not valid; nothing of it was merged.
    #[error("{0}")]
    Put(#[from] BadPut),
    /// A Loom peer said something unreadable.
    #[error("unreadable loom message")]
    Loom,
}
