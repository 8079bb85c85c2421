//! The single checks. Each looks at one thing and says what to do about it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use keywright_domain::{
    audit::{ChainVerifier, StoredEntry},
    store::Store as _,
    time::Timestamp,
};
use keywright_store_postgres::PostgresControl;
use keywright_store_sqlite::{DATABASE_FILE, LOCK_FILE};
use rustix::fs::statvfs;
use serde::Deserialize;

use super::{Finding, certificate};
use crate::{
    cli::offline::{Offline, is_locked},
    config::Database,
    installation::{explain_connect, in_force, postgres_options},
    serving::block_on,
};

const MEBIBYTE: u64 = 1 << 20;
/// Free space below which nothing goes on for long.
const FREE_FAIL_BYTES: u64 = 64 * MEBIBYTE;
/// Free space below which one should act.
const FREE_WARN_BYTES: u64 = 1_024 * MEBIBYTE;
/// Entries at the end of the audit trail that are looked at.
const TAIL_ENTRIES: u32 = 1_000;
/// How far the last audit entry may lie in the future: the clocks of two machines differ.
const CLOCK_TOLERANCE_MS: i64 = 60_000;
/// Before this program was written: 2026-01-01.
const CLOCK_MIN_MS: i64 = 1_767_225_600_000;
/// Usage that is not flushed for longer than this much is a sign that it cannot be.
const SPOOL_WARN_BYTES: u64 = 256 * MEBIBYTE;
/// Days before its end at which a certificate is due.
const CERTIFICATE_WARN_DAYS: i64 = 21;
const DAY_MS: i64 = 86_400_000;

pub(super) fn directory(path: &Path) -> Finding {
    let name = "directory";
    let metadata = match fs::metadata(path) {
        Err(error) => {
            let fix =
                format!("Name the right directory, or create one: keywright init --data {}", path.display());
            return Finding::fail(name, format!("{}: {error}", path.display()), fix);
        }
        Ok(metadata) if !metadata.is_dir() => {
            return Finding::fail(
                name,
                format!("{} is no directory", path.display()),
                "Name the data directory.",
            );
        }
        Ok(metadata) => metadata,
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!("{} is open to other users (mode {mode:04o})", path.display());
        return Finding::fail(name, text, format!("chmod 700 {}", path.display()));
    }
    Finding::ok(name, format!("{} (mode {mode:04o})", path.display()))
}

pub(super) fn lock(directory: &Path) -> Finding {
    let name = "lock";
    let path = directory.join(LOCK_FILE);
    let Ok(file) = fs::File::open(&path) else {
        return Finding::ok(name, "no server has run here yet");
    };
    match is_locked(&file) {
        Ok(true) => {
            let owner = fs::read_to_string(&path).unwrap_or_default();
            Finding::ok(name, format!("in use by process {}", owner.trim()))
        }
        Err(error) => Finding::warn(
            name,
            format!("cannot be tested: {error}"),
            "Use a local file system that has locks.",
        ),
        Ok(false) => Finding::ok(name, "free: no server runs on this directory"),
    }
}

pub(super) fn free_space(directory: &Path) -> Finding {
    let name = "disk";
    let free = match statvfs(directory) {
        Err(error) => return Finding::warn(name, format!("cannot be asked: {error}"), "Look at df."),
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
    };
    let text = format!("{} MiB free", free / MEBIBYTE);
    match free {
        ..FREE_FAIL_BYTES => {
            Finding::fail(name, text, "Free some space: writes are refused when it runs out.")
        }
        FREE_FAIL_BYTES..FREE_WARN_BYTES => Finding::warn(name, text, "Plan for more space."),
        _ => Finding::ok(name, text),
    }
}

pub(super) fn database(directory: &Path) -> (Finding, Option<Offline>) {
    let name = "database";
    let opened = match Offline::open(directory) {
        Err(failure) => {
            return (
                Finding::fail(
                    name,
                    failure.to_string(),
                    "See the message; a backup helps: keywright restore",
                ),
                None,
            );
        }
        Ok(opened) => opened,
    };
    let checked = opened.ask(opened.store().quick_check()).and_then(|()| opened.ask(opened.store().pages()));
    match checked {
        Err(failure) => {
            let fix = "Keep the files, and restore the latest backup into a new directory: keywright restore";
            (Finding::fail(name, failure.to_string(), fix), None)
        }
        Ok(pages) => (
            Finding::ok(name, format!("sound, {} MiB, schema known", u64::from(pages) * 4_096 / MEBIBYTE)),
            Some(opened),
        ),
    }
}

#[derive(Deserialize)]
struct Body {
    at: Timestamp,
    personal: String,
}

fn tail(offline: &Offline) -> Result<(u64, Option<Timestamp>), String> {
    let ask = |failure: crate::failure::Failure| failure.to_string();
    let (last, head) = offline.ask(offline.store().audit_head()).map_err(ask)?;
    let after = last.saturating_sub(u64::from(TAIL_ENTRIES));
    let entries: Vec<StoredEntry> =
        offline.ask(offline.store().audit_after(after.saturating_sub(1), TAIL_ENTRIES + 1)).map_err(ask)?;
    let (mut chain, rest) = match entries.split_first() {
        Some((first, rest)) if after > 0 => (ChainVerifier::after(first.sequence, first.hash), rest),
        _ => (ChainVerifier::default(), &entries[..]),
    };
    let mut at = None;
    for entry in rest {
        let body: Body = serde_json::from_slice(&entry.body)
            .map_err(|_| format!("entry {} cannot be read", entry.sequence))?;
        chain.push(entry, &body.personal).map_err(|broken| broken.to_string())?;
        at = Some(body.at);
    }
    // A server may have added entries between the two questions.
    if chain.last() < last || (chain.last() == last && chain.hash() != head) {
        return Err(format!("the trail ends at entry {}, its head says {last}", chain.last()));
    }
    Ok((chain.last(), at))
}

pub(super) fn audit(offline: &Offline, now: Timestamp) -> Vec<Finding> {
    let (last, at) = match tail(offline) {
        Ok(found) => found,
        Err(why) => {
            let fix = "Find out what is left of it: keywright audit verify --data …";
            return vec![Finding::fail("audit trail", why, fix)];
        }
    };
    let mut findings =
        vec![Finding::ok("audit trail", format!("{last} entries, the end of the chain holds"))];
    let signed =
        offline.ask(offline.store().checkpoints()).ok().and_then(|all| all.last().map(|last| last.sequence));
    findings.push(match signed {
        None if last > 0 => {
            Finding::warn("checkpoints", "none yet", "The server signs one after a while; let it run.")
        }
        None => Finding::ok("checkpoints", "none needed yet"),
        Some(signed) => Finding::ok("checkpoints", format!("signed up to entry {signed}")),
    });
    findings.push(clock(now, at));
    findings
}

/// What a shared database promises about changes that it acknowledged.
pub(super) fn shared_database(database: &Result<Database, String>) -> Finding {
    let name = "promise";
    let fix =
        "See what the message says; the settings of PostgreSQL are explained in docs/guides/cluster.md.";
    let database = match database {
        Ok(database) => database,
        Err(error) => return Finding::fail(name, error.clone(), "Correct --database."),
    };
    let asked = block_on(async {
        let durability = PostgresControl::durability(postgres_options(database)).await;
        durability.map_err(|error| explain_connect(&error))
    });
    match asked.map(|durability| in_force(&durability.promise())) {
        Err(failure) => Finding::fail(name, failure.to_string(), fix),
        Ok((word, None)) => Finding::ok(name, word.replace('_', " ")),
        Ok(("none", Some(reason))) => Finding::fail(name, format!("none: {reason}"), fix),
        Ok((word, Some(reason))) => Finding::warn(name, format!("{}: {reason}", word.replace('_', " ")), fix),
    }
}

/// Whether the machine's clock can be right.
pub(super) fn clock(now: Timestamp, last_change: Option<Timestamp>) -> Finding {
    let name = "clock";
    let fix =
        "Set the clock, and keep it right with chrony or systemd-timesyncd: expiry and limits depend on it.";
    if now.unix_ms() < CLOCK_MIN_MS {
        return Finding::fail(name, format!("says {}, which is past", now.to_rfc3339()), fix);
    }
    if let Some(last) = last_change.filter(|last| last.ms_since(now) > CLOCK_TOLERANCE_MS) {
        let text = format!("says {}, but the last change was at {}", now.to_rfc3339(), last.to_rfc3339());
        return Finding::fail(name, text, fix);
    }
    Finding::ok(name, now.to_rfc3339())
}

/// A file that must be readable by its owner alone.
pub(super) fn private_file(path: &Path, name: &'static str, missing: Missing) -> Finding {
    let shown = path.display();
    match fs::metadata(path) {
        Err(_) if missing == Missing::IsFine => {
            Finding::ok(name, format!("{shown}: not there yet; made when needed"))
        }
        Err(error) => {
            Finding::fail(name, format!("{shown}: {error}"), "Put your copy back: without it no key works.")
        }
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode | 0o700 == 0o700 {
                Finding::ok(name, format!("{shown} (mode {mode:04o})"))
            } else {
                Finding::fail(
                    name,
                    format!("{shown} may be read by other users (mode {mode:04o})"),
                    format!("chmod 600 {shown}"),
                )
            }
        }
    }
}

/// What it means when a file is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    IsFine,
    IsBad,
}

pub(super) fn spool(directory: &Path) -> Finding {
    let name = "usage spool";
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes: u64 = files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
    let text = format!("{} MiB in {}", bytes / MEBIBYTE, directory.display());
    if bytes > SPOOL_WARN_BYTES {
        return Finding::warn(
            name,
            text,
            "Usage waits to be written: look into the server's log for why it is not.",
        );
    }
    Finding::ok(name, text)
}

pub(super) fn tls(file: &Path, now: Timestamp) -> Finding {
    let name = "certificate";
    let end = match certificate::not_after(file) {
        Err(why) => {
            return Finding::fail(
                name,
                format!("{}: {why}", file.display()),
                "Name a PEM file in tls.certificate.",
            );
        }
        Ok(end) => end,
    };
    let days = end.ms_since(now).div_euclid(DAY_MS);
    let text = format!("{} ends {} ({days} days)", file.display(), end.to_rfc3339());
    match days {
        ..0 => Finding::fail(name, text, "Renew it; the server takes the new file without a restart."),
        0..CERTIFICATE_WARN_DAYS => {
            Finding::warn(name, text, "Renew it; the server takes the new file without a restart.")
        }
        _ => Finding::ok(name, text),
    }
}

/// Whether a data directory has a database at all.
pub(super) fn has_database(directory: &Path) -> bool {
    directory.join(DATABASE_FILE).is_file()
}
