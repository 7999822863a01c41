//! What a container costs, by the engine's word: a stream with a reading each second.

use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::place::Place;
use crate::cluster::Usage;

/// Between two attempts to read a stream that has ended although the container runs.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Keeps what a container costs in its [`Place`] until it is dropped.
#[derive(Debug)]
pub(super) struct Following(JoinHandle<()>);

impl Following {
    pub(super) fn begin(docker: Docker, name: String, place: Arc<Place>) -> Self {
        Self(tokio::spawn(async move {
            let options = StatsOptionsBuilder::new().stream(true).build();
            loop {
                let mut readings = Box::pin(docker.stats(&name, Some(options.clone())));
                let mut before = None;
                // An engine that is in trouble is told of by whoever follows its events.
                while let Some(Ok(reading)) = readings.next().await {
                    place.note_usage(usage(before.as_ref(), &reading));
                    before = reading.cpu_stats;
                }
                sleep(AGAIN_AFTER).await;
            }
        }))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn usage(before: Option<&ContainerCpuStats>, reading: &ContainerStatsResponse) -> Usage {
    let now = reading.cpu_stats.as_ref();
    Usage {
        cpu: before
            .zip(now)
            .and_then(|(before, now)| percent(before, now)),
        memory: reading.memory_stats.as_ref().and_then(bytes),
    }
}

/// Percent of one core. The machine's own time, over all its cores, is the clock.
fn percent(before: &ContainerCpuStats, now: &ContainerCpuStats) -> Option<u32> {
    let used = |stats: &ContainerCpuStats| stats.cpu_usage.as_ref()?.total_usage;
    let used = used(now)?.checked_sub(used(before)?)?;
    let passed = now
        .system_cpu_usage?
        .checked_sub(before.system_cpu_usage?)?;
    let cores = now.online_cpus.filter(|cores| *cores > 0)?;
    (passed > 0).then(|| (100.0 * f64::from(cores) * used as f64 / passed as f64).round() as u32)
}

/// Without the part of the page cache that can be had back at any time, as `docker stats` shows it:
/// the second name is that of control groups of version 1.
fn bytes(stats: &ContainerMemoryStats) -> Option<u64> {
    let named = |name| stats.stats.as_ref()?.get(name).copied();
    let cache = named("total_inactive_file").or_else(|| named("inactive_file"));
    Some(stats.usage?.saturating_sub(cache.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> ContainerStatsResponse {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let before = reading(
            r#"{"cpu_stats":{"cpu_usage":{"total_usage":1000000000},
                "system_cpu_usage":50000000000,"online_cpus":2},
                "memory_stats":{"usage":3000,"stats":{"total_inactive_file":1000,"inactive_file":7}}}"#,
        );
        // A quarter of one of two cores.
        let after = reading(
            r#"{"cpu_stats":{"cpu_usage":{"total_usage":1250000000},
                "system_cpu_usage":52000000000,"online_cpus":2},
                "memory_stats":{"usage":3000,"stats":{"inactive_file":500}}}"#,
        );
        let first = usage(None, &before);
        assert_eq!((first.cpu, first.memory), (None, Some(2000)));
        let second = usage(before.cpu_stats.as_ref(), &after);
        assert_eq!((second.cpu, second.memory), (Some(25), Some(2500)));
        // Of a container that has just ended the engine sends a reading without figures.
        let ended = reading(r#"{"cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{}}"#);
        assert_eq!(usage(after.cpu_stats.as_ref(), &ended), Usage::default());
    }
}
