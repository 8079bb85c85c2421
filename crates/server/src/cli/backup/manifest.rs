//! What a backup says of itself.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::usage::Usage;

/// The form of the manifest.
pub(super) const FORMAT: &str = "keywright-backup-v1";
const PIECE_BYTES: usize = 1 << 20;

/// `<backup>.manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// [`FORMAT`].
    pub(super) format: String,
    /// The program's version.
    pub(super) keywright: String,
    /// When the backup was taken, RFC 3339.
    pub(super) created_at: String,
    /// The copy of the database.
    pub(super) database: Part,
    /// The peppers and the signing key, if they were included.
    pub(super) keys: Option<Part>,
    /// Usage that waited to be written to the database, if no server ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Usage>,
    /// How many there are of what.
    pub(super) counts: BTreeMap<String, u64>,
    /// Last entry of the audit trail.
    pub(super) audit_sequence: u64,
    /// Its hash, hexadecimal.
    pub(super) audit_hash: String,
    /// Values by which wrong peppers are recognised after a restore; no secret.
    pub(super) pepper_check: Option<String>,
}

/// A file of the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Its size.
    pub(super) bytes: u64,
    /// SHA-256, hexadecimal.
    pub(super) sha256: String,
}

impl Part {
    /// Size and hash of a file.
    pub(super) fn of(file: &Path, bar: &ProgressBar) -> io::Result<Self> {
        let mut input = File::open(file)?;
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = input.read(&mut piece)?;
            if count == 0 {
                return Ok(Self { bytes, sha256: hex::encode(hasher.finalize()) });
            }
            hasher.update(&piece[..count]);
            let count = u64::try_from(count).expect("a length fits 64 bits");
            bytes += count;
            bar.inc(count);
        }
    }
}

/// `path` with `suffix` behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
