//! What a write costs in a real cluster, as ratios to floors measured in the same run.
//!
//! `cargo bench -p loom-tui --bench cluster -- [latency|throughput|memory]…` (all by default).
//!
//! - **latency**: open loop, 100 writes a second at node-1, timed from the intended moment to the
//!   change event at node-2; half-way between them, as many rounds through a bare TCP chain of the
//!   same topology.
//! - **throughput**: closed loop over three nodes, durable store off; afterwards every node must
//!   hold every acknowledged record.
//! - **memory**: resident memory of an idle relay and an idle node.

mod floor;
mod rig;
mod wire;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;

use crate::floor::Chain;
use crate::rig::Rig;
use crate::wire::{Feed, Poster};

/// Writes a second in the latency part.
const RATE_PER_S: u32 = 100;
/// Samples of the latency part, and rounds through the floor between them.
const SAMPLES: u32 = 3_000;
/// Concurrent clients per node in the throughput part.
const CLIENTS_PER_NODE: usize = 16;
/// How long the throughput part writes.
const LOAD_FOR: Duration = Duration::from_secs(10);

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    if floor::is_hop() {
        return Ok(());
    }
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let runs = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if runs("latency") {
            for durability in ["none", "sync"] {
                latency(durability).await?;
            }
        }
        if runs("throughput") {
            throughput().await?;
        }
        if runs("memory") {
            memory().await?;
        }
        Ok(())
    })
}

/// Microseconds from intended send to change event, and the floor beneath it.
async fn latency(durability: &str) -> Result<(), Error> {
    let rig = Rig::start(3, durability).await?;
    let mut chain = Chain::start()?;
    let mut poster = Poster::connect(rig.node(1))?;
    let mut feed = Feed::follow(rig.node(2))?;
    let (expect, expected) = mpsc::channel::<String>();
    let (tell, seen) = mpsc::channel();
    // The observer blocks on its own socket, as the chain's end does.
    let observer = std::thread::spawn(move || {
        for id in expected {
            if tell.send(feed.event_of(&id)).is_err() {
                return;
            }
        }
    });
    let mut cluster = Histogram::<u64>::new(3)?;
    let mut acked = Histogram::<u64>::new(3)?;
    let mut bare = Histogram::<u64>::new(3)?;

    let period = Duration::from_secs(1) / RATE_PER_S;
    let mut intended = Instant::now() + period;
    for number in 0..SAMPLES {
        let id = format!("bench-{number}");
        let body = json!({"id": id, "type": "event", "properties": {"n": number}}).to_string();
        expect.send(id)?;
        until(intended);
        let answered = poster.post(&body)?;
        acked.record(micros(answered - intended))?;
        cluster.record(micros(seen.recv()?? - intended))?;
        // Half-way between two writes a round through the floor, from rest as the write was: a
        // processor that has just been busy answers several times faster than one that slept.
        let half_way = intended + period / 2;
        until(half_way);
        chain.round()?;
        bare.record(micros(half_way.elapsed()))?;
        intended += period;
    }
    drop(expect);
    observer.join().map_err(|_| "the observer panicked")?;

    let ratio = cluster.value_at_quantile(0.5) as f64 / bare.value_at_quantile(0.5) as f64;
    println!("\nlatency, durability {durability}, {RATE_PER_S}/s open loop, {SAMPLES} samples, µs");
    print_row("POST at node-1 -> event at node-2", &cluster);
    print_row("POST at node-1 -> 201", &acked);
    print_row("bare TCP chain, 3 hops", &bare);
    println!("  ratio of the medians: {ratio:.2} (goal: at most 6)");
    Ok(())
}

/// Acknowledged writes per second over three nodes, and whether every node holds them all.
async fn throughput() -> Result<(), Error> {
    let rig = Rig::start(3, "none").await?;
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for node in 1..=3 {
        for worker in 0..CLIENTS_PER_NODE {
            let url = format!("{}/nodes", rig.node(node));
            tasks.spawn(async move {
                let client = rig::client()?;
                let mut acked = 0_u64;
                while began.elapsed() < LOAD_FOR {
                    let id = format!("load-{node}-{worker}-{acked}");
                    let body = json!({"id": id, "type": "event", "properties": {"n": acked}});
                    let answer = client.post(&url).json(&body).send().await?;
                    answer.error_for_status()?.bytes().await?;
                    acked += 1;
                }
                Ok::<_, Error>(acked)
            });
        }
    }
    let mut acked = 0;
    while let Some(done) = tasks.join_next().await {
        acked += done??;
    }
    let took = began.elapsed();
    let converged = rig.await_equal(acked, Duration::from_secs(60)).await?;
    println!("\nthroughput, closed loop, 3 nodes x {CLIENTS_PER_NODE} clients, durability none");
    println!(
        "  {acked} acknowledged in {:.1} s = {:.0} ops/s (goal: at least 5000)",
        took.as_secs_f64(),
        acked as f64 / took.as_secs_f64()
    );
    println!(
        "  every node held all of them, same digest, {:.0} ms after the last write",
        converged.as_secs_f64() * 1e3
    );
    Ok(())
}

/// Resident memory of idle processes, in MiB.
async fn memory() -> Result<(), Error> {
    let rig = Rig::start(3, "sync").await?;
    // Idle means: connected, all start-up work done.
    rig.await_equal(0, Duration::from_secs(10)).await?;
    println!("\nresident memory, idle, MiB (goal: under 40 each)");
    for (name, bytes) in rig.resident_bytes()? {
        println!("  {name:<8} {:>6.1}", bytes as f64 / 1024.0 / 1024.0);
    }
    Ok(())
}

/// Returns at `moment`; sleeping alone would be late by as much as a hop takes.
fn until(moment: Instant) {
    let early = moment - Duration::from_millis(1);
    std::thread::sleep(early.saturating_duration_since(Instant::now()));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
}

fn print_row(what: &str, times: &Histogram<u64>) {
    let at = |quantile| times.value_at_quantile(quantile);
    println!(
        "  {what:<36} p50 {:>6}  p95 {:>6}  p99 {:>6}  max {:>7}",
        at(0.5),
        at(0.95),
        at(0.99),
        times.max()
    );
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
