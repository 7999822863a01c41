//! Where the real gun.js is, and what is said when it is nowhere.
//!
//! [`find`] is the door: a test that gets `None` has been told why and is over.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The `node_modules` that gun.js is in, or `None` if it cannot be run here and nobody insists.
///
/// # Panics
///
/// If it cannot be run here and `LOOM_REQUIRE_GUN=1`.
pub(crate) fn find() -> Option<PathBuf> {
    let modules = std::env::var_os("LOOM_GUN_DIR").map_or_else(installed_here, PathBuf::from);
    let Some(missing) = missing(&modules) else {
        return Some(modules.canonicalize().expect("it was just looked into"));
    };
    let sentence = format!(
        "{missing}; loom-relay/tests/interop/install.sh installs what these tests talk to, or \
         LOOM_GUN_DIR names the node_modules that has it"
    );
    let is_required = std::env::var_os("LOOM_REQUIRE_GUN").is_some_and(|value| value == "1");
    assert!(!is_required, "LOOM_REQUIRE_GUN=1, but {sentence}");
    println!("skipped: {sentence}");
    None
}

fn installed_here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/interop/node_modules")
}

fn missing(modules: &Path) -> Option<String> {
    let node = Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !node.is_ok_and(|status| status.success()) {
        return Some("there is no Node.js in PATH".to_owned());
    }
    let absent = ["gun/gun.js", "ws"]
        .into_iter()
        .find(|part| !modules.join(part).exists());
    absent.map(|part| format!("there is no {part} in {}", modules.display()))
}
