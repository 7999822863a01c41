//! Where a member in a container is reached, and what its link has carried over all its lives.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::config::LINK_CONTROL_PORT;
use super::container::Seen;
use crate::cluster::link_control::{LinkClient, LinkState};
use crate::cluster::{Traffic, Usage};

/// One member's. Shared by its resident, which keeps it true, and whoever asks about traffic.
#[derive(Debug)]
pub(super) struct Place {
    http: reqwest::Client,
    /// Where published ports are.
    host: String,
    /// The base URL somebody gave, where ports need not be published: inside a network.
    given: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    url: String,
    control: Option<String>,
    pid: Option<u32>,
    usage: Usage,
    /// Of processes that have ended.
    before: Traffic,
    /// Of the one that runs, when it was last asked.
    running: Traffic,
}

impl Place {
    pub(super) fn new(http: reqwest::Client, host: &str, given: Option<String>) -> Self {
        let state = State {
            url: given.clone().unwrap_or_default(),
            ..State::default()
        };
        Self {
            http,
            host: host.to_owned(),
            given,
            state: Mutex::new(state),
        }
    }

    /// Where a container that runs, or did, publishes its ports.
    pub(super) fn learn(&self, seen: &Seen) {
        let mut state = self.state();
        let published = |(at, port): &(String, u16)| {
            // Nobody is reached at "everywhere".
            let at = match at.as_str() {
                "" | "0.0.0.0" | "::" => &self.host,
                at => at,
            };
            format!("http://{at}:{port}")
        };
        let control = seen.ports.get(&LINK_CONTROL_PORT);
        match &self.given {
            Some(given) => {
                let base = given
                    .rsplit_once(':')
                    .map_or(given.as_str(), |(base, _)| base);
                state.control = control.map(|_| format!("{base}:{LINK_CONTROL_PORT}"));
            }
            None => {
                state.control = control.map(published);
                let mut ports = seen.ports.iter();
                if let Some((_, port)) = ports.find(|(inside, _)| **inside != LINK_CONTROL_PORT) {
                    state.url = published(port);
                }
            }
        }
    }

    /// A process runs.
    pub(super) fn begin(&self, seen: &Seen, pid: u32) {
        self.learn(seen);
        let mut state = self.state();
        // The engine may be on another machine, where the number means somebody else.
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
        let ours = !seen.id.is_empty() && groups.is_ok_and(|groups| groups.contains(&seen.id));
        state.pid = ours.then_some(pid);
    }

    /// The process has ended.
    pub(super) fn end(&self) {
        let mut state = self.state();
        let counted = std::mem::take(&mut state.running);
        state.before += Traffic {
            // Those that were open have ended with it.
            open: 0,
            held: 0,
            ..counted
        };
        state.pid = None;
        state.usage = Usage::default();
    }

    pub(super) fn url(&self) -> String {
        self.state().url.clone()
    }

    /// `host:port` of the member's HTTP side.
    pub(super) fn authority(&self) -> String {
        self.url().trim_start_matches("http://").to_owned()
    }

    /// On this machine; `None` elsewhere.
    pub(super) fn pid(&self) -> Option<u32> {
        self.state().pid
    }

    /// What its process costs, by the engine's word.
    pub(super) fn usage(&self) -> Usage {
        self.state().usage
    }

    pub(super) fn note_usage(&self, usage: Usage) {
        self.state().usage = usage;
    }

    pub(super) fn has_control(&self) -> bool {
        self.state().control.is_some()
    }

    pub(super) fn control(&self) -> Option<LinkClient> {
        let base = self.state().control.clone()?;
        Some(LinkClient::new(self.http.clone(), &base))
    }

    /// Keeps what a node said of its link; an error becomes a sentence.
    pub(super) fn note(&self, said: Result<LinkState, reqwest::Error>) -> Result<(), String> {
        let said = said.map_err(|error| format!("its link control does not answer: {error}"))?;
        self.state().running = said.traffic;
        Ok(())
    }

    /// What its link has carried; what was last known where nobody answers.
    pub(super) async fn traffic(&self) -> Option<Traffic> {
        let control = self.control()?;
        // Of one that is frozen or down the last answer stands.
        let _ = self.note(control.look().await);
        let state = self.state();
        let mut traffic = state.before;
        traffic += state.running;
        Some(traffic)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
