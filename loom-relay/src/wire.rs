//! GUN's wire format: text frames to messages and back, and the only place that knows its keys.
//!
//! A frame is one JSON object (a message) or one array of messages. [`decode`] refuses early,
//! within the bounds below, and keeps the exact bytes of every message so that passing it on
//! needs no encoding. [`encode`] writes what this process says itself. Rules and sources are in
//! `docs/protocol.md`.

mod decode;
pub mod encode;
mod envelope;
mod hash;
mod lex;
pub mod loom;
mod message;
mod put;

pub use decode::{BadFrame, decode};
pub use hash::content_hash;
pub use lex::Lex;
pub use loom::LoomTalk;
pub use message::{
    AckRequest, BadMessage, Body, Dam, FieldQuery, Get, Hello, Id, Message, Refusal, SoulQuery,
};
pub use put::{BadName, BadPut, check_names, check_write};

/// Largest frame read. gun.js allows 90 million characters; its users' real frames (pictures as
/// data URLs) stay below a few million, and one frame must not cost a relay its memory.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Largest value read, as JSON text. Half a frame, so that every value that ever came in also fits
/// into a frame on its way out, whatever envelope that has.
pub const VALUE_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// Most messages read from one frame. gun.js fills arrays up to 9,000 characters, and the smallest
/// message with an id takes about twenty.
pub const MESSAGES_PER_FRAME_MAX: usize = 4_096;

/// Most fields in one put: a thousand in one message is normal for gun.js, which never splits.
pub const FIELDS_PER_PUT_MAX: usize = 65_536;

/// Longest soul or field in bytes. Souls grow with the depth of paths; stores key by both.
pub const NAME_BYTES_MAX: usize = 4_096;

/// Longest message id in bytes. gun.js makes 9 characters; this leaves room for UUIDs.
pub const ID_BYTES_MAX: usize = 64;
