//! One node's feed, into the books.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::Clock;
use super::canary::Voice;
use super::desk::{Command, Desk, FeedState};
use super::waiting::Showing;
use crate::client::feed::{Feed, FeedChange, FeedItem, FeedOptions};
use crate::client::{Key, NodeClient};
use crate::cluster::Member;

/// Watches one node until told to stop.
pub(super) async fn watch(
    observer: Member,
    client: NodeClient,
    options: FeedOptions,
    clock: Clock,
    voice: Voice,
    desk: Desk,
    stop: CancellationToken,
) {
    let mut feed = Feed::new(client, options);
    let watching = async {
        loop {
            let item = feed.next().await;
            let command = match item {
                FeedItem::Open { .. } => Command::Feed(observer, FeedState::Up),
                FeedItem::Lost { reason, gap } => {
                    tracing::debug!(%observer, reason, gap, "feed lost");
                    Command::Feed(observer, if gap { FeedState::Gap } else { FeedState::Down })
                }
                FeedItem::Changes { at, changes } => {
                    let shown = changes.iter().filter_map(|change| read(change, &voice));
                    Command::Shown(observer, clock.at(at), shown.collect())
                }
                FeedItem::Listed {
                    at,
                    vertices,
                    edges,
                } => {
                    let vertices = vertices
                        .iter()
                        .map(|stored| (Key::vertex(&stored.record.id), stored.state));
                    let edges = edges
                        .iter()
                        .map(|stored| (Key::edge(&stored.record.id), stored.state));
                    let records: BTreeMap<_, _> = (vertices.chain(edges))
                        .filter_map(|(key, state)| Some((key, state?)))
                        .collect();
                    Command::Listed(observer, clock.at(at), records)
                }
            };
            desk.tell(command).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = stop.cancelled() => {}
    }
}

fn read(change: &FeedChange, voice: &Voice) -> Option<Showing> {
    Some(match change {
        FeedChange::Record(record) => Showing {
            key: record.key()?,
            stamp: record.state?,
            deleted: record.change.is_delete(),
        },
        FeedChange::Canary { origin, value } => Showing {
            key: Key::canary(origin),
            stamp: voice.stamp(value)?,
            deleted: false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Stamp;

    #[test]
    fn a_deletion_is_told_as_one() {
        let voice = Voice::new();
        for (change, deleted) in [
            ("node_deleted", true),
            ("edge_deleted", true),
            ("node_updated", false),
        ] {
            let text = format!(
                r#"{{"type":"{change}","timestamp":1,"nodeId":"a","edgeId":"a","state":5}}"#
            );
            let change = FeedChange::Record(Box::new(serde_json::from_str(&text).unwrap()));
            let showing = read(&change, &voice).unwrap();
            assert_eq!(showing.deleted, deleted, "{text}");
            assert_eq!(showing.stamp, Stamp(5.0));
        }
    }
}
