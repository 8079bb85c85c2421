//! Which slices this node has drawn, and what was spent of each: in a mapped file, so that a process that is killed loses
//! no count.
//!
//! ```text
//! header, 8 words: magic, version, the machine's start, unused
//! slot, 4 words:   id (2), open 1, spent
//! ```
//!
//! A slot is written before the store is asked for the slice, and freed when the store has heard of its end. After a
//! crash of the *machine* pages may be missing: then every slice counts as spent as a whole, so that a balance is never
//! overdrawn. A file that cannot be read is set aside; its slices count as spent after a week.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use keywright_domain::credit::CreditSettlement;
use parking_lot::Mutex;

use crate::raw::{WORD_BYTES, Words};

const MAGIC: u64 = u64::from_le_bytes(*b"KWCREDIT");
const VERSION: u64 = 1;
const HEADER_WORDS: usize = 8;
const SLOT_WORDS: usize = 4;
/// Most slices that a node has at once.
pub(crate) const SLOTS_MAX: u32 = 16_384;
const FILE: &str = "credits.slices";

const BOOT: usize = 2;
const OPEN: usize = 2;
const SPENT: usize = 3;

/// The file.
pub(crate) struct Ledger {
    words: Words,
    free: Mutex<Vec<u32>>,
}

/// A slot of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Ledger {
    /// Opens the file in `directory`, which belongs to this process. `boot` stands for the machine's start. Also says
    /// which slices an earlier process left.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn open(directory: &Path, boot: u64) -> io::Result<(Self, Vec<Slot>)> {
        let words = HEADER_WORDS + SLOTS_MAX as usize * SLOT_WORDS;
        let path = directory.join(FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, (words * WORD_BYTES) as u64)?;
        let words = Words::shared(&file, words)?;
        if words[0].load(Acquire) == 0 {
            words[1].store(VERSION, Relaxed);
            words[BOOT].store(boot, Relaxed);
            words[0].store(MAGIC, Release);
        } else if words[0].load(Relaxed) != MAGIC || words[1].load(Relaxed) != VERSION {
            fs::rename(&path, path.with_extension("damaged"))?;
            return Self::open(directory, boot);
        }
        let ledger = Self { words, free: Mutex::default() };
        let (left, free) = (0..SLOTS_MAX).map(Slot).partition::<Vec<_>, _>(|slot| ledger.is_open(*slot));
        if ledger.words[BOOT].load(Relaxed) != boot {
            for slot in &left {
                ledger.word(*slot, SPENT).store(u64::MAX, Relaxed);
            }
            ledger.words.sync()?;
            ledger.words[BOOT].store(boot, Relaxed);
        }
        *ledger.free.lock() = free.into_iter().rev().map(|Slot(number)| number).collect();
        Ok((ledger, left))
    }

    fn word(&self, Slot(number): Slot, word: usize) -> &std::sync::atomic::AtomicU64 {
        &self.words[HEADER_WORDS + number as usize * SLOT_WORDS + word]
    }

    fn is_open(&self, slot: Slot) -> bool {
        self.word(slot, OPEN).load(Acquire) == 1
    }

    /// A slot for a slice that is about to be drawn. `None`: all are in use.
    pub(crate) fn begin(&self, id: [u8; 16]) -> Option<Slot> {
        let slot = Slot(self.free.lock().pop()?);
        let [first, second] = halves(id);
        self.word(slot, 0).store(first, Relaxed);
        self.word(slot, 1).store(second, Relaxed);
        self.word(slot, SPENT).store(0, Relaxed);
        self.word(slot, OPEN).store(1, Release);
        Some(slot)
    }

    /// So much more was spent of the slice.
    #[inline]
    pub(crate) fn spend(&self, slot: Slot, units: u32) {
        self.word(slot, SPENT).fetch_add(units.into(), Release);
    }

    /// What the store is to be told of the slice.
    pub(crate) fn settlement(&self, slot: Slot) -> CreditSettlement {
        let mut slice = [0; 16];
        slice[..8].copy_from_slice(&self.word(slot, 0).load(Relaxed).to_be_bytes());
        slice[8..].copy_from_slice(&self.word(slot, 1).load(Relaxed).to_be_bytes());
        CreditSettlement { slice, spent: self.word(slot, SPENT).load(Acquire) }
    }

    /// The store has heard of the end of the slice.
    pub(crate) fn end(&self, slot: Slot) {
        self.word(slot, OPEN).store(0, Release);
        self.free.lock().push(slot.0);
    }
}

fn halves(id: [u8; 16]) -> [u64; 2] {
    let (first, second) = id.split_first_chunk::<8>().expect("16 bytes");
    [u64::from_be_bytes(*first), u64::from_be_bytes(*second.first_chunk().expect("16 bytes"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_left_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let (ledger, left) = Ledger::open(directory.path(), 1).unwrap();
        assert!(left.is_empty());
        let slot = ledger.begin([7; 16]).unwrap();
        let ended = ledger.begin([8; 16]).unwrap();
        ledger.spend(slot, 3);
        ledger.spend(slot, 4);
        ledger.end(ended);
        drop(ledger);
        let (ledger, left) = Ledger::open(directory.path(), 1).unwrap();
        assert_eq!(left, [slot]);
        assert_eq!(ledger.settlement(slot), CreditSettlement { slice: [7; 16], spent: 7 });
        drop(ledger);
        let (ledger, left) = Ledger::open(directory.path(), 2).unwrap();
        assert_eq!(ledger.settlement(left[0]).spent, u64::MAX, "the machine was started anew");
        ledger.end(left[0]);
        drop(ledger);
        assert!(Ledger::open(directory.path(), 2).unwrap().1.is_empty());
    }

    #[test]
    fn slots_have_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(directory.path(), 1).unwrap();
        let slots: Vec<_> = (0..SLOTS_MAX).map(|_| ledger.begin([1; 16]).unwrap()).collect();
        assert_eq!(ledger.begin([1; 16]), None);
        ledger.end(slots[5]);
        assert_eq!(ledger.begin([1; 16]), Some(slots[5]));
    }

    #[test]
    fn a_file_of_something_else_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), b"something else entirely").unwrap();
        assert!(Ledger::open(directory.path(), 1).unwrap().1.is_empty());
        assert!(directory.path().join("credits.damaged").exists());
    }
}
