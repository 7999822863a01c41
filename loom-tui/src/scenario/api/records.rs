//! Writing and reading records on one node.

use rhai::{Array, Dynamic, EvalAltResult, Map};
use serde_json::{Value, json};

use super::values::{Node, id, known_members, properties, record, text};
use super::{Api, Doc, Group};
use crate::client::{
    EdgeFilter, Json, Key, NewEdge, NewVertex, Shown, VertexFilter, WriteOp, Written,
};
use crate::history::Action;
use crate::history::recorder::Asked;
use crate::scenario::host::of_shown;
use crate::scenario::trouble::Trouble;

pub(super) const GROUP: Group = Group {
    title: "Records",
    about: "Each call is one request to the node `n`, recorded in the history. Writes return when \
            the node has acknowledged them. Ids are texts; where an id is asked for, a record will do.",
    docs: &[
        Doc {
            usage: "n.create(type, properties)",
            about: "`POST /nodes` with an id of this run's own. Returns the id.",
        },
        Doc {
            usage: "n.create_with_id(id, type, properties)",
            about: "The same with your own id; a record that has it is replaced. Returns the id.",
        },
        Doc {
            usage: "n.update(id, properties)",
            about: "`PUT /nodes/{id}`: replaces the properties and keeps the type this run gave it. \
                    Returns the record.",
        },
        Doc {
            usage: "n.patch(id, properties)",
            about: "`PATCH /nodes/{id}`: sets these properties and leaves the others; `()` removes \
                    one. Returns the record.",
        },
        Doc {
            usage: "n.delete(id)",
            about: "`DELETE` of a node or edge.",
        },
        Doc {
            usage: "n.get(id)",
            about: "The record as a map with `id`, `type`, `properties`, `metadata` and `state`, or \
                    `()` if the node does not have it.",
        },
        Doc {
            usage: "n.list(type)",
            about: "All node records of a type, or of all types with `n.list()`.",
        },
        Doc {
            usage: "n.edge(from, to, type)",
            about: "`POST /edges`; the ends may live on other nodes. Returns the edge's id.",
        },
        Doc {
            usage: "n.edges(#{from, to, type})",
            about: "Edges that match all that is given; all edges with `n.edges()`.",
        },
    ],
};

type Result<T, E = Box<EvalAltResult>> = std::result::Result<T, E>;

pub(super) fn register(api: &mut Api<'_>) {
    api.engine.register_fn(
        api.named("create"),
        |node: Node, kind: &str, props: Map| -> Result<String> {
            let id = node.host.fresh_id('n');
            Ok(node.create(id, kind, &props)?)
        },
    );
    api.engine.register_fn(
        api.named("create_with_id"),
        |node: Node, id: &str, kind: &str, props: Map| -> Result<String> {
            Ok(node.create(id.to_owned(), kind, &props)?)
        },
    );
    api.engine.register_fn(
        api.named("update"),
        |node: Node, which: Dynamic, props: Map| -> Result<Dynamic> {
            let id = id(&which)?;
            let kind = node.host.known(&id).kind;
            let body = NewVertex {
                id: None,
                kind: Some(kind.clone()),
                properties: Some(properties(&props)?),
            };
            Ok(node.change(&id, &kind, WriteOp::PutVertex(id.clone(), body))?)
        },
    );
    api.engine.register_fn(
        api.named("patch"),
        |node: Node, which: Dynamic, props: Map| -> Result<Dynamic> {
            let id = id(&which)?;
            let kind = node.host.known(&id).kind;
            let body = NewVertex {
                properties: Some(properties(&props)?),
                ..NewVertex::default()
            };
            Ok(node.change(&id, &kind, WriteOp::PatchVertex(id.clone(), body))?)
        },
    );
    api.engine.register_fn(
        api.named("delete"),
        |node: Node, which: Dynamic| -> Result<()> {
            let id = id(&which)?;
            let known = node.host.known(&id);
            let (action, op) = if known.key == Key::edge(&id) {
                (Action::DeleteEdge, WriteOp::DeleteEdge(id))
            } else {
                (Action::Delete, WriteOp::DeleteVertex(id))
            };
            let written = node.host.write(node.member, action, op)?;
            node.host.learn(known.key, &known.kind, written.state);
            Ok(())
        },
    );
    api.engine.register_fn(
        api.named("get"),
        |node: Node, which: Dynamic| -> Result<Dynamic> {
            let key = node.host.known(&id(&which)?).key;
            let client = node.client();
            let asked = Asked {
                key: Some(key.clone()),
                ..node.asked(Action::Get)
            };
            let shown = node.host.read(asked, client.shown(&key), |shown| {
                shown.as_ref().map_or((None, None), of_shown)
            })?;
            Ok(shown.as_ref().map_or(Ok(Dynamic::UNIT), record)?)
        },
    );
    api.engine.register_fn(
        api.named("list"),
        |node: Node, kind: &str| -> Result<Array> { Ok(node.list(Some(kind.to_owned()))?) },
    );
    api.engine
        .register_fn(api.named("list"), |node: Node| -> Result<Array> {
            Ok(node.list(None)?)
        });
    api.engine.register_fn(
        api.named("edge"),
        |node: Node, from: Dynamic, to: Dynamic, kind: &str| -> Result<String> {
            let (from, to) = (id(&from)?, id(&to)?);
            Ok(node.connect(from, to, kind)?)
        },
    );
    api.engine.register_fn(
        api.named("edges"),
        |node: Node, filter: Map| -> Result<Array> {
            known_members(&filter, &["from", "to", "type"], "edges")?;
            let member = |name| text(&filter, name).map(|text| text.map(|text| text.to_string()));
            Ok(node.list_edges(&EdgeFilter {
                kind: member("type")?,
                from: member("from")?,
                to: member("to")?,
            })?)
        },
    );
    api.engine
        .register_fn(api.named("edges"), |node: Node| -> Result<Array> {
            Ok(node.list_edges(&EdgeFilter::default())?)
        });
}

impl Node {
    fn create(&self, id: String, kind: &str, props: &Map) -> Result<String, Trouble> {
        let body = NewVertex {
            id: Some(id),
            kind: Some(kind.to_owned()),
            properties: Some(properties(props)?),
        };
        let written = self
            .host
            .write(self.member, Action::Create, WriteOp::CreateVertex(body))?;
        let key = Key::vertex(&written.id);
        self.host.learn(key, kind, written.state);
        Ok(written.id)
    }

    fn change(&self, id: &str, kind: &str, op: WriteOp) -> Result<Dynamic, Trouble> {
        let action = crate::scenario::host::action(&op);
        let written = self.host.write(self.member, action, op)?;
        self.host.learn(Key::vertex(id), kind, written.state);
        self.written(id, written)
    }

    fn written(&self, id: &str, written: Written) -> Result<Dynamic, Trouble> {
        let text = written.record.ok_or_else(|| {
            Trouble::Unknown(format!(
                "{} answered a write without the record",
                self.member
            ))
        })?;
        record(&Shown {
            key: Key::vertex(id),
            state: written.state,
            record: text,
        })
    }

    fn connect(&self, from: String, to: String, kind: &str) -> Result<String, Trouble> {
        let id = self.host.fresh_id('e');
        let body = NewEdge {
            id: Some(id),
            from: Some(from),
            to: Some(to),
            kind: Some(kind.to_owned()),
            ..NewEdge::default()
        };
        let op = WriteOp::CreateEdge(body);
        let written = self.host.write(self.member, Action::CreateEdge, op)?;
        self.host.learn(Key::edge(&written.id), kind, written.state);
        Ok(written.id)
    }

    fn list(&self, kind: Option<String>) -> Result<Array, Trouble> {
        let filter = VertexFilter { kind };
        let asked = Asked {
            value: json_of(&filter),
            ..self.asked(Action::List)
        };
        let client = self.client();
        let shown = self
            .host
            .read(asked, client.vertices_shown(&filter), |shown| ids(shown))?;
        shown.iter().map(record).collect()
    }

    fn list_edges(&self, filter: &EdgeFilter) -> Result<Array, Trouble> {
        let asked = Asked {
            value: json_of(filter),
            ..self.asked(Action::ListEdges)
        };
        let client = self.client();
        let shown = self
            .host
            .read(asked, client.edges_shown(filter), |shown| ids(shown))?;
        shown.iter().map(record).collect()
    }
}

/// A list in the history is its ids: the records themselves would fill it.
fn ids(shown: &[Shown]) -> (Option<Json>, Option<f64>) {
    let ids: Vec<_> = shown.iter().map(|shown| &*shown.key.id).collect();
    (Some(Json::of(&json!(ids))), None)
}

fn json_of(filter: &impl serde::Serialize) -> Option<Json> {
    match serde_json::to_value(filter) {
        Ok(Value::Object(members)) if members.is_empty() => None,
        Ok(value) => Some(Json::of(&value)),
        Err(_) => None,
    }
}
