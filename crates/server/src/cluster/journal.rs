//! The node's own record of what ended: so that a node that was restarted still knows it after a fail-over.
//!
//! A few seconds of it may be missing after a crash of the machine: it is the last line behind the other nodes' memories.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use keywright_domain::{
    change::{KeyEnd, RetiredSecret, Tombstone},
    ids::{KeyId, WorkspaceId},
    key::KeyNumber,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Ends that are kept.
const KEPT_MAX: usize = 10_000;
/// Lines after which the file is written anew.
const LINES_MAX: usize = 2 * KEPT_MAX;

/// The journal of a data directory.
pub(crate) struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By key: a later end covers an earlier one.
    kept: BTreeMap<KeyId, Tombstone>,
    generation: u64,
    /// Up to here the ends in memory are in the file.
    written: u64,
    lines: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Generation(u64),
    End(EndLine),
}

#[derive(Serialize, Deserialize)]
struct EndLine {
    sequence: u64,
    key: KeyId,
    number: u32,
    workspace: WorkspaceId,
    end: String,
    retired: Vec<(u16, String)>,
}

impl From<&Tombstone> for EndLine {
    fn from(tombstone: &Tombstone) -> Self {
        let end = match tombstone.end {
            KeyEnd::SecretsOnly => "secrets",
            KeyEnd::Revoked => "revoked",
            KeyEnd::Removed => "removed",
        };
        let retired = tombstone.retired.iter().map(|secret| (secret.ordinal, secret.locator.to_string()));
        Self {
            sequence: tombstone.sequence,
            key: tombstone.key,
            number: tombstone.number.0,
            workspace: tombstone.workspace,
            end: end.to_owned(),
            retired: retired.collect(),
        }
    }
}

impl EndLine {
    fn tombstone(self) -> Option<Tombstone> {
        let end = match self.end.as_str() {
            "secrets" => KeyEnd::SecretsOnly,
            "revoked" => KeyEnd::Revoked,
            "removed" => KeyEnd::Removed,
            _ => return None,
        };
        let retired = self
            .retired
            .into_iter()
            .map(|(ordinal, locator)| locator.parse().ok().map(|locator| RetiredSecret { ordinal, locator }));
        let retired = retired.collect::<Option<Vec<_>>>()?;
        let Self { sequence, key, number, workspace, .. } = self;
        Some(Tombstone { sequence, key, number: KeyNumber(number), workspace, end, retired })
    }
}

impl Journal {
    /// Reads what an earlier run left. Lines that cannot be read are left out.
    pub(crate) fn open(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut inner = Inner::default();
        for line in text.lines() {
            inner.lines += 1;
            match serde_json::from_str(line) {
                Ok(Line::Generation(generation)) => inner.generation = generation,
                Ok(Line::End(end)) => inner.keep(end.tombstone()),
                Err(error) => tracing::warn!(%error, "a line of the journal of ends cannot be read"),
            }
        }
        Self { path, inner: Mutex::new(inner) }
    }

    /// The generation that the ends are from; 0 if there are none.
    pub(super) fn generation(&self) -> u64 {
        self.inner.lock().generation
    }

    /// Ends up to this change need not be written again in this generation.
    pub(super) fn written(&self, generation: u64) -> u64 {
        let inner = self.inner.lock();
        if generation == inner.generation { inner.written } else { 0 }
    }

    /// What the journal knows, and `more`.
    pub(super) fn and(&self, more: Vec<Tombstone>) -> Vec<Tombstone> {
        let inner = self.inner.lock();
        let mut all = inner.kept.clone();
        drop(inner);
        for tombstone in more {
            all.insert(tombstone.key, tombstone);
        }
        all.into_values().collect()
    }

    /// Writes those of `tombstones` that are not in the file yet.
    pub(super) fn write(&self, generation: u64, tombstones: &[Tombstone]) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let is_new_history = generation != inner.generation;
        let written = if is_new_history { 0 } else { inner.written };
        let new: Vec<_> = tombstones.iter().filter(|tombstone| tombstone.sequence > written).collect();
        if new.is_empty() && !is_new_history {
            return Ok(());
        }
        inner.generation = generation;
        for &tombstone in &new {
            inner.written = inner.written.max(tombstone.sequence);
            inner.keep(Some(tombstone.clone()));
        }
        inner.lines += new.len();
        if is_new_history || inner.lines > LINES_MAX {
            return self.rewrite(&mut inner);
        }
        let mut text = String::new();
        for tombstone in new {
            push(&mut text, &Line::End(tombstone.into()));
        }
        let mut file = File::options().create(true).append(true).mode(0o600).open(&self.path)?;
        file.write_all(text.as_bytes())
    }

    fn rewrite(&self, inner: &mut Inner) -> io::Result<()> {
        let mut text = String::new();
        push(&mut text, &Line::Generation(inner.generation));
        for tombstone in inner.kept.values() {
            push(&mut text, &Line::End(tombstone.into()));
        }
        inner.lines = inner.kept.len() + 1;
        let temporary = self.path.with_extension("new");
        let mut file =
            File::options().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&temporary, &self.path)
    }
}

impl Inner {
    fn keep(&mut self, tombstone: Option<Tombstone>) {
        let Some(tombstone) = tombstone else { return };
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(&tombstone.key) {
            // Ids sort by creation, so this is the key that is the least likely to be known to nobody else.
            self.kept.pop_first();
        }
        self.kept.insert(tombstone.key, tombstone);
    }
}

fn push(text: &mut String, line: &Line) {
    text.push_str(&serde_json::to_string(line).expect("texts and numbers are JSON"));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(sequence: u64, key: u128, end: KeyEnd) -> Tombstone {
        Tombstone {
            sequence,
            key: KeyId::from_bytes(key.to_be_bytes()),
            number: KeyNumber(7),
            workspace: WorkspaceId::from_bytes([1; 16]),
            end,
            retired: vec![RetiredSecret { ordinal: 1, locator: "0123456789ab".parse().unwrap() }],
        }
    }

    #[test]
    fn what_was_written_is_known_to_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ends.jsonl");
        let journal = Journal::open(path.clone());
        assert_eq!((journal.generation(), journal.and(Vec::new())), (0, Vec::new()));
        let mut all = vec![tombstone(1, 1, KeyEnd::SecretsOnly), tombstone(2, 2, KeyEnd::Removed)];
        journal.write(1, &all).unwrap();
        all.push(tombstone(3, 1, KeyEnd::Revoked));
        journal.write(1, &all).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        journal.write(1, &all).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length, "nothing twice");
        // Cut in the middle of a line, as by a crash.
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"end\":{\"sequ");
        fs::write(&path, text).unwrap();
        let next = Journal::open(path.clone());
        assert_eq!(next.generation(), 1);
        assert_eq!(next.and(Vec::new()), [all[2].clone(), all[1].clone()], "the last end of each key");
        next.write(2, &[]).unwrap();
        let later = Journal::open(path);
        assert_eq!((later.generation(), later.and(Vec::new()).len()), (2, 2));
    }

    #[test]
    fn of_too_many_the_oldest_keys_go() {
        let mut inner = Inner::default();
        for key in 0..=KEPT_MAX as u128 {
            inner.keep(Some(tombstone(1, key, KeyEnd::Revoked)));
        }
        assert_eq!(inner.kept.len(), KEPT_MAX);
        assert!(!inner.kept.contains_key(&KeyId::from_bytes(0_u128.to_be_bytes())));
    }
}
