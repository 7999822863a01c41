//! Text frames to messages. Nothing here recurses: every level is borrowed as raw JSON from the
//! one above, and scanned without a stack by serde_json.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::envelope::{Elements, Envelope};
use super::lex::Lex;
use super::message::{
    AckRequest, BadMessage, Body, Dam, FieldQuery, Get, Hello, Id, Message, Refusal, SoulQuery,
};
use super::{FRAME_BYTES_MAX, ID_BYTES_MAX, MESSAGES_PER_FRAME_MAX};
use super::{loom, put};

/// Why a whole frame was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It starts with neither `{` nor `[`, not even after whitespace; gun.js ignores those too.
    #[error("a frame starts with {{ or [")]
    NotAMessage,
    /// It is not JSON from end to end.
    #[error("DAM JSON parse error.")]
    NotJson,
    /// More than [`FRAME_BYTES_MAX`].
    #[error("Message too big!")]
    TooBig,
    /// More than [`MESSAGES_PER_FRAME_MAX`].
    #[error("too many messages in one frame")]
    TooMany,
}

/// Reads one text frame.
///
/// Elements that are not objects are skipped, as gun.js does; a bad message does not affect its
/// neighbours. Nothing of a frame is read unless all of it is JSON.
///
/// # Errors
///
/// [`BadFrame`] when there is nothing to read.
pub fn decode(frame: &Bytes) -> Result<Vec<Result<Message, Refusal>>, BadFrame> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(BadFrame::TooBig);
    }
    let text = std::str::from_utf8(frame).map_err(|_| BadFrame::NotJson)?;
    match text.as_bytes().first() {
        Some(b'{') => match serde_json::from_str(text) {
            Ok(envelope) => Ok(vec![message(frame, text.trim_ascii_end(), &envelope)]),
            // Not JSON, or JSON that is no message?
            Err(error) => serde_json::from_str::<IgnoredAny>(text)
                .map(|_| vec![Err(not_a_message(&error))])
                .map_err(|_| BadFrame::NotJson),
        },
        Some(b'[') => {
            let Elements(elements) = serde_json::from_str(text).map_err(|_| BadFrame::NotJson)?;
            if elements.len() > MESSAGES_PER_FRAME_MAX {
                return Err(BadFrame::TooMany);
            }
            let texts = elements.iter().map(|raw| raw.get());
            let objects = texts.filter(|text| text.starts_with('{'));
            let messages = objects.map(|text| match serde_json::from_str(text) {
                Ok(envelope) => message(frame, text, &envelope),
                Err(error) => Err(not_a_message(&error)),
            });
            Ok(messages.collect())
        }
        _ => Err(BadFrame::NotAMessage),
    }
}

fn not_a_message(error: &serde_json::Error) -> Refusal {
    Refusal {
        id: None,
        is_answer: false,
        reason: BadMessage::Envelope(error.to_string()),
    }
}

/// `text` is the message's own JSON object within `frame`.
fn message(frame: &Bytes, text: &str, envelope: &Envelope<'_>) -> Result<Message, Refusal> {
    let refuse = |id: Option<Id>, is_answer, reason| Refusal {
        id,
        is_answer,
        reason,
    };
    let id = envelope.id.map(read_id).transpose();
    let id = id.map_err(|reason| refuse(None, envelope.answers.is_some(), reason))?;
    let answers = envelope.answers.map(read_id).transpose();
    let answers = answers.map_err(|reason| refuse(id.clone(), true, reason))?;
    let body = body(envelope, answers.is_some(), text)
        .map_err(|reason| refuse(id.clone(), answers.is_some(), reason))?;
    Ok(Message {
        id,
        answers,
        content_hash: envelope
            .content_hash
            .map(RawValue::get)
            .filter(|hash| hash.len() <= ID_BYTES_MAX && !hash.starts_with(['{', '[']))
            .map(Arc::from),
        here_only: envelope.here_only.is_some(),
        raw: part(frame, text),
        body,
    })
}

/// Bytes of a frame for whoever keeps them. A part keeps the whole in memory, which no queue would
/// count, so what is less than half is copied.
fn part(frame: &Bytes, text: &str) -> Bytes {
    match text.len() * 2 < frame.len() {
        true => Bytes::copy_from_slice(text.as_bytes()),
        false => frame.slice_ref(text.as_bytes()),
    }
}

fn body(envelope: &Envelope<'_>, is_answer: bool, message: &str) -> Result<Body, BadMessage> {
    if let Some(dam) = envelope.dam {
        return dam_body(envelope, dam, is_answer).map(Body::Dam);
    }
    // A graph that is null is "nothing here", like no graph at all.
    if let Some(graph) = envelope.put.filter(|graph| graph.get() != "null") {
        let writes = put::parse(graph)?;
        let ack = envelope.ok.filter(|_| !is_answer);
        let ack = ack.and_then(|ok| ack_request(ok, message));
        return Ok(Body::Put { writes, ack });
    }
    if let Some(get) = envelope.get.filter(|get| get.get() != "null") {
        return read_get(get).map(Body::Get);
    }
    if is_answer && (envelope.ok.is_some() || envelope.err.is_some()) {
        return Ok(Body::Verdict);
    }
    Ok(Body::Other)
}

fn ack_request(ok: &RawValue, message: &str) -> Option<AckRequest> {
    #[derive(Deserialize)]
    struct Ok<'a> {
        #[serde(borrow, default, rename = "@")]
        wanted: Option<&'a RawValue>,
    }
    let text = ok.get();
    let Ok { wanted } = object(text)?;
    let wanted = wanted.and_then(|wanted| wanted.get().parse().ok());
    let start = text.as_ptr() as usize - message.as_ptr() as usize;
    Some(AckRequest {
        // gun.js reads a missing or unusable count as one.
        wanted: wanted.unwrap_or(1),
        span: start..start + text.len(),
    })
}

fn dam_body(envelope: &Envelope<'_>, dam: &RawValue, is_answer: bool) -> Result<Dam, BadMessage> {
    Ok(match dam.get() {
        "\"?\"" => Dam::Hello(Hello {
            pid: envelope
                .pid
                .and_then(text)
                .filter(|pid| (1..=ID_BYTES_MAX).contains(&pid.len()))
                .map(|pid| Arc::from(&*pid)),
            loom: envelope.loom.map_or(0, loom::spoken),
        }),
        "\"!\"" => Dam::Complaint,
        "\"loom\"" => Dam::Loom(loom::read(envelope, is_answer)?),
        _ => Dam::Unknown,
    })
}

fn read_id(raw: &RawValue) -> Result<Id, BadMessage> {
    let bytes = raw.get().as_bytes();
    match bytes.first() {
        Some(b'"') => {
            let id = text(raw).ok_or(BadMessage::Id)?;
            let fits = (1..=ID_BYTES_MAX).contains(&id.len());
            fits.then(|| Id::new(&id)).ok_or(BadMessage::Id)
        }
        Some(b'-' | b'0'..=b'9') => {
            let number: f64 = raw.get().parse().map_err(|_| BadMessage::Id)?;
            let finite = number.is_finite();
            finite.then(|| Id::number(number)).ok_or(BadMessage::Id)
        }
        _ => Err(BadMessage::Id),
    }
}

fn read_get(raw: &RawValue) -> Result<Get, BadMessage> {
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow, default, rename = "#")]
        soul: Option<&'a RawValue>,
        #[serde(borrow, default, rename = ".")]
        field: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "%")]
        budget: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "-")]
        reverse: Option<&'a RawValue>,
    }
    let members: Members<'_> = object(raw.get()).ok_or(BadMessage::Get("it must be an object"))?;
    let mut reverse = members.reverse.is_some_and(|raw| truthy(raw.get()));
    let soul = match members.soul {
        None => SoulQuery::Missing,
        Some(raw) if raw.get().starts_with('{') => {
            let lex = Lex::parse(raw.get()).ok_or(BadMessage::Get("its soul pattern"))?;
            reverse |= lex.reverse;
            SoulQuery::Like(lex)
        }
        Some(raw) => SoulQuery::Is(text(raw).ok_or(BadMessage::Get("its soul"))?[..].into()),
    };
    let field = match members.field {
        None => FieldQuery::All,
        Some(raw) if raw.get() == "\"\"" => FieldQuery::All,
        Some(raw) if raw.get().starts_with('{') => {
            let lex = Lex::parse(raw.get()).ok_or(BadMessage::Get("its field pattern"))?;
            reverse |= lex.reverse;
            FieldQuery::Like(lex)
        }
        Some(raw) => FieldQuery::Is(text(raw).ok_or(BadMessage::Get("its field"))?[..].into()),
    };
    let budget = members.budget.and_then(|raw| raw.get().parse::<f64>().ok());
    Ok(Get {
        soul,
        field,
        budget: budget
            .filter(|budget| *budget >= 1.0)
            .map(|budget| budget as u64),
        reverse,
    })
}

/// The members of an object. Derived readers take an array for one, member by member, and gun.js
/// does not.
pub(super) fn object<'de, T: Deserialize<'de>>(json: &'de str) -> Option<T> {
    let json = Some(json).filter(|json| json.starts_with('{'));
    json.and_then(|json| serde_json::from_str(json).ok())
}

/// Whether JavaScript would take this JSON for true.
pub(super) fn truthy(json: &str) -> bool {
    !matches!(json, "null" | "false" | "0" | "\"\"")
}

/// The string this is, unless it is none or holds half a surrogate pair.
pub(super) fn text<'a>(raw: &'a RawValue) -> Option<Cow<'a, str>> {
    let json = raw.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}
