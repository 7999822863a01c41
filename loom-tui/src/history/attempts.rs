//! Operations with how they ended: what checkers read.

use std::collections::BTreeMap;

use super::{Action, Op, OpType, Process};
use crate::client::{Json, Key};
use crate::cluster::Member;

/// One operation of a client, from beginning to end.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Position of its `invoke` in the history: how reports name it.
    pub index: u64,
    /// Who did it.
    pub process: Process,
    /// What was done.
    pub action: Action,
    /// To whom.
    pub node: Option<Member>,
    /// To which record.
    pub key: Option<Key>,
    /// What was asked for.
    pub asked: Option<Json>,
    /// When it began, in nanoseconds since the run began.
    pub began: u64,
    /// When it ended, if it did.
    pub ended: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It did happen.
    Ok {
        /// What the cluster answered.
        answer: Option<Json>,
        /// HAM state of the record in the answer.
        state: Option<f64>,
    },
    /// It did not happen.
    Fail(String),
    /// It may have happened, or may yet.
    Unknown(String),
}

impl Attempt {
    /// Whether it did happen.
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok { .. })
    }
}

/// One fault, from one end to the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What was done.
    pub action: Action,
    /// To whom; `None` is the whole cluster.
    pub member: Option<Member>,
    /// Details, such as the direction or the latency.
    pub value: Option<Json>,
    /// When it was begun, in nanoseconds since the run began.
    pub began: u64,
    /// When it had been done, in nanoseconds since the run began.
    pub time: u64,
    /// Why it could not be done, if so.
    pub error: Option<String>,
}

/// Pairs every `invoke` with its end. One without an end is unknown, as in Jepsen.
pub fn pair(ops: &[Op]) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::with_capacity(ops.len() / 2);
    let mut open: BTreeMap<Process, usize> = BTreeMap::new();
    for op in ops {
        if op.process == Process::Nemesis {
            continue;
        }
        let outcome = match op.kind {
            OpType::Invoke => {
                open.insert(op.process, attempts.len());
                attempts.push(Attempt {
                    index: op.index,
                    process: op.process,
                    action: op.f,
                    node: op.node,
                    key: op.key.clone(),
                    asked: op.value.clone(),
                    began: op.time,
                    ended: None,
                    outcome: Outcome::Unknown("it never ended".to_owned()),
                });
                continue;
            }
            OpType::Ok => Outcome::Ok {
                answer: op.value.clone(),
                state: op.state,
            },
            OpType::Fail => Outcome::Fail(op.error.as_deref().unwrap_or_default().to_owned()),
            OpType::Info => Outcome::Unknown(op.error.as_deref().unwrap_or_default().to_owned()),
        };
        if let Some(at) = open.remove(&op.process) {
            let attempt = &mut attempts[at];
            attempt.outcome = outcome;
            attempt.ended = Some(op.time);
            if op.key.is_some() {
                attempt.key.clone_from(&op.key);
            }
        }
    }
    attempts
}

/// The faults of a history, each at the moment it had taken hold, in that order. One without an
/// end may have taken hold or not; it counts as not done, from when it began.
pub fn faults(ops: &[Op]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    // Both ends are `info`, and several may be under way at once: each has a number of its own.
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    for op in ops.iter().filter(|op| op.process == Process::Nemesis) {
        let Some(number) = op.fault else { continue };
        if let Some(at) = open.remove(&number) {
            faults[at].time = op.time;
            faults[at].error = op.error.as_deref().map(str::to_owned);
        } else {
            open.insert(number, faults.len());
            faults.push(Fault {
                action: op.f,
                member: op.node,
                value: op.value.clone(),
                began: op.time,
                time: op.time,
                error: Some("it never ended".to_owned()),
            });
        }
    }
    faults.sort_by_key(|fault| fault.time);
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(process: u64, kind: OpType, time: u64) -> Op {
        Op {
            index: time,
            time,
            process: Process::Client(process),
            kind,
            f: Action::Create,
            value: None,
            error: None,
            node: Some(Member::Node(1)),
            key: None,
            state: None,
            fault: None,
        }
    }

    fn nemesis(f: Action, fault: u64, time: u64) -> Op {
        Op {
            process: Process::Nemesis,
            f,
            fault: Some(fault),
            ..op(0, OpType::Info, time)
        }
    }

    #[test]
    fn interleaved_processes_get_their_own_ends() {
        let attempts = pair(&[
            op(0, OpType::Invoke, 0),
            op(1, OpType::Invoke, 1),
            op(0, OpType::Fail, 2),
            op(1, OpType::Ok, 3),
            op(2, OpType::Invoke, 4),
        ]);
        let ends: Vec<_> = attempts.iter().map(|attempt| attempt.ended).collect();
        assert_eq!(ends, [Some(2), Some(3), None]);
        assert!(attempts[1].is_ok());
        assert!(matches!(attempts[2].outcome, Outcome::Unknown(_)));
    }

    #[test]
    fn a_fault_counts_from_when_it_had_taken_hold() {
        let faults = faults(&[
            nemesis(Action::Cut, 1, 10),
            nemesis(Action::Cut, 1, 12),
            nemesis(Action::Heal, 2, 30),
            nemesis(Action::Heal, 2, 31),
        ]);
        let times: Vec<_> = faults
            .iter()
            .map(|fault| (fault.action, fault.time))
            .collect();
        assert_eq!(times, [(Action::Cut, 12), (Action::Heal, 31)]);
    }

    #[test]
    fn faults_at_the_same_time_keep_their_own_ends() {
        let refused = Op {
            error: Some("it is not running".into()),
            ..nemesis(Action::Suspend, 1, 14)
        };
        let faults = faults(&[
            nemesis(Action::Suspend, 1, 10),
            nemesis(Action::Suspend, 2, 11),
            nemesis(Action::Suspend, 2, 13),
            refused,
            nemesis(Action::Kill, 3, 20),
        ]);
        let told: Vec<_> = faults
            .iter()
            .map(|fault| (fault.action, fault.time, fault.error.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                (Action::Suspend, 13, None),
                (Action::Suspend, 14, Some("it is not running")),
                (Action::Kill, 20, Some("it never ended")),
            ]
        );
    }
}
