//! The kinds of value scripts handle: nodes, the relay, durations, errors; and how plain values
//! become them.

use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, ImmutableString, Map};
use serde_json::Value;

use super::Api;
use crate::cli::quantity;
use crate::client::Shown;
use crate::cluster::Member;
use crate::scenario::host::Host;
use crate::scenario::trouble::Trouble;

/// A node, as scripts hold it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) member: Member,
    pub(super) host: Arc<Host>,
}

/// The relay, as scripts hold it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay;

/// A length of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) Duration);

pub(super) fn register(api: &mut Api<'_>) {
    let engine = &mut *api.engine;
    engine
        .register_type_with_name::<Node>("node")
        .register_type_with_name::<Relay>("relay")
        .register_type_with_name::<Span>("duration")
        .register_type_with_name::<Trouble>("error");
    engine.register_get("name", |node: &mut Node| node.member.to_string());
    engine.register_get("number", |node: &mut Node| match node.member {
        Member::Node(number) => i64::from(number),
        Member::Relay => 0,
    });
    engine.register_fn("to_string", |node: &mut Node| node.member.to_string());
    engine.register_fn("to_debug", |node: &mut Node| node.member.to_string());
    engine.register_fn("==", |a: Node, b: Node| a.member == b.member);
    engine.register_fn("!=", |a: Node, b: Node| a.member != b.member);
    engine.register_get("name", |_: &mut Relay| Member::Relay.to_string());
    engine.register_fn("to_string", |_: &mut Relay| Member::Relay.to_string());
    engine.register_fn("to_debug", |_: &mut Relay| Member::Relay.to_string());
    engine.register_fn("to_string", |span: &mut Span| format!("{:?}", span.0));
    engine.register_get("kind", |trouble: &mut Trouble| trouble.kind());
    engine.register_get("text", |trouble: &mut Trouble| trouble.to_string());
    engine.register_fn("to_string", |trouble: &mut Trouble| trouble.to_string());
    engine.register_fn("to_debug", |trouble: &mut Trouble| trouble.to_string());
}

/// The member a script means: a handle, a number, or a name.
pub(super) fn member(host: &Host, value: &Dynamic) -> Result<Member, Trouble> {
    let meant = if let Some(node) = value.read_lock::<Node>() {
        node.member
    } else if value.is::<Relay>() {
        Member::Relay
    } else if let Ok(number) = value.as_int() {
        let number = u8::try_from(number).ok().filter(|number| *number > 0);
        Member::Node(number.ok_or_else(|| no_such(host, &format!("node-{value}")))?)
    } else if let Ok(name) = value.as_immutable_string_ref() {
        let parsed = name.parse::<Member>();
        parsed.map_err(|error| Trouble::mistake(error.to_string()))?
    } else {
        return Err(Trouble::mistake(format!(
            "{} is no member: give node(2), relay(), 2 or \"node-2\"",
            value.type_name()
        )));
    };
    if meant != Member::Relay && !host.nodes().contains(&meant) {
        return Err(no_such(host, &meant.to_string()));
    }
    Ok(meant)
}

/// The node a script means.
pub(super) fn node(host: &Host, value: &Dynamic) -> Result<Member, Trouble> {
    match member(host, value)? {
        Member::Relay => Err(Trouble::mistake(
            "links belong to nodes: name a node, or suspend the relay".to_owned(),
        )),
        node => Ok(node),
    }
}

/// A length of time from a text such as `2s`, or from `within("2s")`.
pub(super) fn span(value: &Dynamic) -> Result<Duration, Trouble> {
    if let Some(span) = value.read_lock::<Span>() {
        return Ok(span.0);
    }
    match value.as_immutable_string_ref() {
        Ok(text) => quantity::duration(&text).map_err(Trouble::mistake),
        Err(_) => Err(Trouble::mistake(format!(
            "{value} is no duration: write a text with its unit, such as \"500ms\" or \"2s\""
        ))),
    }
}

/// A number, whole or not; `None` for `()`: nothing was measured.
pub(super) fn number(value: &Dynamic) -> Result<Option<f64>, Trouble> {
    if value.is_unit() {
        return Ok(None);
    }
    let number = value
        .as_float()
        .or_else(|_| value.as_int().map(|n| n as f64));
    let number = number.map_err(|kind| Trouble::mistake(format!("{kind} is not a number")))?;
    Ok(Some(number))
}

/// The id a script means: a text, or a record.
pub(super) fn id(value: &Dynamic) -> Result<String, Trouble> {
    if let Ok(id) = value.as_immutable_string_ref() {
        return Ok(id.to_string());
    }
    if let Some(record) = value.read_lock::<Map>()
        && let Some(id) = record.get("id")
        && let Ok(id) = id.as_immutable_string_ref()
    {
        return Ok(id.to_string());
    }
    let kind = value.type_name();
    Err(Trouble::mistake(format!(
        "{kind} is no id: give the text that create returned, or a record"
    )))
}

/// A script's map as the properties of a record.
pub(super) fn properties(map: &Map) -> Result<serde_json::Map<String, Value>, Trouble> {
    let dynamic = Dynamic::from(map.clone());
    let value = rhai::serde::from_dynamic::<Value>(&dynamic)
        .map_err(|error| Trouble::mistake(format!("properties must be plain values: {error}")))?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Trouble::mistake("properties must be a map: #{…}")),
    }
}

/// Any JSON as a script's value.
pub(super) fn dynamic(value: &Value) -> Result<Dynamic, Trouble> {
    rhai::serde::to_dynamic(value).map_err(|error| Trouble::mistake(error.to_string()))
}

/// A record as a script sees it: its members, and `state`.
pub(super) fn record(shown: &Shown) -> Result<Dynamic, Trouble> {
    let mut value = shown.record.value();
    if let Value::Object(members) = &mut value {
        members.insert("state".to_owned(), Value::from(shown.state.0));
    }
    dynamic(&value)
}

/// A duration in milliseconds, as scripts are told it.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// What a map may hold; a slip in a name is an error, not a default.
pub(super) fn known_members(map: &Map, known: &[&str], of: &str) -> Result<(), Trouble> {
    for name in map.keys() {
        if !known.contains(&name.as_str()) {
            let known = known.join(", ");
            return Err(Trouble::mistake(format!(
                "{of} has no {name}: it takes {known}"
            )));
        }
    }
    Ok(())
}

/// A text member of a map, if it is there.
pub(super) fn text(map: &Map, name: &str) -> Result<Option<ImmutableString>, Trouble> {
    let Some(value) = map.get(name) else {
        return Ok(None);
    };
    let text = value.as_immutable_string_ref().map(|text| text.clone());
    let text = text.map_err(|kind| Trouble::mistake(format!("{name} must be a text, not {kind}")));
    text.map(Some)
}

fn no_such(host: &Host, name: &str) -> Trouble {
    let known: Vec<_> = host.nodes().iter().map(ToString::to_string).collect();
    Trouble::mistake(format!(
        "there is no {name}: this cluster has relay, {}",
        known.join(", ")
    ))
}
