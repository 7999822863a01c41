//! What this process says itself, and the two edits made to what it passes on.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::graph::Item;
use crate::js_text;
use crate::model::Soul;

use super::hash::content_hash;
use super::loom::SYNC_VERSION;
use super::message::{AckRequest, Id};
use super::put::META;

/// A graph as gun.js prints it for hashing: compact, every object's keys in UTF-16 order.
///
/// Of two items for one field the greater stays.
pub fn graph(mut items: Vec<Item<'_>>) -> String {
    items.sort_by(|a, b| {
        let souls = js_text::compare(a.soul, b.soul);
        let fields = souls.then_with(|| js_text::compare(a.field, b.field));
        fields.then_with(|| (b.cell.stamp, &b.cell.value).cmp(&(a.cell.stamp, &a.cell.value)))
    });
    items.dedup_by(|a, b| a.soul == b.soul && a.field == b.field);
    let size: usize = items.iter().map(Item::bytes).sum();
    let mut text = String::with_capacity(size + 64);
    text.push('{');
    for (nth, node) in items.chunk_by(|a, b| a.soul == b.soul).enumerate() {
        if nth > 0 {
            text.push(',');
        }
        push_node(&mut text, node);
    }
    text.push('}');
    text
}

fn push_node(text: &mut String, node: &[Item<'_>]) {
    let _ = write!(text, "{}:{{", js_text::string(node[0].soul));
    let meta_at = node.partition_point(|item| js_text::compare(item.field, META).is_lt());
    for (nth, item) in node.iter().enumerate() {
        if nth == meta_at {
            push_meta(text, node);
            text.push(',');
        }
        let field = js_text::string(item.field);
        let _ = write!(text, "{field}:{}", item.cell.value.json());
        if nth + 1 < node.len() {
            text.push(',');
        }
    }
    if meta_at == node.len() {
        text.push(',');
        push_meta(text, node);
    }
    text.push('}');
}

fn push_meta(text: &mut String, node: &[Item<'_>]) {
    let _ = write!(
        text,
        "\"_\":{{\"#\":{},\">\":{{",
        js_text::string(node[0].soul)
    );
    for (nth, item) in node.iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        let field = js_text::string(item.field);
        let _ = write!(text, "{comma}{field}:{}", item.cell.stamp);
    }
    text.push_str("}}");
}

/// Writes for everybody.
pub fn put(id: &Id, graph: &str) -> Bytes {
    format!("{{\"#\":{},\"put\":{graph}}}", id.json()).into()
}

/// The answer to a get; `whole` when it is the only one, which then carries its hash.
pub fn answer(id: &Id, to: &Id, graph: &str, whole: bool) -> Bytes {
    let (id, to) = (id.json(), to.json());
    if whole {
        let hash = content_hash(graph);
        format!("{{\"#\":{id},\"##\":{hash},\"@\":{to},\"put\":{graph}}}").into()
    } else {
        format!("{{\"#\":{id},\"@\":{to},\"put\":{graph}}}").into()
    }
}

/// "Nothing here." An empty graph would not do: gun.js' `once` never returns on one.
pub fn not_found(id: &Id, to: &Id) -> Bytes {
    format!("{{\"#\":{},\"@\":{}}}", id.json(), to.json()).into()
}

/// "Your put is kept."
pub fn ack(id: &Id, to: &Id) -> Bytes {
    // By far the most frequent of what is said, so it is written in one piece.
    let mut text = String::with_capacity(ACK_BYTES + id.key().len() + to.key().len());
    text.push_str("{\"#\":");
    id.push_json(&mut text);
    text.push_str(",\"@\":");
    to.push_json(&mut text);
    text.push_str(",\"ok\":true}");
    text.into()
}

/// An acknowledgement without the two ids in it.
const ACK_BYTES: usize = 26;

/// "Your message is not accepted, because."
pub fn refusal(id: &Id, to: &Id, reason: &str) -> Bytes {
    let reason = js_text::string(reason);
    format!(
        "{{\"#\":{},\"@\":{},\"err\":{reason}}}",
        id.json(),
        to.json()
    )
    .into()
}

/// "What is in this vertex?"
pub fn get(id: &Id, soul: &Soul) -> Bytes {
    let soul = js_text::string(soul);
    format!("{{\"#\":{},\"get\":{{\"#\":{soul}}}}}", id.json()).into()
}

/// The greeting; gun.js does not mind the member it does not know.
pub fn hello(id: &Id, to: Option<&Id>, pid: &str) -> Bytes {
    let to = to.map_or(String::new(), |to| format!("\"@\":{},", to.json()));
    let (id, pid) = (id.json(), js_text::string(pid));
    let loom = format!("\"loom\":{{\"v\":1,\"sync\":{SYNC_VERSION}}}");
    format!("{{\"#\":{id},{to}\"dam\":\"?\",\"pid\":{pid},{loom}}}").into()
}

/// "I could not read that."
pub fn complaint(reason: &str) -> Bytes {
    format!("{{\"dam\":\"!\",\"err\":{}}}", js_text::string(reason)).into()
}

/// The empty array an accepting side sends so that proxies keep the link.
pub fn heartbeat() -> Bytes {
    Bytes::from_static(b"[]")
}

/// Several messages in one frame.
pub fn batch(messages: &[Bytes]) -> Bytes {
    if let [only] = messages {
        return only.clone();
    }
    let size: usize = messages.iter().map(|message| message.len() + 1).sum();
    let mut frame = Vec::with_capacity(size + 1);
    for (nth, message) in messages.iter().enumerate() {
        frame.push(if nth == 0 { b'[' } else { b',' });
        frame.extend_from_slice(message);
    }
    frame.push(b']');
    frame.into()
}

/// A message that came without an id, with the one invented for it.
pub fn with_id(raw: &Bytes, id: &Id) -> Bytes {
    let rest = raw[1..].trim_ascii_start();
    let comma = if rest.first() == Some(&b'}') { "" } else { "," };
    let mut frame = format!("{{\"#\":{}{comma}", id.json()).into_bytes();
    frame.extend_from_slice(rest);
    frame.into()
}

/// A put on its way on: one acknowledgement fewer is wanted, spread over this side's links.
///
/// gun.js browsers acknowledge with a probability computed from the two; passing them on unchanged
/// would make all of them answer.
pub fn with_ack_request(raw: &Bytes, request: &AckRequest, links: usize) -> Bytes {
    let wanted = request.wanted.max(1) - 1;
    let ok = format!("{{\"@\":{wanted},\"/\":{links}}}");
    let mut frame = Vec::with_capacity(raw.len() + ok.len());
    frame.extend_from_slice(&raw[..request.span.start]);
    frame.extend_from_slice(ok.as_bytes());
    frame.extend_from_slice(&raw[request.span.end..]);
    frame.into()
}
