//! Hears from the engine that something happened to a container, and says to whom.
//!
//! An event is a hint to look, nothing more: what is true is what an inspection says afterwards.
//! So a lost, late or doubled event does no harm, and the stream may break and be opened again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Notify, broadcast};
use tokio::time::sleep;

use crate::cluster::ClusterEvent;
use crate::docker::Engine;
use crate::docker::engine::innermost;

/// Between two attempts to hear from an engine that has gone away.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How far back a new stream begins: the engine remembers its newest events.
const OVERLAP: Duration = Duration::from_secs(5);

/// What of all that an engine does can concern a member.
const HEARD: [&str; 9] = [
    "start",
    "die",
    "pause",
    "unpause",
    "destroy",
    "rename",
    "oom",
    "connect",
    "disconnect",
];

/// Whom to tell, by the name of the container.
pub(super) type Hints = BTreeMap<String, Arc<Notify>>;

/// One engine, and whom to tell of what happens there.
pub(super) struct Watch {
    /// Held whole: the way to it may be a tunnel.
    engine: Engine,
    /// The network of the cluster, if there is one here.
    pub(super) network: Option<String>,
    pub(super) hints: Hints,
}

impl Watch {
    pub(super) fn of(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            network: None,
            hints: Hints::new(),
        }
    }

    /// Follows the engine's events until it is aborted.
    pub(super) async fn follow(self, events: broadcast::Sender<ClusterEvent>) {
        follow(&self.engine, self.network, self.hints, events).await;
    }
}

async fn follow(
    engine: &Engine,
    network: Option<String>,
    hints: Hints,
    events: broadcast::Sender<ClusterEvent>,
) {
    let docker = &engine.docker;
    let network = network.as_deref();
    let mut silent = false;
    loop {
        let filters = HashMap::from([
            ("type", vec!["container", "network"]),
            ("event", HEARD.to_vec()),
        ]);
        let since = SystemTime::now() - OVERLAP;
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let options = EventsOptionsBuilder::new()
            .filters(&filters)
            .since(&since.as_secs().to_string())
            .build();
        let mut stream = Box::pin(docker.events(Some(options)));
        let mut ping = Box::pin(async { docker.ping().await.is_ok() }.fuse());
        let why = loop {
            tokio::select! {
                biased;
                event = stream.next() => match event {
                    Some(Ok(event)) => tell(&event, network, &hints),
                    Some(Err(error)) => break innermost(&error),
                    None => break "its stream of events has ended".to_owned(),
                },
                // What happened while nobody listened is seen now.
                true = &mut ping => {
                    if std::mem::take(&mut silent) {
                        let what = format!("the Docker engine {} answers again", engine.endpoint);
                        announce(&events, what, false);
                    }
                    hints.values().for_each(|hint| hint.notify_one());
                }
            }
        };
        if !silent {
            silent = true;
            let what = format!(
                "the Docker engine {} does not answer: {why}",
                engine.endpoint
            );
            announce(&events, what, true);
        }
        sleep(AGAIN_AFTER).await;
    }
}

fn tell(event: &EventMessage, network: Option<&str>, hints: &Hints) {
    let actor = event.actor.as_ref();
    let attributes = actor.and_then(|actor| actor.attributes.as_ref());
    let name = attributes.and_then(|attributes| attributes.get("name"));
    match (event.typ, name) {
        // It names the container by its id only.
        (Some(EventMessageTypeEnum::NETWORK), Some(name)) if Some(name.as_str()) == network => {
            hints.values().for_each(|hint| hint.notify_one());
        }
        (Some(EventMessageTypeEnum::CONTAINER), Some(name)) => {
            if let Some(hint) = hints.get(name) {
                hint.notify_one();
            }
        }
        _ => {}
    }
}

fn announce(events: &broadcast::Sender<ClusterEvent>, what: String, unexpected: bool) {
    // Nobody may be listening.
    let _ = events.send(ClusterEvent {
        at: SystemTime::now(),
        member: None,
        what,
        unexpected,
    });
}
