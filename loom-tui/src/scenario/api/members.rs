//! Nodes, the relay, and what a node says about itself.

use std::sync::Arc;

use rhai::{Array, Dynamic, EvalAltResult};

use super::values::{Node, Relay, dynamic, member, node};
use super::{Api, Doc, Group};
use crate::client::{Json, NodeClient, RelayClient, metrics};
use crate::cluster::{Life, Member};
use crate::history::Action;
use crate::history::recorder::Asked;
use crate::scenario::host::Host;
use crate::scenario::trouble::Trouble;

pub(super) const GROUP: Group = Group {
    title: "Members",
    about: "A node handle `n` has `n.name` (`node-2`) and `n.number` (2).",
    docs: &[
        Doc {
            usage: "nodes()",
            about: "All nodes, by number, as an array of handles.",
        },
        Doc {
            usage: "node(number)",
            about: "One node, counted from 1; a name such as `\"node-2\"` works too.",
        },
        Doc {
            usage: "alone()",
            about: "Whether the cluster is this run's alone, and gone after it.",
        },
        Doc {
            usage: "relay()",
            about: "The relay, for `kill`, `stop`, `start`, `restart`, `suspend`, `resume` and `wipe`.",
        },
        Doc {
            usage: "n.health()",
            about: "What `GET /health` answers, as a map.",
        },
        Doc {
            usage: "relay().health()",
            about: "The same of the relay: `status`, `peers` and `fields`, how many fields it keeps.",
        },
        Doc {
            usage: "memory(m)",
            about: "Resident memory of a member's process in bytes, by the system's account or else its \
                    own, or `()` where neither can be read.",
        },
        Doc {
            usage: "n.digest()",
            about: "The hash over everything the node holds: equal replicas have equal digests.",
        },
        Doc {
            usage: "n.count()",
            about: "How many node records it holds.",
        },
    ],
};

type Result<T, E = Box<EvalAltResult>> = std::result::Result<T, E>;

pub(super) fn register(api: &mut Api<'_>) {
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("nodes"), move || -> Array {
            let members = host.nodes().iter();
            let handle = |member: &Member| Node {
                member: *member,
                host: Arc::clone(&host),
            };
            members
                .map(|member| Dynamic::from(handle(member)))
                .collect()
        });
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("node"), move |which: Dynamic| {
            let member = node(&host, &which)?;
            let host = Arc::clone(&host);
            Ok::<_, Box<EvalAltResult>>(Node { member, host })
        });
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("alone"), move || !host.shared);
    api.engine.register_fn(api.named("relay"), || Relay);
    api.engine.register_fn(api.named("health"), |node: Node| {
        let client = node.client();
        let asked = node.asked(Action::Health);
        let read = node.host.read(asked, client.health(), |health| {
            (
                serde_json::to_value(health).ok().map(|v| Json::of(&v)),
                None,
            )
        });
        let health =
            serde_json::to_value(read?).map_err(|error| Trouble::mistake(error.to_string()))?;
        Ok::<_, Box<EvalAltResult>>(dynamic(&health)?)
    });
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("health"), move |_: Relay| -> Result<Dynamic> {
            let members = host.wait(host.backend.members())?;
            let relay = members.iter().find(|status| status.member == Member::Relay);
            let relay = relay.ok_or_else(|| Trouble::mistake("this cluster has no relay"))?;
            let client = RelayClient::new(host.probe.http().clone(), &relay.url);
            let asked = Asked {
                action: Action::Health,
                node: Member::Relay,
                key: None,
                value: None,
            };
            let health = host.read(asked, client.health(), |health| {
                (
                    serde_json::to_value(health).ok().map(|v| Json::of(&v)),
                    None,
                )
            })?;
            let health = serde_json::to_value(health)
                .map_err(|error| Trouble::mistake(error.to_string()))?;
            Ok(dynamic(&health)?)
        });
    let host = Arc::clone(&api.host);
    api.engine.register_fn(
        api.named("memory"),
        move |which: Dynamic| -> Result<Dynamic> {
            let member = member(&host, &which)?;
            let members = host.wait(host.backend.members())?;
            let status = members.iter().find(|status| status.member == member);
            // What a member tells of itself means the same wherever it runs.
            let memory = match status {
                Some(status) if status.life == Life::Up => {
                    let http = host.probe.http();
                    let told = host.wait(metrics::resident_bytes(http, &status.url))?;
                    told.or(status.usage.memory)
                }
                _ => status.and_then(|status| status.usage.memory),
            };
            Ok(memory.map_or(Dynamic::UNIT, |bytes| {
                Dynamic::from(i64::try_from(bytes).unwrap_or(i64::MAX))
            }))
        },
    );
    api.engine.register_fn(api.named("digest"), |node: Node| {
        Ok::<_, Box<EvalAltResult>>(node.read_digest()?.digest)
    });
    api.engine.register_fn(api.named("count"), |node: Node| {
        let count = node.read_digest()?.nodes;
        Ok::<_, Box<EvalAltResult>>(i64::try_from(count).unwrap_or(i64::MAX))
    });
}

impl Node {
    pub(super) fn client(&self) -> NodeClient {
        let client = self.host.probe.client(self.member);
        client
            .expect("handles are made of the probe's members")
            .clone()
    }

    /// A question about no record in particular.
    pub(super) fn asked(&self, action: Action) -> Asked {
        Asked {
            action,
            node: self.member,
            key: None,
            value: None,
        }
    }

    fn read_digest(&self) -> Result<crate::client::Digest, Trouble> {
        let client = self.client();
        let host: &Host = &self.host;
        host.read(self.asked(Action::Digest), client.digest(), |digest| {
            let shown = serde_json::json!({"digest": digest.digest, "nodes": digest.nodes});
            (Some(Json::of(&shown)), None)
        })
    }
}
