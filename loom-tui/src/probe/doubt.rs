//! Asks nodes for records whose deletion they may have told nobody: see `ledger/absence.rs`.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::Probe;
use super::desk::Command;
use crate::client::Outcome;
use crate::cluster::Member;

/// Younger writes are given time to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// For one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Asks once for each. Whoever does not answer will be asked again.
pub(super) async fn ask(probe: &Probe, observers: &[Member]) {
    let Some(before) = probe.clock().now().checked_sub(TOLD_WITHIN) else {
        return;
    };
    let desk = &probe.shared.desk;
    let (reply, doubtful) = oneshot::channel();
    desk.tell(Command::Doubtful(observers.to_vec(), before, reply))
        .await;
    let questions = (doubtful.await.unwrap_or_default().into_iter()).filter_map(|(member, key)| {
        let client = probe.client(member)?.clone().with_timeout(ANSWER_WITHIN);
        Some(async move {
            if let Outcome::Ok(None) = client.shown(&key).await {
                let now = probe.clock().now();
                desk.tell(Command::Absent(member, now, key)).await;
            }
        })
    });
    join_all(questions).await;
}
