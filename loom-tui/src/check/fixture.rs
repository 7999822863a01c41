//! Histories for the checkers' tests, told one write at a time.

use std::collections::BTreeMap;

use super::version::Held;
use super::{Claims, Evidence, Expectation, FinalState, Scope};
use crate::client::{Json, Key};
use crate::cluster::Member;
use crate::history::attempts::Fault;
use crate::history::{Action, Attempt, Outcome, Process};

/// A run on three nodes.
#[derive(Debug)]
pub(super) struct Run {
    evidence: Evidence,
}

impl Run {
    pub(super) fn new() -> Self {
        let finals = (1..=3)
            .map(|number| {
                let state = FinalState {
                    // Every state these tests use is due by then, unless it is hours away.
                    read_at_ms: 1_000.0,
                    ..FinalState::default()
                };
                (Member::Node(number), state)
            })
            .collect();
        let claims = Claims {
            expectations: vec![Expectation {
                text: "all nodes agree".to_owned(),
                held: true,
                place: None,
            }],
            ..Claims::default()
        };
        let evidence = Evidence {
            finals,
            claims,
            ..Evidence::default()
        };
        Self { evidence }
    }

    /// An acknowledged create; returns the version it made.
    pub(super) fn create(&mut self, node: u8, id: &str, state: f64) -> Held {
        self.acked(Action::Create, node, id, state)
    }

    /// An acknowledged update; returns the version it made.
    pub(super) fn update(&mut self, node: u8, id: &str, state: f64) -> Held {
        self.acked(Action::Update, node, id, state)
    }

    /// An acknowledged delete.
    pub(super) fn delete(&mut self, node: u8, id: &str, state: f64) {
        let outcome = Outcome::Ok {
            answer: None,
            state: Some(state),
        };
        self.attempt(Action::Delete, node, id, None, outcome);
    }

    /// A write without an answer; returns what it would make.
    pub(super) fn unknown(&mut self, action: Action, node: u8, id: &str, state: f64) -> Held {
        let held = self.version(node, id, state);
        let asked = Some(asked(&held.record));
        let outcome = Outcome::Unknown("no answer within 5 s".to_owned());
        self.attempt(action, node, id, asked, outcome);
        held
    }

    /// A refused write; returns what it would have made.
    pub(super) fn refused(&mut self, action: Action, node: u8, id: &str, state: f64) -> Held {
        let held = self.version(node, id, state);
        let asked = Some(asked(&held.record));
        let outcome = Outcome::Fail("400: no".to_owned());
        self.attempt(action, node, id, asked, outcome);
        held
    }

    /// A read; `None` is "not found".
    pub(super) fn get(&mut self, node: u8, id: &str, shown: Option<&Held>) {
        let outcome = Outcome::Ok {
            answer: shown.map(|held| held.record.clone()),
            state: shown.map(|held| held.state),
        };
        self.attempt(Action::Get, node, id, None, outcome);
    }

    /// In the end, every node holds this.
    pub(super) fn everywhere(&mut self, id: &str, held: &Held) {
        for number in 1..=3 {
            self.on(number, id, held);
        }
    }

    /// In the end, this node holds this.
    pub(super) fn on(&mut self, node: u8, id: &str, held: &Held) {
        let state = self.final_state(node);
        state.records.insert(Key::vertex(id), held.clone());
    }

    /// What a node held in the end.
    pub(super) fn final_state(&mut self, node: u8) -> &mut FinalState {
        self.evidence.finals.entry(Member::Node(node)).or_default()
    }

    /// A fault that took hold now.
    pub(super) fn fault(&mut self, action: Action, node: u8) {
        let time = self.now();
        self.evidence.faults.push(Fault {
            action,
            member: Some(Member::Node(node)),
            value: None,
            began: time,
            time,
            error: None,
        });
    }

    /// The cluster is shared; this run's ids begin with `prefix`.
    pub(super) fn shared(&mut self, prefix: &str) {
        self.evidence.scope = Scope::Shared {
            prefix: prefix.to_owned(),
        };
    }

    /// What the script claimed.
    pub(super) fn claims(&mut self) -> &mut Claims {
        &mut self.evidence.claims
    }

    /// What no node ever did: the version a write would make, without the write.
    pub(super) fn version(&self, node: u8, id: &str, state: f64) -> Held {
        let unique = self.evidence.attempts.len();
        let record = serde_json::json!({
            "id": id,
            "type": "event",
            "properties": {"n": unique, "at": state},
            "metadata": {"createdBy": Member::Node(node).to_string()},
        });
        Held {
            state,
            record: Json::of(&record),
        }
    }

    /// All of it, with digests as honest nodes would compute them where none was set.
    pub(super) fn evidence(mut self) -> Evidence {
        for state in self.evidence.finals.values_mut() {
            if state.digest.is_empty() {
                let texts: BTreeMap<String, String> = state
                    .records
                    .iter()
                    .map(|(key, held)| (key.to_string(), held.record.text().to_owned()))
                    .collect();
                state.digest = format!("{texts:?}");
            }
        }
        self.evidence
    }

    fn acked(&mut self, action: Action, node: u8, id: &str, state: f64) -> Held {
        let held = self.version(node, id, state);
        let outcome = Outcome::Ok {
            answer: Some(held.record.clone()),
            state: Some(state),
        };
        let asked = Some(asked(&held.record));
        self.attempt(action, node, id, asked, outcome);
        held
    }

    fn attempt(
        &mut self,
        action: Action,
        node: u8,
        id: &str,
        asked: Option<Json>,
        outcome: Outcome,
    ) {
        let began = self.now();
        self.evidence.attempts.push(Attempt {
            index: began,
            process: Process::Client(0),
            action,
            node: Some(Member::Node(node)),
            key: Some(Key::vertex(id)),
            asked,
            began,
            ended: Some(began + 1),
            outcome,
        });
    }

    fn now(&self) -> u64 {
        10 * (self.evidence.attempts.len() + self.evidence.faults.len()) as u64
    }
}

fn asked(record: &Json) -> Json {
    let record = record.value();
    Json::of(&serde_json::json!({
        "id": record["id"],
        "type": record["type"],
        "properties": record["properties"],
    }))
}
