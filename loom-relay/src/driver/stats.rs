//! What the driver counts: links, frames, refusals, and why links ended.

use std::sync::Arc;

use crate::metrics::{Counter, Exposition};
use crate::store::thread::StoreStats;

/// Counters of one driver, shared by its tasks.
#[derive(Debug, Default)]
pub struct Stats {
    /// Websockets accepted.
    pub accepted: Counter,
    /// Connections refused because as many as allowed were open.
    pub refused: Counter,
    /// Connections closed at once because as many as allowed were open, links or not.
    pub connections_refused: Counter,
    /// Connections ended because they became no link and nothing moved on them.
    pub connections_idle: Counter,
    /// Times the system had no connection to give, as without file descriptors.
    pub accept_failures: Counter,
    /// Attempts to dial a peer.
    pub dials: Counter,
    /// Attempts that did not become a link.
    pub dial_failures: Counter,
    /// Text frames heard and handed to the machine.
    pub frames_heard: Counter,
    /// Their bytes.
    pub bytes_heard: Counter,
    /// Text frames queued for peers.
    pub frames_sent: Counter,
    /// Their bytes.
    pub bytes_sent: Counter,
    /// Times a writer flushed; `frames_sent / flushes` is the batching.
    pub flushes: Counter,
    /// Frames above the limit, discarded.
    pub oversized: Counter,
    /// Binary frames, ignored.
    pub binary: Counter,
    /// Links hung up because their send queue was full.
    pub overflows: Counter,
    /// Links hung up because the machine asked for it.
    pub hangups: Counter,
    /// Links that were silent or stuck for longer than the ping timeout.
    pub dead: Counter,
    /// Links closed or reset by the peer, or broken.
    pub closed: Counter,
    /// Inputs the machine handled.
    pub inputs: Counter,
    /// What the store's thread did; all zero without a store.
    pub store: Arc<StoreStats>,
}

impl Stats {
    /// Writes everything, each name starting with `prefix` (such as `loom_relay`).
    pub fn expose(&self, prefix: &str, to: &mut Exposition) {
        let mut counter = |name: &str, help: &str, value: &Counter| {
            to.counter(&format!("{prefix}_{name}_total"), help, value.get());
        };
        counter("links_accepted", "Websockets accepted.", &self.accepted);
        counter(
            "links_refused",
            "Connections refused because as many as allowed were open.",
            &self.refused,
        );
        counter(
            "connections_refused",
            "Connections closed at once because as many as allowed were open.",
            &self.connections_refused,
        );
        counter(
            "connections_idle",
            "Connections ended because nothing moved on them.",
            &self.connections_idle,
        );
        counter(
            "accept_failures",
            "Times the system had no connection to give.",
            &self.accept_failures,
        );
        counter("dials", "Attempts to dial a peer.", &self.dials);
        counter(
            "dial_failures",
            "Attempts to dial a peer that failed.",
            &self.dial_failures,
        );
        counter("frames_heard", "Text frames heard.", &self.frames_heard);
        counter(
            "bytes_heard",
            "Bytes of text frames heard.",
            &self.bytes_heard,
        );
        counter(
            "frames_sent",
            "Text frames queued for peers.",
            &self.frames_sent,
        );
        counter(
            "bytes_sent",
            "Bytes of text frames queued for peers.",
            &self.bytes_sent,
        );
        counter("flushes", "Times a link's writer flushed.", &self.flushes);
        counter(
            "frames_oversized",
            "Frames above the size limit, discarded.",
            &self.oversized,
        );
        counter("frames_binary", "Binary frames, ignored.", &self.binary);
        counter(
            "inputs",
            "Inputs handled by the state machine.",
            &self.inputs,
        );
        counter(
            "store_commits",
            "Commits of the store; waiting batches share one.",
            &self.store.commits,
        );
        counter(
            "store_batches",
            "Batches of changes stored.",
            &self.store.batches,
        );
        counter("store_changes", "Changes stored.", &self.store.changes);
        counter(
            "store_failures",
            "Commits that failed and were tried again.",
            &self.store.failures,
        );
        to.counter_seconds(
            &format!("{prefix}_store_commit_seconds_total"),
            "Time spent in commits of the store.",
            self.store.commit_us.get(),
        );
        to.labelled_counter(
            &format!("{prefix}_links_ended_total"),
            "Links that ended, by reason.",
            "reason",
            &[
                ("closed", self.closed.get()),
                ("dead", self.dead.get()),
                ("overflow", self.overflows.get()),
                ("hangup", self.hangups.get()),
            ],
        );
    }
}
