//! `keywright audit`: verifies and exports the audit trail.

mod lines;
#[cfg(test)]
mod tests;
mod verifier;

use std::{
    cell::Cell,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    rc::Rc,
};

use clap::{Args, Subcommand};
use keywright_domain::{audit::StoredEntry, store::Store as _, time::Clock as _, time::Timestamp};
use serde::Deserialize;
use serde_json::json;

use self::{
    lines::{Line, Lines},
    verifier::{Break, Verifier, Whole},
};
use super::{
    connection::Connection,
    console::{Console, cannot_write},
    offline::Offline,
    values::{self, When},
};
use crate::{
    failure::{Exit, Failure},
    system::SystemClock,
};

const MEDIA_TYPE: &str = "application/x-ndjson";
/// Entries asked of the store at once.
const BATCH_ENTRIES: u32 = 1_000;

/// Verify and export the audit trail
///
/// Every change is recorded in a chain of hashes with signed checkpoints: an entry that was altered, removed or moved breaks
/// it. See docs/audit-trail.md.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright audit verify --data /var/lib/keywright
  keywright audit export > trail.ndjson
  keywright audit verify --file trail.ndjson --public-key 3b6a27bc…")]
pub(crate) struct Audit {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
    Export(Export),
}

/// Where the trail is read from.
#[derive(Debug, Args)]
struct Source {
    /// Data directory, whether or not a server runs on it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Exported trail, or - for standard input
    #[arg(long, value_name = "FILE|-", conflicts_with = "data")]
    file: Option<PathBuf>,
}

/// Find out whether the audit trail was altered
///
/// Reads a data directory (--data), an export (--file), or a server (--url). Holds every entry against the hash of the one
/// before it, and every checkpoint against its signature, and names the first break. The public key of the installation
/// should come from somewhere else than the trail itself: keep it when you set up, and name it with --public-key.
///
/// Exit code 0 when the trail is whole, 3 when it is broken.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright audit verify --data /var/lib/keywright
  keywright audit verify --file trail.ndjson --public-key 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29
  keywright audit verify --url https://keys.example.com --json
  keywright audit verify --data DIR --head 1042:9f86d081…    nothing before entry 1042 changed since you noted its hash")]
struct Verify {
    #[command(flatten)]
    source: Source,
    /// Ed25519 key that signs the checkpoints, in hexadecimal; may be repeated
    #[arg(long = "public-key", value_name = "HEX", value_parser = public_key)]
    public_keys: Vec<[u8; 32]>,
    /// Entry and hash noted at an earlier verification
    #[arg(long, value_name = "ENTRY:HEX", value_parser = head)]
    head: Option<(u64, [u8; 32])>,
}

/// Write the audit trail to standard output, as lines of JSON
///
/// Reads a data directory (--data) or a server (--url; needs an operator credential). The export verifies by itself:
/// `keywright audit verify --file`. With --since it is a part, which goes on from the hash of the entry before it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright audit export > trail.ndjson
  keywright audit export --data /var/lib/keywright | gzip > trail.ndjson.gz
  keywright audit export --since 30d > last-month.ndjson")]
struct Export {
    /// Data directory, whether or not a server runs on it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Only from then on: a duration back, a date or a date-time
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    since: Option<When>,
}

fn public_key(text: &str) -> Result<[u8; 32], String> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).map_err(|_| "is 64 hexadecimal digits".to_owned())?;
    Ok(key)
}

fn head(text: &str) -> Result<(u64, [u8; 32]), String> {
    let (sequence, hash) = text.split_once(':').ok_or("write ENTRY:HASH, such as 1042:9f86d0…")?;
    Ok((sequence.parse().map_err(|_| "the entry is a number")?, public_key(hash)?))
}

impl Audit {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        match self.command {
            Command::Verify(command) => command.run(&self.connection, console),
            Command::Export(command) => command.run(&self.connection, console),
        }
    }
}

/// A trail, line by line; ends with [`Line::End`].
type Trail<'a> = Box<dyn Iterator<Item = Result<Line, Failure>> + 'a>;

impl Verify {
    fn run(self, connection: &Connection, mut console: Console) -> Result<(), Failure> {
        let bar = console.progress("verifying", "entries", None);
        let offline;
        let mut verifier = Verifier::new(self.public_keys.clone());
        let walked = if let Some(directory) = &self.source.data {
            offline = Offline::open(directory)?;
            walk(&mut stored(&offline)?, &mut verifier, &bar)
        } else if self.source.file.as_deref() == Some(Path::new("-")) {
            walk(&mut read(BufReader::new(console.input())), &mut verifier, &bar)
        } else if let Some(file) = &self.source.file {
            let opened = File::open(file).map_err(|error| {
                Failure::new(Exit::Negative, format!("cannot read {}: {error}", file.display()))
            })?;
            walk(&mut read(BufReader::new(opened)), &mut verifier, &bar)
        } else {
            let client = connection.client(&mut console)?;
            let stream = BufReader::new(client.stream("/v1/audit", MEDIA_TYPE)?);
            walk(&mut read(stream), &mut verifier, &bar)
        };
        bar.finish_and_clear();
        let outcome = walked?.and_then(|()| verifier.finish(self.head));
        let trusted = if self.public_keys.is_empty() { Trust::OnTheirWord } else { Trust::Given };
        report(outcome, trusted, connection.json, &mut console)?;
        console.finish()
    }
}

/// Whether the signing key was named from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Given,
    OnTheirWord,
}

/// Walks the trail to its end or its first break. The outer error: it could not be read.
fn walk(
    trail: &mut Trail<'_>,
    verifier: &mut Verifier,
    bar: &indicatif::ProgressBar,
) -> Result<Result<(), Break>, Failure> {
    for line in trail {
        let step = match line? {
            Line::Start { after, hash } => verifier.start(after, hash),
            Line::Entry(entry) => {
                bar.inc(1);
                verifier.entry(&entry)
            }
            Line::Checkpoint(checkpoint) => {
                verifier.checkpoint(checkpoint);
                Ok(())
            }
            Line::End(entries) if entries == verifier.entries() => return Ok(Ok(())),
            Line::End(_) => Err(Break::NoEnd { found: verifier.entries() }),
        };
        if step.is_err() {
            return Ok(step);
        }
    }
    Ok(Err(Break::NoEnd { found: verifier.entries() }))
}

fn report(
    outcome: Result<Whole, Break>,
    trust: Trust,
    as_json: bool,
    console: &mut Console,
) -> Result<(), Failure> {
    let whole = match outcome {
        Ok(whole) => whole,
        Err(broken) => {
            if as_json {
                console.answer_json(&json!({"whole": false, "break": broken.to_string()}))?;
                console.finish()?;
            }
            let failure = Failure::new(Exit::Found, format!("the audit trail is broken: {broken}"));
            return Err(failure.remedy(
                "Keep the data as it is. Compare with a backup or an earlier export (keywright audit verify --file), and find \
                 out who could write to the database.",
            ));
        }
    };
    let signers: Vec<String> = whole.signers.iter().map(hex::encode).collect();
    if as_json {
        return console.answer_json(&json!({
            "whole": true, "first": whole.first, "last": whole.last, "hash": hex::encode(whole.hash),
            "checkpoints": whole.checkpoints, "signed_up_to": whole.signed, "public_keys": signers,
            "public_keys_given": trust == Trust::Given,
        }));
    }
    let entries = (whole.last + 1).saturating_sub(whole.first);
    console.answer(&format!(
        "The audit trail is whole: {entries} entries ({} to {}), {} checkpoints.",
        whole.first, whole.last, whole.checkpoints
    ))?;
    console.answer(&format!("Last entry: {}:{}", whole.last, hex::encode(whole.hash)))?;
    match whole.signed {
        Some(signed) => console.answer(&format!("Signed up to entry {signed}, by {}", signers.join(", ")))?,
        None => console
            .note("note: there is no checkpoint yet, so a trail written anew as a whole would not show"),
    }
    if trust == Trust::OnTheirWord && whole.signed.is_some() {
        console.note("note: the signing key was taken from the trail itself; give --public-key with the one you keep elsewhere");
    }
    Ok(())
}

/// The trail in lines.
fn read<'a>(input: impl BufRead + 'a) -> Trail<'a> {
    Box::new(Lines::new(input).map(|line| {
        line.map_err(|error| {
            Failure::new(Exit::Negative, error.to_string()).remedy(
                "The trail is written by `keywright audit export`; docs/audit-trail.md describes its form.",
            )
        })
    }))
}

/// The trail of a data directory.
fn stored(offline: &Offline) -> Result<Trail<'_>, Failure> {
    // Checkpoints first: entries only grow, so each of these speaks of an entry that will be seen.
    let checkpoints = offline.ask(offline.store().checkpoints())?;
    let count = Rc::new(Cell::new(0));
    let entries =
        Entries { offline, after: 0, batch: Vec::new().into_iter(), count: Rc::clone(&count), at_end: false };
    let end = std::iter::once_with(move || Ok(Line::End(count.get())));
    let checkpoints = checkpoints.into_iter().map(|checkpoint| Ok(Line::Checkpoint(checkpoint)));
    Ok(Box::new(entries.map(|entry| entry.map(Line::Entry)).chain(checkpoints).chain(end)))
}

struct Entries<'a> {
    offline: &'a Offline,
    after: u64,
    batch: std::vec::IntoIter<StoredEntry>,
    count: Rc<Cell<u64>>,
    at_end: bool,
}

impl Iterator for Entries<'_> {
    type Item = Result<StoredEntry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0 && !self.at_end {
            let store = self.offline.store();
            match self.offline.ask(store.audit_after(self.after, BATCH_ENTRIES)) {
                Err(failure) => {
                    self.at_end = true;
                    return Some(Err(failure));
                }
                Ok(entries) => {
                    self.at_end = entries.is_empty();
                    self.after = entries.last().map_or(self.after, |entry| entry.sequence);
                    self.batch = entries.into_iter();
                }
            }
        }
        let entry = self.batch.next()?;
        self.count.set(self.count.get() + 1);
        Some(Ok(entry))
    }
}

/// Verifies the trail of a data directory, checkpoints on their own word; returns its last entry.
pub(crate) fn verify_stored(offline: &Offline, console: &Console) -> Result<u64, Failure> {
    let bar = console.progress("verifying the audit trail", "entries", None);
    let mut verifier = Verifier::new(Vec::new());
    let walked = walk(&mut stored(offline)?, &mut verifier, &bar)?;
    bar.finish_and_clear();
    walked
        .and_then(|()| verifier.finish(None))
        .map(|whole| whole.last)
        .map_err(|broken| Failure::new(Exit::Found, format!("the audit trail is broken: {broken}")))
}

impl Export {
    fn run(self, connection: &Connection, mut console: Console) -> Result<(), Failure> {
        let since = self.since.map(|since| since.resolve_back(SystemClock.now()));
        let bar = console.progress("exporting", "entries", None);
        let outcome = if let Some(directory) = &self.data {
            let offline = Offline::open(directory)?;
            write(stored(&offline)?, since, &mut console, &bar)
        } else {
            let client = connection.client(&mut console)?;
            let stream = BufReader::new(client.stream("/v1/audit", MEDIA_TYPE)?);
            write(read(stream), since, &mut console, &bar)
        };
        bar.finish_and_clear();
        let entries = outcome?;
        console.finish()?;
        console
            .note(&format!("Exported {entries} entries. `keywright audit verify --file …` verifies them."));
        Ok(())
    }
}

#[derive(Deserialize)]
struct Moment {
    at: Timestamp,
}

/// Copies the trail from `since` on; returns the number of entries.
fn write(
    trail: Trail<'_>,
    since: Option<Timestamp>,
    console: &mut Console,
    bar: &indicatif::ProgressBar,
) -> Result<u64, Failure> {
    let mut before: Option<(u64, [u8; 32])> = None;
    let (mut entries, mut ended) = (0, false);
    for line in trail {
        let line = line?;
        match &line {
            Line::Entry(entry) => {
                bar.inc(1);
                let moment = serde_json::from_slice::<Moment>(&entry.body).map(|body| body.at).ok();
                if entries == 0 && moment.zip(since).is_some_and(|(at, since)| at < since) {
                    before = Some((entry.sequence, entry.hash));
                    continue;
                }
                start(console, &mut before)?;
                entries += 1;
            }
            Line::Start { after, hash } => {
                before = Some((*after, *hash));
                continue;
            }
            Line::Checkpoint(_) => start(console, &mut before)?,
            Line::End(_) => {
                ended = true;
                break;
            }
        }
        put(console, &line)?;
    }
    if !ended {
        return Err(Failure::new(Exit::Negative, "the server broke the export off: it is not complete")
            .remedy("Try again; what was written lacks its end line and will not verify."));
    }
    start(console, &mut before)?;
    put(console, &Line::End(entries))?;
    Ok(entries)
}

/// Writes behind which entry the export begins, if that is not known yet.
fn start(console: &mut Console, before: &mut Option<(u64, [u8; 32])>) -> Result<(), Failure> {
    match before.take() {
        None => Ok(()),
        Some((after, hash)) => put(console, &Line::Start { after, hash }),
    }
}

fn put(console: &mut Console, line: &Line) -> Result<(), Failure> {
    writeln!(console.output(), "{}", line.to_json()).map_err(|error| cannot_write(&error))
}
