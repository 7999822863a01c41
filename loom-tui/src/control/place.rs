//! Where the socket and what outlives a command are kept, when nobody says otherwise.

use std::env;
use std::path::PathBuf;

/// Folder for what Loom keeps between commands: `$XDG_STATE_HOME/loom`, `~/.local/state/loom`,
/// or a folder for temporary files where there is no home.
pub fn state_folder() -> PathBuf {
    from_env("XDG_STATE_HOME")
        .or_else(|| Some(from_env("HOME")?.join(".local/state")))
        .map_or_else(
            || env::temp_dir().join(private_name()),
            |base| base.join("loom"),
        )
}

/// Where a controller listens by default: `$XDG_RUNTIME_DIR/loom/control.sock`, or in the
/// [`state_folder`] where the system has no such folder.
pub fn default_path() -> PathBuf {
    from_env("XDG_RUNTIME_DIR")
        .filter(|base| base.is_dir())
        .map_or_else(state_folder, |base| base.join("loom"))
        .join("control.sock")
}

/// The value of a variable that is to hold an absolute path; others are ignored, as the XDG
/// specification asks.
fn from_env(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// Not shared with other users of the same temporary folder.
fn private_name() -> String {
    format!("loom-{}", rustix::process::getuid().as_raw())
}
