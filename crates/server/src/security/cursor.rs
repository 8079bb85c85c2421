//! How far a sink has come in the audit trail, kept in the data directory: what was not delivered before the end of the
//! process is delivered after the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use keywright_domain::audit::{GENESIS, StoredEntry, entry_hash};
use serde::{Deserialize, Serialize};

use crate::installation::replace_private;

/// A place in the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The last entry that was delivered; 0 before the first.
    pub(crate) sequence: u64,
    /// The chain's hash there.
    pub(crate) hash: [u8; 32],
}

impl Position {
    /// Before the first entry.
    pub(crate) const BEGINNING: Self = Self { sequence: 0, hash: GENESIS };

    /// Whether `entry` is the one that follows in the same history: a database that was put back to an earlier state has
    /// another one.
    pub(crate) fn leads_to(&self, entry: &StoredEntry) -> bool {
        entry.sequence == self.sequence + 1
            && entry_hash(&self.hash, entry.sequence, &entry.body) == entry.hash
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    sequence: u64,
    hash: String,
}

/// The file with a position.
pub(crate) struct Cursor {
    path: PathBuf,
}

impl Cursor {
    /// The cursor of the sink called `name`.
    pub(crate) fn of(data_dir: &Path, name: &str) -> Self {
        Self { path: data_dir.join("security-events").join(format!("{name}.json")) }
    }

    /// Where it stands; `None` for a sink that is new.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub(crate) fn read(&self) -> io::Result<Option<Position>> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let damaged =
            || io::Error::other(format!("{} is damaged: remove it to begin anew", self.path.display()));
        let stored: Stored = serde_json::from_str(&text).map_err(|_| damaged())?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&stored.hash, &mut hash).map_err(|_| damaged())?;
        Ok(Some(Position { sequence: stored.sequence, hash }))
    }

    /// Moves it; durable when this returns.
    ///
    /// # Errors
    /// When the file cannot be written; it stands where it stood.
    pub(crate) fn write(&self, position: Position) -> io::Result<()> {
        let directory = self.path.parent().expect("the file is in a directory");
        fs::create_dir_all(directory)?;
        let stored = Stored { sequence: position.sequence, hash: hex::encode(position.hash) };
        replace_private(&self.path, &serde_json::to_string(&stored)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::event::samples::entry, *};

    #[test]
    fn kept_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let cursor = Cursor::of(directory.path(), "siem");
        assert_eq!(cursor.read().unwrap(), None);
        for sequence in [1, 2] {
            let position = Position { sequence, hash: [9; 32] };
            cursor.write(position).unwrap();
            assert_eq!(Cursor::of(directory.path(), "siem").read().unwrap(), Some(position));
        }
        assert_eq!(Cursor::of(directory.path(), "other").read().unwrap(), None);
        fs::write(directory.path().join("security-events/siem.json"), "{}").unwrap();
        assert!(cursor.read().is_err());
    }

    #[test]
    fn another_history_is_recognised() {
        let first = entry(1, &GENESIS, "key.created");
        let second = entry(2, &first.hash, "key.revoked");
        let other = entry(2, &[1; 32], "key.revoked");
        let position = Position { sequence: 1, hash: first.hash };
        assert!(Position::BEGINNING.leads_to(&first) && position.leads_to(&second));
        assert!(!position.leads_to(&other) && !position.leads_to(&first));
    }
}
