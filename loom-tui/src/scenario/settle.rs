//! The end of a run: mend what is broken, wait until the cluster is quiet, read every node.
//!
//! Quiet is observed, never assumed after a pause: nothing under way, every acknowledged write
//! shown by every node, equal digests. A cluster in which nothing moves any more is not waited for
//! in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;

use super::host;
use crate::check::FinalState;
use crate::check::version::Held;
use crate::client::{Digest, EdgeFilter, NewVertex, Outcome, VertexFilter, WriteOp};
use crate::cluster::{ClusterBackend, Life, Member, MemberStatus, RigError};
use crate::history::recorder::Asked;
use crate::history::{Action, Recorder};
use crate::probe::{Mark, NotQuiet, Probe, Unseen};

/// How long a mended cluster is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until it agrees.
    pub within: Duration,
    /// Unequal digests that do not move for this long will not move.
    pub stuck_after: Duration,
    /// Equal digests that do not move for this long, with a write still unseen: it is lost.
    pub lost_after: Duration,
}

impl Default for Patience {
    /// A cut link takes 5 s to be noticed and 2 s to be dialled again.
    fn default() -> Self {
        Self {
            within: Duration::from_secs(60),
            stuck_after: Duration::from_secs(12),
            lost_after: Duration::from_secs(2),
        }
    }
}

/// How often nodes that agree and have not shown everything are asked for all they hold.
const RELIST_EVERY: Duration = Duration::from_millis(500);
/// How often digests are compared.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How often a node is read again because it changed meanwhile.
const READS_MAX: usize = 5;

/// What several nodes hold, as hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests(BTreeMap<Member, Digest>);

impl Digests {
    /// Who waits for its clock before it applies a write.
    pub fn waiting(&self) -> Vec<Member> {
        let waiting = self.0.iter().filter(|(_, digest)| digest.deferred > 0);
        waiting.map(|(member, _)| *member).collect()
    }

    /// Whether nothing is missing but what waits for a clock.
    fn only_wait_for_clocks(&self, busy: Option<&NotQuiet>) -> bool {
        let waiting = self.waiting();
        let early = |busy: &NotQuiet| {
            let mut behind = busy.behind.keys();
            let waits = |who| waiting.contains(who) && !busy.due.contains_key(who);
            busy.in_flight == 0 && behind.all(waits)
        };
        !waiting.is_empty() && busy.is_none_or(early)
    }

    /// Whether all hold the same and hold nothing back.
    pub fn are_equal(&self) -> bool {
        let distinct: BTreeSet<_> = self.0.values().map(|digest| &digest.digest).collect();
        distinct.len() <= 1 && self.0.values().all(|digest| digest.deferred == 0)
    }

    /// By how many records the fullest and the emptiest differ.
    pub fn spread(&self) -> u64 {
        let sizes = self.0.values().map(|digest| digest.nodes + digest.edges);
        let (least, most) = (sizes.clone().min(), sizes.max());
        most.unwrap_or(0) - least.unwrap_or(0)
    }

    /// How they differ, in words.
    pub fn difference(&self) -> String {
        let nodes: Vec<_> = self
            .0
            .iter()
            .map(|(member, digest)| {
                let short = digest.digest.get(..8).unwrap_or(&digest.digest);
                format!("{member} {short} with {} nodes", digest.nodes)
            })
            .collect();
        format!("digests differ: {}", nodes.join(", "))
    }
}

/// The digests of some nodes, asked at once.
///
/// # Errors
///
/// Who did not answer, and why.
pub async fn digests(probe: &Probe, members: &[Member]) -> Result<Digests, String> {
    let asked = members.iter().map(|member| async move {
        let client = probe.client(*member);
        let client = client.ok_or_else(|| format!("{member} is not watched"))?;
        match client.digest().await.into_result() {
            Ok(digest) => Ok((*member, digest)),
            Err(why) => Err(format!("{member} gives no digest: {why}")),
        }
    });
    let answers: Result<BTreeMap<_, _>, String> = join_all(asked).await.into_iter().collect();
    answers.map(Digests)
}

/// Waits until nothing is under way and these nodes' digests are equal.
///
/// Where others write too (`shared`), digests may never be equal at one moment: there it is enough
/// that every write that is followed has been shown, and that somebody else's writes move what
/// differs. A difference that stands still is one there, too.
///
/// # Errors
///
/// What was still different when the time was up.
pub async fn await_converged(
    probe: &Probe,
    members: &[Member],
    shared: bool,
    until: Instant,
) -> Result<(), String> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Err(busy) = probe.await_quiet(members, left.min(RELIST_EVERY)).await else {
            break;
        };
        if Instant::now() >= until {
            return Err(busy.to_string());
        }
        if digests(probe, members)
            .await
            .is_ok_and(|seen| seen.are_equal())
        {
            probe.relist(busy.behind.into_keys()).await;
        }
    }
    let mut before: Option<Digests> = None;
    loop {
        let seen = digests(probe, members).await;
        if let Ok(seen) = &seen {
            let moved = before.as_ref().is_some_and(|before| before != seen);
            if seen.are_equal() || (shared && moved) {
                return Ok(());
            }
            before = Some(seen.clone());
        }
        if Instant::now() >= until {
            return Err(seen.map_or_else(|why| why, |digests| digests.difference()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends every fault and starts every member that is down.
///
/// # Errors
///
/// A member that cannot be started is the rig's failure.
pub async fn mend(backend: &Arc<dyn ClusterBackend>, recorder: &Recorder) -> Result<(), RigError> {
    let members = backend.members().await;
    let broken = members.iter().any(MemberStatus::is_at_fault);
    if broken {
        let healing = recorder.inject(Action::HealAll, None, None).await;
        let healed = backend.heal().await;
        let error = healed.as_ref().err().map(ToString::to_string);
        healing.done(error).await;
        healed?;
    }
    // The relay is first in the list: nodes find it at once.
    for status in members {
        if matches!(status.life, Life::Up | Life::Suspended) {
            continue;
        }
        let member = Some(status.member);
        let starting = recorder.inject(Action::Start, member, None).await;
        let started = backend.start(status.member).await;
        let error = started.as_ref().err().map(ToString::to_string);
        starting.done(error).await;
        started?;
    }
    Ok(())
}

/// What a mended cluster came to by itself.
#[derive(Debug, Default)]
pub struct Settled {
    /// Why it is not quiet; `None` when it is.
    pub not_quiet: Option<String>,
    /// Whether the digests were equal in the end, quiet or not.
    pub agreed: bool,
    /// Whether nothing moves any more but what waits for a node's clock to get there.
    pub deferred: bool,
    /// How long that was waited for.
    pub took: Duration,
    /// What had not arrived yet when it became late.
    pub late: Vec<Unseen>,
}

/// Waits until a mended cluster is quiet, or nothing moves in it any more.
///
/// Where others write too (`shared`), what moves may be theirs: once every write that is followed
/// has been shown everywhere, their motion is not waited for. Writes that wait for a node's clock are
/// waited for as long as anything else; those that are due later are judged by their due time.
///
/// What was written since `mark` and is still missing after `late_after` is noted as late.
pub async fn await_quiet(
    probe: &Probe,
    shared: bool,
    patience: Patience,
    (mark, late_after): (&Mark, Duration),
) -> Settled {
    let mut late: Option<Vec<Unseen>> = None;
    let mut listed: Option<Instant> = None;
    let members = probe.members();
    let begun = Instant::now();
    let mut moved = begun;
    let mut last: Option<Result<Digests, String>> = None;
    loop {
        let busy = probe.await_quiet(members, Duration::ZERO).await.err();
        let seen = digests(probe, members).await;
        let equal = seen.as_ref().is_ok_and(Digests::are_equal);
        if equal && busy.is_none() {
            return Settled {
                not_quiet: None,
                agreed: true,
                deferred: false,
                took: begun.elapsed(),
                late: late.unwrap_or_default(),
            };
        }
        if let (true, Some(busy)) = (equal, &busy)
            && listed.is_none_or(|listed| listed.elapsed() >= RELIST_EVERY)
        {
            listed = Some(Instant::now());
            probe.relist(busy.behind.keys().copied()).await;
            continue;
        }
        if late.is_none() && begun.elapsed() >= late_after {
            let unseen = probe.report(mark).await.unseen;
            late = Some(unseen);
        }
        let of_others = shared && busy.is_none() && seen.is_ok();
        if last.as_ref() != Some(&seen) && !of_others {
            moved = Instant::now();
        }
        let still = match &seen {
            _ if equal => patience.lost_after,
            _ => patience.stuck_after,
        };
        if moved.elapsed() >= still || begun.elapsed() >= patience.within {
            let deferred =
                (seen.as_ref()).is_ok_and(|seen| seen.only_wait_for_clocks(busy.as_ref()));
            let mut why: Vec<String> = busy.iter().map(ToString::to_string).collect();
            match seen {
                Ok(digests) if !equal => why.push(digests.difference()),
                Ok(_) => {}
                Err(silent) => why.push(silent),
            }
            let took = begun.elapsed();
            let waited = took.as_secs_f64();
            return Settled {
                not_quiet: Some(format!("after {waited:.1} s: {}", why.join("; "))),
                agreed: equal,
                deferred,
                took,
                late: late.unwrap_or_default(),
            };
        }
        last = Some(seen);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Makes one write on each node and records it: what only moves when it is nudged moves then.
pub async fn poke(probe: &Probe, recorder: &Recorder, prefix: &str) {
    let pokes = probe.members().iter().map(|member| async move {
        let op = nudge(prefix, *member);
        let asked = Asked {
            action: Action::Create,
            node: *member,
            key: op.key(),
            value: host::asked(&op),
        };
        let worker = recorder.worker();
        let pending = recorder.begin(&worker, asked).await;
        let sent = probe.write(*member, op, probe.clock().now()).await;
        match sent.outcome {
            Outcome::Ok(written) => pending.ok(written.record, Some(written.state.0)).await,
            Outcome::Fail(refusal) => pending.fail(refusal.to_string()).await,
            Outcome::Info(why) => pending.info(why).await,
        }
    });
    join_all(pokes).await;
}

/// What a node is poked with. It says all that will be in the record: should nobody answer, the
/// record is known by what was asked for.
fn nudge(prefix: &str, member: Member) -> WriteOp {
    WriteOp::CreateVertex(NewVertex {
        id: Some(format!("{prefix}poke-{member}")),
        kind: Some("custom".to_owned()),
        properties: Some(serde_json::Map::new()),
    })
}

/// Everything every node holds, and who could not be read and why.
pub async fn read_all(probe: &Probe) -> (BTreeMap<Member, FinalState>, Vec<String>) {
    let reads = probe
        .members()
        .iter()
        .map(|member| async move { (*member, read(probe, *member).await) });
    let mut finals = BTreeMap::new();
    let mut unread = Vec::new();
    for (member, read) in join_all(reads).await {
        match read {
            Ok(state) => {
                finals.insert(member, state);
            }
            Err(why) => unread.push(format!("{member} could not be read: {why}")),
        }
    }
    (finals, unread)
}

async fn read(probe: &Probe, member: Member) -> Result<FinalState, String> {
    let client = probe.client(member).ok_or("it is not watched")?;
    let mut reads = 0;
    loop {
        let read_at_ms = wall_ms();
        let before = said(client.digest().await)?;
        let vertices = said(client.vertices_shown(&VertexFilter::default()).await)?;
        let edges = said(client.edges_shown(&EdgeFilter::default()).await)?;
        let after = said(client.digest().await)?;
        reads += 1;
        // Records and digest must be of one moment, unless somebody never stops writing.
        let moving = before.digest != after.digest;
        if moving && reads < READS_MAX {
            continue;
        }
        let records = vertices.into_iter().chain(edges).map(|shown| {
            let held = Held {
                state: shown.state.0,
                record: shown.record,
            };
            (shown.key, held)
        });
        return Ok(FinalState {
            digest: after.digest,
            records: records.collect(),
            deferred: after.deferred,
            moving,
            read_at_ms,
        });
    }
}

/// The wall clock here, in milliseconds since the Unix epoch.
pub fn wall_ms() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0.0, |since| since.as_secs_f64() * 1_000.0)
}

fn said<T>(outcome: Outcome<T>) -> Result<T, String> {
    outcome.into_result().map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::keys::made;
    use crate::client::Json;
    use crate::history::{Attempt, Outcome, Process};

    #[test]
    fn a_poke_without_an_answer_is_known_by_the_record_it_made() {
        let op = nudge("r7-", Member::Node(2));
        let poke = Attempt {
            index: 0,
            process: Process::Client(0),
            action: Action::Create,
            node: Some(Member::Node(2)),
            key: op.key(),
            asked: host::asked(&op),
            began: 0,
            ended: None,
            outcome: Outcome::Unknown("no answer within 5 s".to_owned()),
        };
        // As a node keeps it.
        let held = json!({
            "id": "r7-poke-node-2",
            "type": "custom",
            "properties": {},
            "metadata": {"createdBy": "node-2"},
        });
        assert!(made(&poke, Some(&Json::of(&held))), "{:?}", poke.asked);
    }
}
