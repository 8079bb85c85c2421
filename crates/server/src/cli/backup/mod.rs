//! `keywright backup` and `keywright restore`.

mod manifest;
mod restore;
#[cfg(test)]
mod tests;
mod usage;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use clap::Args;
use keywright_domain::{change::Change, store::Store as _, time::Clock as _};
use keywright_store_sqlite::DATABASE_FILE;
use serde_json::json;
use zeroize::Zeroizing;

pub(crate) use self::restore::Restore;
use self::{
    manifest::{FORMAT, Manifest, Part, beside},
    usage::Usage,
};
use super::{console::Console, offline::Offline};
use crate::{
    failure::{Exit, Failure},
    installation::create_private,
    system::SystemClock,
};

const MANIFEST_SUFFIX: &str = ".manifest.json";
const KEYS_SUFFIX: &str = ".keys.json";
const USAGE_SUFFIX: &str = ".usage";
/// Files of the data directory that hold secrets beside the database.
const KEY_FILES: [&str; 3] = ["peppers.toml", "encryption-keys.toml", "audit-signing-key"];
const PEPPER_CHECK_FILE: &str = "pepper-check.toml";

/// Copy the database of a data directory while the server goes on running
///
/// Writes FILE, a database by itself, and FILE.manifest.json with its SHA-256 and what is in it. The copy is one moment:
/// everything that was acknowledged before the command began is in it.
///
/// The peppers, the key-encryption keys and the audit signing key are not in it: with them, a backup is all that it takes to
/// check guesses of keys, to read personal data and to sign a forged trail. Keep copies of peppers.toml, encryption-keys.toml
/// and audit-signing-key somewhere else, or add --include-keys, which writes them to FILE.keys.json, readable by you alone.
/// Without the peppers no key of a restored database works; without the key-encryption keys it is not served.
///
/// Usage that was counted before the command began is in it: a running server is waited for until it has written it to the
/// database; where none runs, what waits to be written comes along in FILE.usage.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright backup --data /var/lib/keywright --to /backup/keywright-$(date +%F).db
  keywright backup --data /var/lib/keywright --to full.db --include-keys
  keywright restore --from /backup/keywright-2026-11-21.db --data /var/lib/keywright-new")]
pub(crate) struct Backup {
    /// Data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Write the peppers, the key-encryption keys and the signing key, too
    #[arg(long)]
    include_keys: bool,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        for file in [
            self.to.clone(),
            beside(&self.to, MANIFEST_SUFFIX),
            beside(&self.to, KEYS_SUFFIX),
            beside(&self.to, USAGE_SUFFIX),
        ] {
            if file.exists() {
                return Err(Failure::new(Exit::Negative, format!("{} exists already", file.display()))
                    .remedy("A backup never overwrites a file: choose another name."));
            }
        }
        let source = Offline::open(&self.data)?;
        let staging = Staging::beside(&self.to)?;
        // First: what the server writes to the database meanwhile is in the copy, and known there by its number.
        let usage = usage::secure(&self.data, &staging.usage(), &mut console)?;
        copy(&source, &staging.database(), &console)?;
        let manifest = self.describe(&staging, usage, &console)?;
        self.put_in_place(&staging, &manifest)?;
        if self.json {
            console.answer_json(&json!(manifest))?;
        } else {
            console.answer(&format!(
                "Backed up to {}: {} keys, {} audit entries, {} bytes, SHA-256 {}",
                self.to.display(),
                manifest.counts["keys"],
                manifest.audit_sequence,
                manifest.database.bytes,
                manifest.database.sha256
            ))?;
        }
        if !self.include_keys {
            console.note(
                "note: the peppers, the key-encryption keys and the signing key are not in it. Keep copies of peppers.toml, \
                 encryption-keys.toml and audit-signing-key, apart from this file: without the peppers no restored key \
                 works, without the key-encryption keys personal data is lost.",
            );
        }
        console.finish()
    }

    /// Looks at the copy, not at the source: what is described is what was written.
    fn describe(
        &self,
        staging: &Staging,
        usage: Option<Usage>,
        console: &Console,
    ) -> Result<Manifest, Failure> {
        let copy = Offline::open(&staging.directory)?;
        copy.ask(copy.store().quick_check())?;
        let (audit_sequence, audit_hash) = copy.ask(copy.store().audit_head())?;
        let counts = count(&copy)?;
        drop(copy);
        let keys = if self.include_keys { Some(self.write_keys(staging)?) } else { None };
        let database = staging.database();
        let size = fs::metadata(&database).map(|metadata| metadata.len()).ok();
        let bar = console.progress("hashing", "bytes", size);
        let database = Part::of(&database, &bar).map_err(|error| cannot("read the copy", &error))?;
        bar.finish_and_clear();
        Ok(Manifest {
            format: FORMAT.to_owned(),
            keywright: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: SystemClock.now().to_rfc3339(),
            database,
            keys,
            usage,
            counts,
            audit_sequence,
            audit_hash: hex::encode(audit_hash),
            pepper_check: fs::read_to_string(self.data.join(PEPPER_CHECK_FILE)).ok(),
        })
    }

    fn write_keys(&self, staging: &Staging) -> Result<Part, Failure> {
        let mut files = BTreeMap::new();
        for name in KEY_FILES {
            match fs::read_to_string(self.data.join(name)) {
                Ok(text) => drop(files.insert(name, Zeroizing::new(text))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot(&format!("read {name}"), &error)),
            }
        }
        if files.is_empty() {
            return Err(Failure::new(
                Exit::Negative,
                "there are no peppers and no signing key in the data directory",
            )
            .remedy(
                "The configuration names where they are: keep copies of those, and leave out --include-keys.",
            ));
        }
        let text: BTreeMap<_, _> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let text = Zeroizing::new(serde_json::to_string(&text).expect("texts are JSON"));
        write_private(&staging.keys(), text.as_bytes())?;
        Part::of(&staging.keys(), &indicatif::ProgressBar::hidden())
            .map_err(|error| cannot("read the keys", &error))
    }

    /// The database last: a backup that has its name is complete.
    fn put_in_place(&self, staging: &Staging, manifest: &Manifest) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(manifest).expect("a manifest is JSON") + "\n";
        let target = |suffix| beside(&self.to, suffix);
        write_private(&staging.manifest(), text.as_bytes())?;
        let rename = |from: &Path, to: &Path| -> Result<(), Failure> {
            fs::File::open(from)
                .and_then(|file| file.sync_all())
                .and_then(|()| fs::rename(from, to))
                .map_err(|error| cannot(&format!("write {}", to.display()), &error))
        };
        if manifest.keys.is_some() {
            rename(&staging.keys(), &target(KEYS_SUFFIX))?;
        }
        if manifest.usage.is_some() {
            rename(&staging.usage(), &target(USAGE_SUFFIX))?;
        }
        rename(&staging.manifest(), &target(MANIFEST_SUFFIX))?;
        rename(&staging.database(), &self.to)?;
        sync_parent(&self.to)
    }
}

/// A directory for the files until they are complete; removed when dropped.
struct Staging {
    directory: PathBuf,
}

impl Staging {
    /// Makes one on the same file system as `target`.
    fn beside(target: &Path) -> Result<Self, Failure> {
        let directory = beside(target, &format!(".unfinished-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|error| cannot(&format!("create {}", directory.display()), &error))?;
        Ok(Self { directory })
    }

    fn database(&self) -> PathBuf {
        self.directory.join(DATABASE_FILE)
    }

    fn manifest(&self) -> PathBuf {
        self.directory.join("manifest.json")
    }

    fn keys(&self) -> PathBuf {
        self.directory.join("keys.json")
    }

    fn usage(&self) -> PathBuf {
        self.directory.join("usage")
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing is lost when it stays: its name says what it is.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn copy(source: &Offline, target: &Path, console: &Console) -> Result<(), Failure> {
    // Created here, so that nobody else can read it for a moment.
    let bar = console.progress("copying", "pages", Some(0));
    let shown = bar.clone();
    let progress = move |done, all| {
        shown.set_length(all);
        shown.set_position(done);
    };
    source.ask(source.store().backup_to(target, progress))?;
    bar.finish_and_clear();
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
    fs::set_permissions(target, mode).map_err(|error| cannot("protect the copy", &error))
}

/// How many there are of what verification needs.
fn count(copy: &Offline) -> Result<BTreeMap<String, u64>, Failure> {
    let counts = Arc::new(Mutex::new(BTreeMap::from([
        ("keys", 0),
        ("workspaces", 0),
        ("plans", 0),
        ("operators", 0),
    ])));
    let sink = Arc::clone(&counts);
    copy.ask(copy.store().load(Box::new(move |change| {
        let (name, number) = match &change {
            Change::Key(_) => ("keys", 1),
            Change::Workspace(_) => ("workspaces", 1),
            Change::Plan(_) => ("plans", 1),
            Change::Operators(operators) => ("operators", u64::try_from(operators.len()).unwrap_or(u64::MAX)),
            _ => return,
        };
        if let Ok(mut counts) = sink.lock() {
            *counts.entry(name).or_insert(0) += number;
        }
    })))?;
    let counts = counts.lock().map(|counts| counts.clone()).unwrap_or_default();
    Ok(counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect())
}

/// Writes a new file that its owner alone can read; durable when this returns.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    create_private(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| cannot(&format!("write {}", path.display()), &error))
}

/// Makes the names in a file's directory durable.
fn sync_parent(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| cannot("sync the directory", &error))
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    let failure = Failure::new(Exit::Negative, format!("cannot {what}: {error}"));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.remedy("Free some space on the file system.")
        }
        io::ErrorKind::PermissionDenied => failure.remedy("Run it as the user who owns the data directory."),
        _ => failure,
    }
}
