//! Where a cluster that nobody named a folder for keeps its logs and data.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control::state_folder;
use crate::process::ProcessName;

/// How long the folder of a cluster that was not ended in order is kept for looking into.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder of this process's own, which is deleted when its cluster is shut down. On a disk, not
/// among temporary files: those may be in memory, where a durable write costs nothing.
pub fn cluster_folder() -> PathBuf {
    let clusters = state_folder().join("clusters");
    sweep(&clusters);
    clusters.join(ProcessName::this().to_string())
}

/// Deletes what clusters left behind whose process was killed a while ago.
fn sweep(clusters: &Path) {
    let Ok(entries) = fs::read_dir(clusters) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.parse().ok());
        let alive = process.is_some_and(ProcessName::lives);
        let age = entry
            .metadata()
            .and_then(|about| about.modified())
            .ok()
            .and_then(|modified| modified.elapsed().ok());
        if !alive && age.is_some_and(|age| age > KEPT_FOR) {
            // Another process may be sweeping too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
