//! loom-relay beside the real GUN relay, and both above a floor: same load, same run, in turn.
//!
//! `cargo bench -p loom-relay --bench relay`; `-- --help` says what can be set. Needs Node.js and
//! `loom-relay/tests/interop/install.sh`; without them the GUN rows are left out.
//!
//! One raw websocket peer publishes, three count ([`load`]). For each relay a fresh process, and:
//!
//! - **paced**: open loop, timed from the moment a message was meant to be sent to each of its three
//!   arrivals; afterwards its memory is read, which holds as many messages for every relay;
//! - **saturating**: a window of messages on the way, never more, so that nothing has to be dropped;
//!   the rate at which all three get everything, once with one message per frame and once packed
//!   into arrays as gun.js packs them.
//!
//! A message that is lost, mutilated or comes twice ends the run. The floor copies the same frames
//! without reading them: the load generator is not the bottleneck of a relay far below it.
//!
//! GUN runs with and without its disk and its router. Without AXE it floods, as Loom does, which is
//! its faster setting, and without radisk it keeps nothing. Loom keeps a data directory in both rows;
//! `sync` (the default) acknowledges after the fsync, `none` leaves the disk to the system, as radisk
//! does.

mod floor;
#[path = "../../tests/interop/gun.rs"]
mod gun;
mod load;
mod peer;
mod report;
mod subject;

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::load::{Framing, Load};
use crate::report::Row;
use crate::subject::Subject;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// loom-relay beside the real GUN relay.
#[derive(Debug, Parser)]
struct Args {
    /// Times every relay is measured, in turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of each of the three loads
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Messages a second of the paced load, which every relay must be able to carry
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Messages of the saturating load that may be on their way to a subscriber
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(2..=16_384))]
    window: u64,
    /// Measure only what has this in its name
    #[arg(long, default_value = "")]
    only: String,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

const SUBJECTS: [Subject; 6] = [
    Subject::Floor,
    Subject::Gun {
        radisk: true,
        axe: true,
    },
    Subject::Gun {
        radisk: true,
        axe: false,
    },
    Subject::Gun {
        radisk: false,
        axe: false,
    },
    Subject::Loom { durability: "none" },
    Subject::Loom { durability: "sync" },
];

fn main() -> Result<(), Error> {
    if floor::is_floor() {
        return Ok(());
    }
    let args = Args::parse();
    let gun = gun::find();
    let can_run = |subject: &Subject| gun.is_some() || !matches!(subject, Subject::Gun { .. });
    let subjects = SUBJECTS.into_iter().filter(can_run);
    let subjects = subjects.filter(|subject| subject.name().contains(&args.only));
    let mut rows: Vec<Row> = subjects.map(Row::new).collect();
    for round in 1..=args.rounds {
        for row in &mut rows {
            let name = row.subject.name();
            eprintln!("round {round} of {}: {name}", args.rounds);
            measure(row, &args, gun.as_deref()).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    println!(
        "one publishes, three count; messages of {} bytes; {} rounds of {} s",
        load::message_bytes(),
        args.rounds,
        args.seconds
    );
    let messages = u64::from(args.rate) * u64::from(args.seconds);
    report::print_figures(&rows, args.rate, messages);
    report::print_ratios(&rows);
    Ok(())
}

/// One round with a fresh process.
fn measure(row: &mut Row, args: &Args, gun: Option<&Path>) -> Result<(), Error> {
    let process = row.subject.start(gun)?;
    let time = Duration::from_secs(args.seconds.into());
    let mut load = Load::connect(&process, args.window)?;
    row.idle_bytes.push(process.resident_bytes()? as f64);
    row.times.add(load.paced(args.rate, time)?)?;
    row.loaded_bytes.push(process.resident_bytes()? as f64);
    let (began, used, sent) = (Instant::now(), process.processor_time()?, load.sent());
    for framing in Framing::ALL {
        row.rates[framing as usize].push(load.saturate(time, framing)?);
    }
    let used = (process.processor_time()? - used).as_secs_f64();
    let sent = (load.sent() - sent) as f64;
    row.processors.push(used / began.elapsed().as_secs_f64());
    row.processor_us.push(used * 1e6 / sent);
    load.finish()
}
