//! The file beside a database that says what it is and how much must be in it.
//!
//! The database alone cannot tell "new" from "lost": a missing or truncated journal looks like an
//! empty one. So the marker holds the number of commits that are known to be on disk: set after
//! the very first one, and again at every clean end.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::StoreError;

/// What the marker file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marker {
    /// Fewer commits than this mean that something was lost.
    pub(super) commits_min: u64,
}

impl Marker {
    /// Its name.
    pub(super) const FILE: &str = "loom-store";
    /// Its name until it is complete.
    pub(super) const NEW_FILE: &str = "loom-store.new";

    /// The marker in `directory`, if there is one, or what is wrong with it.
    pub(super) fn read(directory: &Path) -> io::Result<Option<Result<Self, String>>> {
        match fs::read(directory.join(Self::FILE)) {
            Ok(bytes) => Ok(Some(Self::parse(&String::from_utf8_lossy(&bytes)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the marker into `directory`, whole or not at all, and on disk.
    pub(super) fn write(&self, directory: &Path) -> Result<(), StoreError> {
        let new = directory.join(Self::NEW_FILE);
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(self.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, directory.join(Self::FILE))?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|cause: io::Error| {
            StoreError::new(format!("writing {}", new.display()), cause)
        })
    }

    fn text(&self) -> String {
        format!("{HEAD}{VERSION}\ncommits-min {}\n", self.commits_min)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let garbled = || format!("its marker file {} is garbled", Self::FILE);
        let rest = text.strip_prefix(HEAD).ok_or_else(garbled)?;
        let (version, rest) = rest.split_once('\n').ok_or_else(garbled)?;
        if version != VERSION {
            return Err(format!(
                "it has format {version}, and this version reads format {VERSION}"
            ));
        }
        let commits_min = rest
            .strip_prefix("commits-min ")
            .and_then(|rest| rest.strip_suffix('\n'))
            .and_then(|number| number.parse().ok())
            .ok_or_else(garbled)?;
        Ok(Self { commits_min })
    }
}

const HEAD: &str = "loom store, format ";
const VERSION: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_survives_and_anything_else_is_refused() {
        let marker = Marker { commits_min: 42 };
        assert_eq!(Marker::parse(&marker.text()), Ok(marker.clone()));
        for cut in 0..marker.text().len() {
            assert!(
                Marker::parse(&marker.text()[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        let newer = marker.text().replace("format 1", "format 2");
        assert!(Marker::parse(&newer).unwrap_err().contains("format 2"));
    }
}
