//! `keywright restore`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use keywright_domain::store::Store as _;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    KEY_FILES, KEYS_SUFFIX, MANIFEST_SUFFIX, PEPPER_CHECK_FILE, Staging, USAGE_SUFFIX, cannot,
    manifest::{FORMAT, Manifest, Part, beside},
    sync_parent, usage, write_private,
};
use crate::{
    cli::{audit, console::Console, offline::Offline},
    failure::{Exit, Failure},
};

/// Make a data directory from a backup
///
/// Checks everything first: the manifest's SHA-256, the database for damage, the audit trail from its first entry to the
/// last one that the manifest names. Only then the directory appears, all at once; one that has files in it is refused.
///
/// Keys that were revoked after the backup was taken are not revoked in it: revoke them again before you serve the restored
/// directory. An audit export of the old installation names them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright restore --from /backup/keywright-2026-11-21.db --data /var/lib/keywright-new
  keywright doctor --data /var/lib/keywright-new
  keywright restore --from full.db --data DIR --json")]
pub(crate) struct Restore {
    /// File that `keywright backup` wrote; its manifest must stand beside it
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Data directory to make; must be missing or empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print what was restored as JSON
    #[arg(long)]
    json: bool,
}

impl Restore {
    #[cfg(test)]
    pub(super) const fn new(from: PathBuf, data: PathBuf) -> Self {
        Self { from, data, json: false }
    }

    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        let manifest = read_manifest(&self.from)?;
        refuse_unless_empty(&self.data)?;
        check_part(&self.from, &manifest.database, &console)?;
        let staging = Staging::beside(&self.data)?;
        fs::copy(&self.from, staging.database())
            .and_then(|_| fs::File::open(staging.database())?.sync_all())
            .map_err(|error| cannot("copy the backup", &error))?;
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        fs::set_permissions(staging.database(), mode).map_err(|error| cannot("protect the copy", &error))?;
        check_database(&staging, &manifest, &console)?;
        self.restore_usage(&staging, &manifest, &console)?;
        let has_peppers = self.restore_keys(&staging, &manifest, &console)?;
        self.appear(&staging)?;
        self.report(&manifest, has_peppers, &mut console)
    }

    /// Puts back what waited to be written to the database; the first start adds it.
    fn restore_usage(
        &self,
        staging: &Staging,
        manifest: &Manifest,
        console: &Console,
    ) -> Result<(), Failure> {
        let Some(kept) = &manifest.usage else { return Ok(()) };
        let file = beside(&self.from, USAGE_SUFFIX);
        check_part(&file, &kept.part, console)?;
        usage::restore(&file, kept, &staging.directory)
    }

    /// Puts the peppers and the signing key back, if they are there. Returns whether the peppers are.
    fn restore_keys(
        &self,
        staging: &Staging,
        manifest: &Manifest,
        console: &Console,
    ) -> Result<bool, Failure> {
        if let Some(text) = &manifest.pepper_check {
            write_private(&staging.directory.join(PEPPER_CHECK_FILE), text.as_bytes())?;
        }
        let Some(part) = &manifest.keys else { return Ok(false) };
        let file = beside(&self.from, KEYS_SUFFIX);
        if !file.exists() {
            return Ok(false);
        }
        check_part(&file, part, console)?;
        let text =
            fs::read_to_string(&file).map(Zeroizing::new).map_err(|error| cannot("read the keys", &error))?;
        let files: BTreeMap<String, String> = serde_json::from_str(&text)
            .map_err(|_| Failure::new(Exit::Negative, format!("{} has another form", file.display())))?;
        let mut has_peppers = false;
        for (name, text) in files {
            let text = Zeroizing::new(text);
            if KEY_FILES.contains(&name.as_str()) {
                write_private(&staging.directory.join(&name), text.as_bytes())?;
                has_peppers |= name == KEY_FILES[0];
            }
        }
        Ok(has_peppers)
    }

    /// The directory appears under its name, all at once.
    fn appear(&self, staging: &Staging) -> Result<(), Failure> {
        if self.data.exists() {
            // Refused by the system unless it is empty, so nothing that came meanwhile is lost.
            fs::remove_dir(&self.data).map_err(|error| cannot("replace the empty directory", &error))?;
        }
        fs::rename(&staging.directory, &self.data)
            .map_err(|error| cannot("put the directory in its place", &error))?;
        sync_parent(&self.data)
    }

    fn report(&self, manifest: &Manifest, has_peppers: bool, console: &mut Console) -> Result<(), Failure> {
        if self.json {
            console.answer_json(&json!({"data": self.data, "manifest": manifest, "peppers": has_peppers}))?;
        } else {
            console.answer(&format!(
                "Restored {}: {} keys, {} audit entries, as of {}.",
                self.data.display(),
                manifest.counts.get("keys").copied().unwrap_or(0),
                manifest.audit_sequence,
                manifest.created_at
            ))?;
        }
        if !has_peppers {
            console.note(&format!(
                "next: put your copies of {} into {} (mode 0600); without the peppers no key works",
                KEY_FILES.join(", "),
                self.data.display()
            ));
        }
        console.note(&format!(
            "warning: what was revoked after {} is not revoked here; revoke it again before you serve this directory",
            manifest.created_at
        ));
        console.finish()
    }
}

fn read_manifest(from: &Path) -> Result<Manifest, Failure> {
    let file = beside(from, MANIFEST_SUFFIX);
    let text = fs::read_to_string(&file).map_err(|error| {
        Failure::new(Exit::Negative, format!("cannot read the manifest {}: {error}", file.display()))
            .remedy("`keywright backup` writes it beside the backup; copy both.")
    })?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| {
        Failure::new(Exit::Negative, format!("{} is no manifest: {error}", file.display()))
    })?;
    if manifest.format != FORMAT {
        return Err(Failure::new(
            Exit::Negative,
            format!("{} has the form {:?}, this program reads {FORMAT}", file.display(), manifest.format),
        )
        .remedy("Restore it with the version of Keywright that wrote it."));
    }
    Ok(manifest)
}

fn refuse_unless_empty(directory: &Path) -> Result<(), Failure> {
    let is_empty = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(cannot(&format!("look into {}", directory.display()), &error)),
    };
    if is_empty {
        return Ok(());
    }
    Err(Failure::new(Exit::Negative, format!("{} is not empty", directory.display())).remedy(
        "Nothing is ever overwritten: restore into a new directory, then let the configuration name it.",
    ))
}

fn check_part(file: &Path, expected: &Part, console: &Console) -> Result<(), Failure> {
    let bar = console.progress("checking", "bytes", Some(expected.bytes));
    let found = Part::of(file, &bar).map_err(|error| cannot(&format!("read {}", file.display()), &error))?;
    bar.finish_and_clear();
    if found == *expected {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Found,
        format!(
            "{} is not what was backed up: {} bytes with SHA-256 {}, the manifest says {} bytes with {}",
            file.display(),
            found.bytes,
            found.sha256,
            expected.bytes,
            expected.sha256
        ),
    )
    .remedy("Copy it again, or take another backup; nothing was restored."))
}

fn check_database(staging: &Staging, manifest: &Manifest, console: &Console) -> Result<(), Failure> {
    let copy = Offline::open(&staging.directory)?;
    copy.ask(copy.store().quick_check())?;
    let whole = audit::verify_stored(&copy, console)?;
    let (sequence, hash) = copy.ask(copy.store().audit_head())?;
    if (sequence, hex::encode(hash)) == (manifest.audit_sequence, manifest.audit_hash.clone())
        && whole == sequence
    {
        return Ok(());
    }
    Err(Failure::new(Exit::Found, "the audit trail of the backup does not end where its manifest says"))
}
