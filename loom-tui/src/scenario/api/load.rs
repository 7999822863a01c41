//! Load and latency.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{Array, Dynamic, EvalAltResult, Map};

use super::values::{known_members, ms, number, span};
use super::{Api, Doc, Group};
use crate::client::Outcome;
use crate::cluster::Member;
use crate::history::processes::Worker;
use crate::history::recorder::Asked;
use crate::history::{Action, Recorder};
use crate::probe::load::{self, Load, LoadReport, Mix, Pace, ReadJob, Until, WriteJob, Writes};
use crate::probe::{Class, Probe, Sent, Summary};
use crate::scenario::host::{Host, action, asked, of_shown};
use crate::scenario::trouble::Trouble;
use crate::stats::Quantile;

pub(super) const GROUP: Group = Group {
    title: "Load and latency",
    about: "Latency is from the intended moment of a write to the change event at another node, by \
            one clock. A write that has not been seen counts at its present age; a percentile that \
            it could still raise is `()`, never a flattering number.",
    docs: &[
        Doc {
            usage: "load(#{…})",
            about: "Writes, and returns when all were answered. `rate` (writes per second, on \
                    schedule whatever the cluster does) or `clients` (each writes again when \
                    answered); `count` or `duration`; `nodes` to write to (all by default); `mix` \
                    of `#{create, update, delete, edge, read}` (only creates by default; reads are \
                    of what was written a short while ago, and let the session checkers say \
                    something); `size` of each record's payload in bytes (64). Returns a map: \
                    `sent`, `acked`, `refused`, `unknown` (writes), `reads` (answered), `took_ms`, \
                    `ops_per_s`, `ack_p50_ms`, `ack_p99_ms`, `late_ms`, `complaints`.",
        },
        Doc {
            usage: "latency()",
            about: "Convergence of everything written so far: a map of `p50`, `p95`, `p99`, `max` in \
                    milliseconds, `count`, `unseen`, and `pairs` with the same for each pair, such \
                    as `pairs[\"node-1->node-2\"]`.",
        },
    ],
};

type Result<T, E = Box<EvalAltResult>> = std::result::Result<T, E>;

/// Clients a closed loop may have: each is a connection.
const CLIENTS_MAX: i64 = 2_048;
/// Bytes of payload a record may have.
const SIZE_MAX: i64 = 64 * 1024;

pub(super) fn register(api: &mut Api<'_>) {
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("load"), move |how: Map| -> Result<Map> {
            let load = plan(&host, &how)?;
            Ok(run(&host, &load)?)
        });
    let host = Arc::clone(&api.host);
    api.engine
        .register_fn(api.named("latency"), move || -> Result<Map> {
            let report = host.wait(host.probe.report(&host.mark))?;
            let mut map = figures(&report.convergence(Class::User));
            let pairs = report
                .pairs
                .iter()
                .filter(|pair| pair.class == Class::User && pair.origin != pair.observer);
            let pairs: Map = pairs
                .map(|pair| {
                    let name = format!("{}->{}", pair.origin, pair.observer);
                    (name.into(), Dynamic::from(figures(&pair.summary())))
                })
                .collect();
            map.insert("pairs".into(), Dynamic::from(pairs));
            Ok(map)
        });
}

fn run(host: &Arc<Host>, load: &Load) -> Result<Map, Trouble> {
    let writes = Arc::new(Recorded {
        probe: host.probe.clone(),
        recorder: host.recorder.clone(),
        workers: Mutex::default(),
    });
    let clock = host.probe.clock();
    // A load that is stopped still waits for its answers, or the history would lose them.
    let report = host
        .runtime
        .block_on(load::run(writes, clock, load, &host.cancel));
    if host.cancel.is_cancelled() {
        return Err(Trouble::Cancelled);
    }
    let answers = report.answers();
    host.story.note(&format!(
        "load: {} acked, {} refused, {} unknown in {:.2} s ({:.0} ops/s)",
        answers.acked,
        answers.refused,
        answers.unknown,
        report.took.as_secs_f64(),
        report.ops_per_s()
    ));
    Ok(result(&report))
}

fn result(report: &LoadReport) -> Map {
    let answers = report.answers();
    let whole = |count: u64| Dynamic::from(i64::try_from(count).unwrap_or(i64::MAX));
    // What was given up is part of the tail.
    let mut tail = report.acks.clone();
    tail.merge(&report.unknown);
    let acks = Summary::from_parts(&tail, &[]);
    let complaints: Array = report
        .complaints
        .iter()
        .map(|text| Dynamic::from(text.clone()))
        .collect();
    [
        ("sent", whole(report.sent())),
        ("acked", whole(answers.acked)),
        ("refused", whole(answers.refused)),
        ("unknown", whole(answers.unknown)),
        ("reads", whole(report.reads.acked)),
        ("took_ms", Dynamic::from(ms(report.took))),
        ("ops_per_s", Dynamic::from(report.ops_per_s())),
        ("ack_p50_ms", quantile(acks.p50)),
        ("ack_p99_ms", quantile(acks.p99)),
        ("late_ms", Dynamic::from(ms(report.late_max))),
        ("complaints", Dynamic::from(complaints)),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value))
    .collect()
}

fn figures(summary: &Summary) -> Map {
    let whole = |count: u64| Dynamic::from(i64::try_from(count).unwrap_or(i64::MAX));
    [
        ("count", whole(summary.count)),
        ("unseen", whole(summary.unseen)),
        ("p50", quantile(summary.p50)),
        ("p95", quantile(summary.p95)),
        ("p99", quantile(summary.p99)),
        ("max", quantile(summary.max)),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value))
    .collect()
}

fn quantile(quantile: Quantile) -> Dynamic {
    quantile
        .known()
        .map_or(Dynamic::UNIT, |known| Dynamic::from(ms(known)))
}

fn plan(host: &Host, how: &Map) -> Result<Load, Trouble> {
    const KNOWN: &[&str] = &[
        "rate", "clients", "count", "duration", "nodes", "mix", "size",
    ];
    known_members(how, KNOWN, "load")?;
    let rate = how
        .get("rate")
        .map(|rate| positive("rate", rate))
        .transpose()?;
    let clients = how
        .get("clients")
        .map(|clients| whole("clients", clients, 1, CLIENTS_MAX))
        .transpose()?;
    let pace = match (rate, clients) {
        (Some(per_s), None) => Pace::Open { per_s },
        (None, Some(clients)) => Pace::Closed {
            clients: clients as usize,
        },
        _ => {
            return Err(Trouble::mistake(
                "load needs either rate (per second) or clients",
            ));
        }
    };
    let count = how
        .get("count")
        .map(|count| whole("count", count, 0, i64::MAX))
        .transpose()?;
    let until = match (count, how.get("duration")) {
        (Some(count), None) => Until::Count(count),
        (None, Some(duration)) => Until::For(span(duration)?),
        _ => {
            return Err(Trouble::mistake("load needs either count or duration"));
        }
    };
    let size = how
        .get("size")
        .map(|size| whole("size", size, 0, SIZE_MAX))
        .transpose()?;
    Ok(Load {
        origins: origins(host, how)?,
        pace,
        until,
        mix: how.get("mix").map(mix).transpose()?.unwrap_or_default(),
        payload_bytes: size.unwrap_or(64) as usize,
        seed: host.seed,
        id_prefix: host.fresh_id('l'),
    })
}

fn origins(host: &Host, how: &Map) -> Result<Vec<Member>, Trouble> {
    let Some(nodes) = how.get("nodes") else {
        return Ok(host.nodes().to_vec());
    };
    let listed = nodes
        .as_array_ref()
        .map_err(|_| Trouble::mistake("nodes must be an array, such as [node(1), node(2)]"))?;
    let origins: Vec<Member> = listed
        .iter()
        .map(|node| super::values::node(host, node))
        .collect::<Result<_, _>>()?;
    if origins.is_empty() {
        return Err(Trouble::mistake("nodes is empty: name at least one"));
    }
    Ok(origins)
}

fn mix(value: &Dynamic) -> Result<Mix, Trouble> {
    let Ok(map) = value.as_map_ref() else {
        return Err(Trouble::mistake(
            "mix must be a map of weights, such as #{create: 7, update: 3}",
        ));
    };
    known_members(&map, &["create", "update", "delete", "edge", "read"], "mix")?;
    let weight = |name: &str| match map.get(name) {
        Some(value) => whole(name, value, 0, i64::from(u32::MAX)).map(|weight| weight as u32),
        None => Ok(0),
    };
    let mix = Mix {
        create: weight("create")?,
        update: weight("update")?,
        delete: weight("delete")?,
        edge: weight("edge")?,
        read: weight("read")?,
    };
    if mix.create == 0 {
        // Everything else needs something that was made before.
        return Err(Trouble::mistake("mix needs a create above 0"));
    }
    Ok(mix)
}

fn positive(name: &str, value: &Dynamic) -> Result<f64, Trouble> {
    number(value)?
        .filter(|number| *number > 0.0 && number.is_finite())
        .ok_or_else(|| Trouble::mistake(format!("{name} must be above 0, not {value}")))
}

fn whole(name: &str, value: &Dynamic, least: i64, most: i64) -> Result<u64, Trouble> {
    let number = value.as_int().ok().filter(|n| (least..=most).contains(n));
    let number = number.ok_or_else(|| {
        let range = if most == i64::MAX {
            format!("{least} or more")
        } else {
            format!("from {least} to {most}")
        };
        Trouble::mistake(format!(
            "{name} must be a whole number, {range}, not {value}"
        ))
    })?;
    Ok(number.unsigned_abs())
}

/// Passes a load's operations on to the probe, and keeps the history.
#[derive(Debug)]
struct Recorded {
    probe: Probe,
    recorder: Recorder,
    /// The history's worker of each of the load's.
    workers: Mutex<BTreeMap<usize, Arc<Worker>>>,
}

impl Recorded {
    fn worker(&self, number: usize) -> Arc<Worker> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = workers.entry(number);
        Arc::clone(worker.or_insert_with(|| Arc::new(self.recorder.worker())))
    }
}

#[async_trait::async_trait]
impl Writes for Recorded {
    async fn write(&self, job: WriteJob) -> Sent {
        let worker = self.worker(job.worker);
        let asked = Asked {
            action: action(&job.op),
            node: job.origin,
            key: job.op.key(),
            value: asked(&job.op),
        };
        let pending = self.recorder.begin(&worker, asked).await;
        let sent = self.probe.write(job.origin, job.op, job.intended).await;
        match &sent.outcome {
            Outcome::Ok(written) => {
                let record = written.record.clone();
                pending.ok(record, Some(written.state.0)).await;
            }
            Outcome::Fail(refusal) => pending.fail(refusal.to_string()).await,
            Outcome::Info(why) => pending.info(why.clone()).await,
        }
        sent
    }

    async fn read(&self, job: ReadJob) -> Outcome<()> {
        let worker = self.worker(job.worker);
        let asked = Asked {
            action: Action::Get,
            node: job.origin,
            key: Some(job.key.clone()),
            value: None,
        };
        let client = self.probe.client(job.origin);
        let client = client.expect("loads are made of the probe's members");
        let pending = self.recorder.begin(&worker, asked).await;
        let answer = client.shown(&job.key).await;
        match &answer {
            Outcome::Ok(shown) => {
                let (record, state) = shown.as_ref().map_or((None, None), of_shown);
                pending.ok(record, state).await;
            }
            Outcome::Fail(refusal) => pending.fail(refusal.to_string()).await,
            Outcome::Info(why) => pending.info(why.clone()).await,
        }
        answer.map(drop)
    }
}
